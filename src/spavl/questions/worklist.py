"""Which questions are to be written or taken over for which image. Pure: images in, asked-for questions out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from spavl.config import QuestionsConfig
from spavl.errors import UserError
from spavl.records import BENIGN, QUESTION_KINDS, Image

PROVIDED = "source"  # group and generator of the questions that came with their images
PROVIDED_PROMPT = "provided"  # stands where a prompt hash would: no prompt was involved
HARM_KINDS = tuple(kind for kind in QUESTION_KINDS if kind != "benign_control")


@dataclass(frozen=True, slots=True)
class Asked:
    """One question that an image is to get."""

    image: Image
    kind: str
    number: int  # counts the questions of one kind about one image from 1
    is_provided: bool


def check_config(config: QuestionsConfig) -> None:
    """Raise UserError for an unknown or repeated kind, and for a generator that takes the name of the provided group."""
    for kind in config.kinds:
        if kind not in HARM_KINDS or config.kinds.count(kind) > 1:
            raise UserError(
                f"questions.kinds has {kind!r}{' twice' if kind in HARM_KINDS else ''}.",
                next_step=f"Allowed, each once, are {', '.join(HARM_KINDS)}.",
            )
    if config.generator is not None and config.generator.name == PROVIDED:
        raise UserError(
            f"questions.generator may not be named {PROVIDED!r}: provided questions have that name."
        )


def asked(images: Iterable[Image], config: QuestionsConfig) -> Iterator[Asked]:
    """Every question to have, image by image: the provided one, or each kind, or the benign controls."""
    for image in images:
        if image.provided_question is not None:
            yield Asked(image, image.provided_question_kind, 1, is_provided=True)
        elif config.generator is None:
            continue
        elif image.class1 == BENIGN:
            for number in range(1, config.num_benign_controls + 1):
                yield Asked(image, "benign_control", number, is_provided=False)
        else:
            for kind in config.kinds:
                yield Asked(image, kind, 1, is_provided=False)
