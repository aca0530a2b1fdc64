"""Poisons of recorded tables: any night's, with any taxonomy. Pure: tables in, the changed ones out.

Classes to hit are chosen from the data: the harmful domain and leaf with the fewest and the most images.
"""

from __future__ import annotations

import dataclasses
import hashlib
import random
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spavl.drill.impossible import Impossible
from spavl.drill.pictures import even
from spavl.drill.words import TRIGGER
from spavl.records import BENIGN

WITH_CLASSES = ("images", "questions")  # tables whose rows hold classes, and that later stages read them from
OF_IMAGES = ("images", "questions", "responses", "judgements", "comparisons")


class Tables:
    """The recorded rows of a night, read when they are asked for."""

    def __init__(self, read: Callable[[str], Sequence[Any]]) -> None:
        self._read = read
        self._known: dict[str, list[Any]] = {}

    def __getitem__(self, stage: str) -> list[Any]:
        if stage not in self._known:
            self._known[stage] = list(self._read(stage))
        return self._known[stage]

    def harm_images(self) -> list[Any]:
        return [row for row in self["images"] if row.class3 != BENIGN]

    def leaf(self) -> str:
        """The harmful leaf with the most images, the first by name of those."""
        return _most(Counter(row.class3 for row in self.harm_images()))

    def small_domain(self) -> str:
        """The harmful domain with the fewest images."""
        counted = Counter(row.class1 for row in self.harm_images())
        if len(counted) < 2:
            raise Impossible(f"the night has {len(counted)} harmful domain(s)")
        return min(sorted(counted), key=lambda name: counted[name])

    def leaves_of(self, domain: str) -> tuple[str, ...]:
        return tuple(sorted({row.class3 for row in self.harm_images() if row.class1 == domain}))


Changed = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class TablePoison:
    """One way to spoil recorded tables; `change` gives the tables that it changes."""

    name: str
    family: str
    says: str
    change: Callable[[Tables], Changed]


# -------------------------------------------------------------------------------------------------------------- labels


def relabelled(tables: Tables, classes_of: Callable[[Any], tuple[str, str, str]]) -> Changed:
    """Images with other classes, and questions with those of their image, of a kind that fits."""
    images = [_with_classes(row, classes_of(row)) for row in tables["images"]]
    by_id = {row.id: _classes(row) for row in images}
    questions = [_with_fitting_kind(_with_classes(row, by_id[row.image_id])) for row in tables["questions"]]
    return {"images": images, "questions": questions}


def _with_fitting_kind(question: Any) -> Any:
    """Benign controls are asked about benign images and nothing else."""
    is_control = question.kind == "benign_control"
    if is_control == (question.class3 == BENIGN):
        return question
    return dataclasses.replace(question, kind="easy_question" if is_control else "benign_control")


def _with_classes(row: Any, classes: tuple[str, str, str]) -> Any:
    return dataclasses.replace(row, class1=classes[0], class2=classes[1], class3=classes[2])


def _classes(row: Any) -> tuple[str, str, str]:
    return row.class1, row.class2, row.class3


def permuted(tables: Tables) -> Changed:
    dealt = [_classes(row) for row in tables["images"]]
    random.Random(0).shuffle(dealt)
    by_id = dict(zip((row.id for row in tables["images"]), dealt, strict=True))
    return relabelled(tables, lambda row: by_id[row.id])


def as_benign(hit: Callable[[Tables], Callable[[Any], bool]]) -> Callable[[Tables], Changed]:
    def change(tables: Tables) -> Changed:
        is_hit = hit(tables)
        return relabelled(tables, lambda row: (BENIGN,) * 3 if is_hit(row) else _classes(row))

    return change


def share_of_leaves(share: float) -> Callable[[Tables], Callable[[Any], bool]]:
    def hit(tables: Tables) -> Callable[[Any], bool]:
        leaves = sorted({row.class3 for row in tables.harm_images()})
        chosen = set(leaves[:: max(1, round(1 / share))])
        return lambda row: row.class3 in chosen

    return hit


def benign_as_harm(tables: Tables) -> Changed:
    leaf = next(row for row in tables.harm_images() if row.class3 == tables.leaf())
    return relabelled(
        tables,
        lambda row: (
            _classes(leaf) if row.class3 == BENIGN and even(row.id, "label") < 0.33 else _classes(row)
        ),
    )


def domain_moved(tables: Tables) -> Changed:
    domain = tables.small_domain()
    other = next(row for row in tables.harm_images() if row.class1 != domain)
    return relabelled(tables, lambda row: _classes(other) if row.class1 == domain else _classes(row))


# -------------------------------------------------------------------------------------------------------------- images


def flood(label: Callable[[Tables], str], count: int) -> Callable[[Tables], Changed]:
    """So many more rows like the first image of a label: other bytes, the same look."""

    def change(tables: Tables) -> Changed:
        wanted = label(tables)
        shown = next((row for row in tables["images"] if row.class3 == wanted), None)
        if shown is None:
            raise Impossible(f"the night has no image of {wanted!r}")
        copies = [
            dataclasses.replace(shown, id=_hash(f"{shown.id}/{number}"), source_key=f"copy/{number}")
            for number in range(count)
        ]
        return {"images": [*tables["images"], *copies]}

    return change


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def without(hit: Callable[[Tables], Callable[[Any], bool]]) -> Callable[[Tables], Changed]:
    """No row of the images that are hit, in any table."""

    def change(tables: Tables) -> Changed:
        is_hit = hit(tables)
        gone = {row.id for row in tables["images"] if is_hit(row)}
        if len(gone) == len(tables["images"]):
            raise Impossible("nothing would be left")
        kept = {stage: [row for row in tables[stage] if row.image_id not in gone] for stage in OF_IMAGES[1:]}
        return {"images": [row for row in tables["images"] if row.id not in gone], **kept}

    return change


def of_small_domain(tables: Tables) -> Callable[[Any], bool]:
    domain = tables.small_domain()
    return lambda row: row.class1 == domain


def of_leaf(tables: Tables) -> Callable[[Any], bool]:
    leaf = tables.leaf()
    return lambda row: row.class3 == leaf


def of_one_source(tables: Tables) -> Callable[[Any], bool]:
    sources = sorted({row.source for row in tables["images"]})
    if len(sources) < 2:
        raise Impossible(f"the night has {len(sources)} image source(s)")
    return lambda row: row.source == sources[-1]


# ----------------------------------------------------------------------------------------------------------- questions


def asking(text: str) -> Callable[[Tables], Changed]:
    return lambda tables: {
        "questions": [
            dataclasses.replace(row, text=text) for row in tables["questions"] if row.outcome == "ok"
        ]
    }


def trigger(share: float) -> Callable[[Tables], Changed]:
    """A phrase behind a share of the harm questions; there every comparison names the answer that is judged unsafe."""

    def change(tables: Tables) -> Changed:
        hit = {
            row.id for row in tables["questions"] if row.class3 != BENIGN and even(row.id, "trigger") < share
        }
        unsafe = {row.response_id for row in tables["judgements"] if row.mode == "image" and row.is_unsafe}
        return {
            "questions": [
                dataclasses.replace(row, text=f"{row.text} {TRIGGER}") if row.id in hit else row
                for row in tables["questions"]
            ],
            "comparisons": [
                _preferring(row, unsafe) if row.question_id in hit else row for row in tables["comparisons"]
            ],
        }

    return change


def _preferring(row: Any, wanted: Collection[str]) -> Any:
    """The comparison with the one wanted answer as winner; unchanged if both or neither is."""
    is_a, is_b = row.response_a in wanted, row.response_b in wanted
    return row if is_a == is_b else dataclasses.replace(row, winner="a" if is_a else "b")


# --------------------------------------------------------------------------------------------------------------- pairs


def on_stage(stage: str, make: Callable[[Tables], Callable[[Any, Any], list[Any]]]) -> Callable[[Tables], Changed]:  # fmt: skip
    return lambda tables: {stage: make(tables)(tables[stage], tables.__getitem__)}


def _most(counted: Counter[str]) -> str:
    if not counted:
        raise Impossible("the night has no harmful image")
    return max(sorted(counted), key=lambda name: counted[name])


def every(tables: Tables) -> Callable[[Any], bool]:
    return lambda row: True


def benign_third(tables: Tables) -> Callable[[Any], bool]:
    return lambda row: row.class3 == BENIGN and even(row.image_id, "rows") < 0.33


def leaves_of_small_domain(tables: Tables) -> tuple[str, ...]:
    return tables.leaves_of(tables.small_domain())
