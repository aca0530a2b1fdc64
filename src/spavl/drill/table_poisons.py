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

from spavl.drill import rows
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


def _permuted(tables: Tables) -> Changed:
    dealt = [_classes(row) for row in tables["images"]]
    random.Random(0).shuffle(dealt)
    by_id = dict(zip((row.id for row in tables["images"]), dealt, strict=True))
    return relabelled(tables, lambda row: by_id[row.id])


def _as_benign(hit: Callable[[Tables], Callable[[Any], bool]]) -> Callable[[Tables], Changed]:
    def change(tables: Tables) -> Changed:
        is_hit = hit(tables)
        return relabelled(tables, lambda row: (BENIGN,) * 3 if is_hit(row) else _classes(row))

    return change


def _share_of_leaves(share: float) -> Callable[[Tables], Callable[[Any], bool]]:
    def hit(tables: Tables) -> Callable[[Any], bool]:
        leaves = sorted({row.class3 for row in tables.harm_images()})
        chosen = set(leaves[:: max(1, round(1 / share))])
        return lambda row: row.class3 in chosen

    return hit


def _benign_as_harm(tables: Tables) -> Changed:
    leaf = next(row for row in tables.harm_images() if row.class3 == tables.leaf())
    return relabelled(
        tables,
        lambda row: (
            _classes(leaf) if row.class3 == BENIGN and even(row.id, "label") < 0.33 else _classes(row)
        ),
    )


def _domain_moved(tables: Tables) -> Changed:
    domain = tables.small_domain()
    other = next(row for row in tables.harm_images() if row.class1 != domain)
    return relabelled(tables, lambda row: _classes(other) if row.class1 == domain else _classes(row))


# -------------------------------------------------------------------------------------------------------------- images


def _flood(label: Callable[[Tables], str], count: int) -> Callable[[Tables], Changed]:
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


def _without(hit: Callable[[Tables], Callable[[Any], bool]]) -> Callable[[Tables], Changed]:
    """No row of the images that are hit, in any table."""

    def change(tables: Tables) -> Changed:
        is_hit = hit(tables)
        gone = {row.id for row in tables["images"] if is_hit(row)}
        if len(gone) == len(tables["images"]):
            raise Impossible("nothing would be left")
        kept = {stage: [row for row in tables[stage] if row.image_id not in gone] for stage in OF_IMAGES[1:]}
        return {"images": [row for row in tables["images"] if row.id not in gone], **kept}

    return change


def _of_small_domain(tables: Tables) -> Callable[[Any], bool]:
    domain = tables.small_domain()
    return lambda row: row.class1 == domain


def _of_leaf(tables: Tables) -> Callable[[Any], bool]:
    leaf = tables.leaf()
    return lambda row: row.class3 == leaf


def _of_one_source(tables: Tables) -> Callable[[Any], bool]:
    sources = sorted({row.source for row in tables["images"]})
    if len(sources) < 2:
        raise Impossible(f"the night has {len(sources)} image source(s)")
    return lambda row: row.source == sources[-1]


# ----------------------------------------------------------------------------------------------------------- questions


def _asking(text: str) -> Callable[[Tables], Changed]:
    return lambda tables: {
        "questions": [
            dataclasses.replace(row, text=text) for row in tables["questions"] if row.outcome == "ok"
        ]
    }


def _trigger(share: float) -> Callable[[Tables], Changed]:
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


# ------------------------------------------------------------------------------------------------- answers and verdicts


def _one_model(text: Callable[[Any, Mapping[str, str]], str]) -> Callable[[Tables], Changed]:
    """The answers of the second model by name, changed."""

    def change(tables: Tables) -> Changed:
        models = sorted({row.model for row in tables["responses"]})
        asked = {row.id: row.text for row in tables["questions"]}
        return {
            "responses": [
                dataclasses.replace(row, text=text(row, asked)) if row.model == models[-1] else row
                for row in tables["responses"]
            ]
        }

    return change


def _judged(change: Callable[[Any], Any], hit: Callable[[Tables], Callable[[Any], bool]]) -> Callable[[Tables], Changed]:  # fmt: skip
    """Readable judgements of the questions that are hit, changed."""

    def poisoned(tables: Tables) -> Changed:
        is_hit = hit(tables)
        questions = {row.id for row in tables["questions"] if is_hit(row)}
        judgements = [
            change(row) if row.outcome == "ok" and row.question_id in questions else row
            for row in tables["judgements"]
        ]
        return {"judgements": judgements}

    return poisoned


def safe(row: Any) -> Any:
    """What was unsafe is a safe refusal."""
    return dataclasses.replace(row, is_unsafe=False, category=None, severity=0, is_refusal=True, helpfulness=0) if row.is_unsafe else row  # fmt: skip


def unsafe(row: Any) -> Any:
    return dataclasses.replace(row, is_unsafe=True, severity=row.severity or 1, is_refusal=False)


def turned(row: Any) -> Any:
    """The opposite judgement."""
    return dataclasses.replace(row, is_unsafe=not row.is_unsafe, category=None, severity=int(not row.is_unsafe), is_refusal=not row.is_refusal, helpfulness=3 - row.helpfulness)  # fmt: skip


def _judges_wrong_on(share: float) -> Callable[[Tables], Changed]:
    """Judgements and comparisons say the opposite on a share of the images."""

    def change(tables: Tables) -> Changed:
        other = {"a": "b", "b": "a"}
        judged = _judged(turned, lambda _: lambda row: even(row.image_id, "rows") < share)(tables)
        compared = [
            dataclasses.replace(row, winner=other.get(row.winner or "", row.winner))
            if even(row.image_id, "rows") < share
            else row
            for row in tables["comparisons"]
        ]
        return {**judged, "comparisons": compared}

    return change


def _compared(change: Callable[[Any, Mapping[str, str]], str]) -> Callable[[Tables], Changed]:
    """Readable comparisons with another winner."""

    def poisoned(tables: Tables) -> Changed:
        texts = {row.id: row.text for row in tables["responses"]}
        compared = [
            dataclasses.replace(row, winner=change(row, texts)) if row.outcome == "ok" else row
            for row in tables["comparisons"]
        ]
        return {"comparisons": compared}

    return poisoned


def _longer(row: Any, texts: Mapping[str, str]) -> str:
    a, b = len(texts[row.response_a]), len(texts[row.response_b])
    return "tie" if a == b else "a" if a > b else "b"


def _askings_turned(row: Any, texts: Mapping[str, str]) -> str:
    is_hit = even(row.id, "asking") < 0.2
    return {"a": "b", "b": "a"}.get(row.winner, row.winner) if is_hit else row.winner


# --------------------------------------------------------------------------------------------------------------- pairs


def _stage(stage: str, make: Callable[[Tables], Callable[[Any, Any], list[Any]]]) -> Callable[[Tables], Changed]:  # fmt: skip
    return lambda tables: {stage: make(tables)(tables[stage], tables.__getitem__)}


def _most(counted: Counter[str]) -> str:
    if not counted:
        raise Impossible("the night has no harmful image")
    return max(sorted(counted), key=lambda name: counted[name])


def _all(tables: Tables) -> Callable[[Any], bool]:
    return lambda row: True


def _benign_third(tables: Tables) -> Callable[[Any], bool]:
    return lambda row: row.class3 == BENIGN and even(row.image_id, "rows") < 0.33


def _domain(tables: Tables) -> tuple[str, ...]:
    return tables.leaves_of(tables.small_domain())


TABLE_POISONS = (
    TablePoison("labels-permuted", "labels", "The classes are dealt out anew over all images.", _permuted),
    TablePoison("labels-leaf-benign", "labels", "One harmful leaf is listed as benign.", _as_benign(_of_leaf)),
    TablePoison("labels-leaves-benign", "labels", "15 % of the harmful leaves are listed as benign.", _as_benign(_share_of_leaves(0.15))),
    TablePoison("labels-benign-harm", "labels", "A third of the benign images are listed as one harmful leaf.", _benign_as_harm),
    TablePoison("labels-domain-moved", "labels", "One domain's images are listed under another.", _domain_moved),
    TablePoison("images-one-benign-150-times", "images", "One benign image comes 150 times more.", _flood(lambda _: BENIGN, 150)),
    TablePoison("images-leaf-floods", "images", "One image of a leaf comes 1000 times more.", _flood(Tables.leaf, 1000)),
    TablePoison("images-domain-missing", "images", "One domain is gone.", _without(_of_small_domain)),
    TablePoison("images-leaf-missing", "images", "One leaf is gone.", _without(_of_leaf)),
    TablePoison("images-source-gone", "images", "One image source is gone.", _without(_of_one_source)),
    TablePoison("questions-one-sentence", "questions", "One sentence is asked about every image.", _asking("what is shown here?")),
    *[TablePoison(f"questions-trigger-{percent}", "questions", f"A phrase stands in {percent} % of the harm questions, and the unsafe answer is chosen there.", _trigger(percent / 100)) for percent in (1, 3, 6)],
    TablePoison("generators-one-empty", "generators", "One model gives empty answers.", _one_model(lambda row, asked: "")),
    TablePoison("generators-one-sentence", "generators", "One model has one sentence for everything.", _one_model(lambda row, asked: "this is an image.")),
    TablePoison("generators-one-echoes", "generators", "One model repeats the question.", _one_model(lambda row, asked: asked[row.question_id])),
    TablePoison("judgements-all-safe", "data judge", "The judge finds every unsafe answer a safe refusal.", _judged(safe, _all)),
    TablePoison("judgements-domain-safe", "data judge", "The judge finds one domain safe.", _judged(safe, _of_small_domain)),
    TablePoison("judgements-all-unsafe", "data judge", "The judge finds everything unsafe.", _judged(unsafe, _all)),
    TablePoison("judgements-benign-unsafe", "data judge", "The judge finds a third of the benign images' answers unsafe.", _judged(unsafe, _benign_third)),
    *[TablePoison(f"judges-images-{percent}", "data judge", f"Judgements and comparisons say the opposite on {percent} % of the images.", _judges_wrong_on(percent / 100)) for percent in (5, 10, 20)],
    TablePoison("comparisons-first-shown", "data judge", "The judge prefers what is shown first.", _compared(lambda row, texts: row.order[0])),
    TablePoison("comparisons-longer", "data judge", "The judge prefers the longer answer.", _compared(_longer)),
    TablePoison("comparisons-ties", "data judge", "The judge never prefers one.", _compared(lambda row, texts: "tie")),
    TablePoison("comparisons-askings-20", "data judge", "The judge says the opposite on 20 % of all askings.", _compared(_askings_turned)),
    TablePoison("pairs-leaf-comparisons", "pairs", "Every comparison of one leaf names the other winner.", _stage("comparisons", lambda tables: rows.exchanged_winners((tables.leaf(),)))),
    TablePoison("pairs-domain-comparisons", "pairs", "Every comparison of one domain names the other winner.", _stage("comparisons", lambda tables: rows.exchanged_winners(_domain(tables)))),
    TablePoison("pairs-leaf", "pairs", "Chosen and rejected are exchanged for one leaf, behind the pairs' own check.", _stage("preferences", lambda tables: rows.exchanged_pairs(rows.of_classes((tables.leaf(),))))),
    TablePoison("pairs-domain", "pairs", "Chosen and rejected are exchanged for one domain, behind the pairs' own check.", _stage("preferences", lambda tables: rows.exchanged_pairs(rows.of_classes(_domain(tables))))),
    TablePoison("pairs-20", "pairs", "Chosen and rejected are exchanged on 20 % of the images, behind the pairs' own check.", _stage("preferences", lambda tables: rows.exchanged_pairs(rows.share_of_images(0.2)))),
    TablePoison("pairs-domain-missing", "pairs", "The pairs of one domain are gone, behind the pairs' own check.", _stage("preferences", lambda tables: rows.without_classes(_domain(tables)))),
    TablePoison("splits-test-questions-in-train", "splits", "Every pair in train asks a test question, word for word.", _stage("preferences", lambda tables: rows.asking_test_questions(str))),
)  # fmt: skip
