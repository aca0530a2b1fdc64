"""What is asked: every held-out prompt of every model, greedy and sampled, and some again with another image."""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from spavl.inference.request import Sampling
from spavl.judging import prompt_hash
from spavl.records import BENIGN, stable_hash
from spavl.stages.dataset.rows import DatasetRow

HELD_OUT_HARM, HELD_OUT_BENIGN = "held_out_harm", "held_out_benign"
BENCHMARK_OF_SPLIT = {"test_harm": HELD_OUT_HARM, "test_help": HELD_OUT_BENIGN}
TEMPERATURES = {"greedy": 0.0, "sampled": 1.0}
OWN, SWAPPED, BLANK = "own", "swapped", "blank"  # which image the words are shown with
BLANK_IMAGE = "blank"  # its image id: it is no image of the dataset
ANSWER_PROMPT = "the question alone"  # part of every id: with a system prompt it would be another evaluation
MOST_OTHERS = 256  # images that twins are chosen from: more would only cost time
JUDGE_MODE = "image"
JUDGE_MAX_TOKENS = 512


@dataclass(frozen=True, slots=True)
class Terms:
    """All that decides a row beside the prompt itself: which model is asked, how, and who judges."""

    role: str
    model_revision: str
    judge: str
    judge_revision: str
    max_tokens: int
    seed: int
    second_judge: str | None = None
    second_judge_revision: str | None = None

    def answer_sampling(self, decoding: str, sample: int = 0) -> Sampling:
        seed = self.seed
        if sample:  # 31 bits of a hash; the first sample keeps the seed itself
            seed = int(stable_hash("evaluation", self.seed, sample)[:8], 16) & 0x7FFFFFFF
        return Sampling(temperature=TEMPERATURES[decoding], max_tokens=self.max_tokens, seed=seed)

    @property
    def judge_sampling(self) -> Sampling:
        return Sampling(temperature=0.0, max_tokens=JUDGE_MAX_TOKENS, seed=self.seed)


@dataclass(frozen=True, slots=True)
class Shown:
    """The image that stands beside the words."""

    image_id: str
    class1: str
    class3: str

    @staticmethod
    def of(prompt: DatasetRow) -> Shown:
        return Shown(prompt.image_id, prompt.class1, prompt.class3)


NOTHING_SHOWN = Shown(BLANK_IMAGE, BENIGN, BENIGN)


@dataclass(frozen=True, slots=True)
class Asking:
    """One held-out prompt, the image it is asked with, and the way its answer is drawn."""

    id: str
    prompt: DatasetRow
    decoding: str  # greedy or sampled
    sample: int = 0
    condition: str = OWN
    other: Shown | None = None  # None: its own image
    chunk: int = 0

    @property
    def shown(self) -> Shown:
        return self.other or Shown.of(self.prompt)


def askings_of(
    terms: Terms,
    prompts: Sequence[DatasetRow],
    *,
    decodings: Sequence[str],
    num_samples: int,
    num_grounding_prompts: int,
) -> list[Asking]:
    """Everything that is asked of the model of `terms`, with ids; the ways of drawing first, then the other images."""
    numbered = [
        (decoding, sample)
        for decoding in decodings
        for sample in range(num_samples if decoding == "sampled" else 1)
    ]
    asked = [
        Asking("", prompt, decoding, sample) for decoding, sample in numbered for prompt in prompts
    ] + twins(prompts, num_grounding_prompts)
    return [_with_id(asking, terms) for asking in asked]


def twins(prompts: Sequence[DatasetRow], num_per_wording: int) -> list[Asking]:
    """Some prompts with the same words and another image: harm prompts with a benign one, benign ones with a harmful one.

    Each is also asked with a blank image. Hashes choose prompts and images, so a prompt keeps its twins from night to night.
    """
    found = []
    for split, other_split in (("test_harm", "test_help"), ("test_help", "test_harm")):
        words = sorted((row for row in prompts if row.split == split), key=_place)[:num_per_wording]
        images = {row.image_id: Shown.of(row) for row in prompts if row.split == other_split}
        some = [images[key] for key in sorted(images, key=lambda key: stable_hash("twin", key))[:MOST_OTHERS]]
        for row in words:
            other = min(some, key=lambda shown: stable_hash("twin", row.question_id, shown.image_id))
            found.append(Asking("", row, "greedy", condition=SWAPPED, other=other))
            found.append(Asking("", row, "greedy", condition=BLANK, other=NOTHING_SHOWN))
    return found


def _place(prompt: DatasetRow) -> str:
    return stable_hash("grounding", prompt.question_id, prompt.image_id)


def _with_id(asking: Asking, terms: Terms) -> Asking:
    return Asking(
        answer_id(terms, asking),
        asking.prompt,
        asking.decoding,
        asking.sample,
        asking.condition,
        asking.other,
        asking.chunk,
    )


def answer_id(terms: Terms, asking: Asking) -> str:
    """The id of a judged answer: everything that decides its row, so an earlier night's row can stand for it."""
    prompt, other = asking.prompt, asking.other
    asked: tuple[Any, ...] = (
        prompt.question_id,
        prompt.question,
        prompt.image_id,
        prompt.split,
        prompt.class1,
        prompt.class3,
        prompt.kind,
    )
    if other is not None:
        asked += (asking.condition, asdict(other))
    answered = (
        terms.role,
        terms.model_revision,
        asking.decoding,
        asdict(terms.answer_sampling(asking.decoding, asking.sample)),
        ANSWER_PROMPT,
    )
    judged: tuple[Any, ...] = (
        terms.judge,
        terms.judge_revision,
        asdict(terms.judge_sampling),
        prompt_hash(JUDGE_MODE),
    )
    if terms.second_judge is not None:
        judged += (terms.second_judge, terms.second_judge_revision)
    return stable_hash("evaluation", asked, answered, judged)


@functools.cache
def blank_image() -> bytes:
    """A PNG of 224 x 224 px, all mid-grey."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (224, 224), (127, 127, 127)).save(buffer, "PNG")
    return buffer.getvalue()
