"""What a shipped task makes its samples of: the dataset version, its images, and a folder for the images that it makes.

Inspect builds a task from its arguments alone, and those stand in the log; so the run's own material lies beside them, in a
context variable that the stage fills.
"""

from __future__ import annotations

import contextlib
import contextvars
import hashlib
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from spavl.errors import UserError
from spavl.records import BENIGN, stable_hash
from spavl.stages.dataset.rows import DatasetRow
from spavl.version_rows import TrainQuestion

HARM_SPLIT, BENIGN_SPLIT = "test_harm", "test_help"
_CURRENT: contextvars.ContextVar[Material] = contextvars.ContextVar("material")


@dataclass(frozen=True)
class Material:
    """Of one benchmark of one run."""

    rows: Sequence[DatasetRow]  # held-out prompts of the dataset version
    read_image: Callable[[str], bytes]  # image id -> encoded image
    folder: Path  # local; images of samples are written here
    limit: int  # samples that will be asked at most: no need to make more
    seed: int
    train: Callable[[], Iterable[TrainQuestion]] = (
        tuple  # what training has seen, read if a benchmark asks for it
    )

    def prompts(self, split: str) -> list[DatasetRow]:
        """Up to `limit` held-out prompts, in an order that the seed decides, every image once before any comes again."""
        rows = [row for row in self.rows if row.split == split]
        if not rows:
            raise UserError(
                f"the dataset version has 0 prompts in split {split}, so no benchmark can be made of them.",
                next_step="Raise dataset.test_share, or name benchmarks with prompts of their own.",
            )
        drawn = sorted(rows, key=lambda row: stable_hash("benchmark prompt", self.seed, row.question_id))
        return [row for _, row in sorted(_turns(drawn), key=lambda turn: turn[0])][: self.limit]

    def train_questions(self, *, benign: bool) -> list[str]:
        """The questions that training has seen, of benign or of harmful images."""
        return [asked.question for asked in self.train() if (asked.class1 == BENIGN) == benign]

    def kept(self, image: bytes) -> str:
        """Path of a file that holds this image."""
        path = self.folder / hashlib.sha256(image).hexdigest()
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            path.write_bytes(image)
        return str(path)

    def random(self, *words: object) -> random.Random:
        """A generator that the seed and these words decide."""
        return random.Random(stable_hash("benchmark", self.seed, *words))


def _turns(rows: Sequence[DatasetRow]) -> Iterator[tuple[int, DatasetRow]]:
    """Each row with how often its image has come before it."""
    times: Counter[str] = Counter()
    for row in rows:
        yield times[row.image_id], row
        times[row.image_id] += 1


@contextlib.contextmanager
def using(material: Material) -> Iterator[None]:
    """Inside, shipped tasks are made of this material."""
    token = _CURRENT.set(material)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def current() -> Material:
    """The material of the benchmark that is being made; raises UserError outside a run."""
    try:
        return _CURRENT.get()
    except LookupError:
        raise UserError(
            "spavl's tasks are made of a run's dataset version, and there is no run here.",
            next_step="Name the task in benchmarks.tasks of a profile and run `spavl run --dag align_model`.",
        ) from None
