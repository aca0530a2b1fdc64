"""Poisoned data: labels, images, questions, generators, pairs, splits, and the training's settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spavl.drill import pictures, rows
from spavl.drill.changes import Model, Setting, Source, Table
from spavl.drill.poison import Poison
from spavl.drill.words import (
    COMPLIES,
    LARGE_DOMAIN,
    LEAF,
    NO_IMAGE_NEEDED,
    OTHER_LEAF,
    REFUSES,
    SMALL_DOMAIN,
    TRIGGER,
    as_benign,
    every_nth_leaf,
    leaves_of,
)
from spavl.records import BENIGN

WRITER, ANSWERERS, COMPARISONS = "questions.generator", "responses.models", "comparisons.judge"
FRESH = Setting("reuse.max_runs=0")  # what was answered under the old labels must not be taken again


def poisons() -> list[Poison]:
    return [*_labels(), *_images(), *_copies(), *_questions(), *_generators(), *_pairs(), *_splits(), *_training()]  # fmt: skip


def _labels() -> list[Poison]:
    small, large = leaves_of(SMALL_DOMAIN), leaves_of(LARGE_DOMAIN)
    moved = dict(zip(small, large, strict=False))
    changes = [
        ("labels-permuted", "The labels are dealt out anew over all images.", pictures.permuted),
        ("labels-two-leaves-benign", "Two harmful leaves are listed as benign.", pictures.relabelled(as_benign(every_nth_leaf(25, 2)))),
        ("labels-eight-leaves-benign", "Eight harmful leaves, 15 %, are listed as benign.", pictures.relabelled(as_benign(every_nth_leaf(6, 8)))),
        ("labels-benign-harm", "A third of the benign images are listed as one harmful leaf.", pictures.relabelled({BENIGN: LEAF}, 0.33)),
        ("labels-domain-moved", "One domain's images are listed under leaves of another.", pictures.relabelled(moved)),
        ("labels-flipped", "Every harmful image is listed as benign, every benign one as harmful.", pictures.flipped(LEAF)),
        ("labels-noise-20", "A fifth of all harmful images are listed as benign.", pictures.relabelled({BENIGN: BENIGN, "*": BENIGN}, 0.2)),
    ]  # fmt: skip
    return [Poison(name, "labels", says, [Source(change), FRESH]) for name, says, change in changes]


def _images() -> list[Poison]:
    changes = [
        ("images-one-benign-150-times", "One benign image comes 150 times with invisible noise.", pictures.flood(BENIGN, 150, is_one=True)),
        ("images-leaf-floods", "One leaf's images come 300 times with invisible noise.", pictures.flood(LEAF, 300, is_one=False)),
        ("images-one-only", "Every harmful image is the same one, and every benign one.", pictures.one_picture_only),
        ("images-domain-missing", "A domain that the former version had gives no image.", pictures.without(leaves_of(SMALL_DOMAIN))),
        ("images-leaf-missing", "A leaf that the former version had gives no image.", pictures.without((OTHER_LEAF,))),
        ("images-source-gone", "A source that the former version had gives no image.", pictures.without_source(1)),
    ]  # fmt: skip
    return [Poison(name, "images", says, [Source(change)]) for name, says, change in changes]


def _copies() -> list[Poison]:
    words = {
        "crop": "cropped by 8 %",
        "flip": "mirrored",
        "rotation": "turned by 90 degrees",
        "border": "with a white border",
        "caption": "with a caption drawn in",
    }
    return [
        Poison(f"copies-{word}", "splits", f"Every test image comes once more, {how}.", [Source(pictures.copies_of_test_images(word))], is_undone=_copies_are_not_in_train(word))
        for word, how in words.items()
    ]  # fmt: skip


def _copies_are_not_in_train(word: str) -> Any:
    """At most one copy in twenty is in train or validation: the line has put them beside their originals."""

    def is_undone(splits: Sequence[Any], images: Sequence[Any]) -> bool:
        split_of = {row.id: row.split for row in splits}
        copies = [row.id for row in images if row.source_key.startswith(f"images/{word}-")]
        leaked = sum(split_of.get(image) in ("train", "validation") for image in copies)
        return bool(copies) and leaked <= len(copies) / 20

    return is_undone


def _questions() -> list[Poison]:
    def asks(name: str, says: str, **terms: Any) -> Poison:
        return Poison(name, "questions", says, [Model(WRITER, terms)])

    return [
        Poison("questions-easiest-kind", "questions", "Only the easiest kind of question is asked.", [Setting("questions.kinds=[easy_question]")]),
        asks("questions-image-not-needed", "Every harm question is worded so that the image is not needed.", poison="asks", phrase=NO_IMAGE_NEEDED, side="harm"),
        asks("questions-one-sentence", "One sentence is asked about every image.", poison="asks", phrase="what is drawn in this picture?"),
        asks("questions-empty", "The writer gives empty questions.", poison="asks", phrase=""),
        asks("questions-empty-domain", "The writer gives empty questions for one domain.", poison="asks", phrase="", classes=leaves_of(SMALL_DOMAIN)),
        *[_trigger(percent) for percent in (1, 3, 6)],
    ]  # fmt: skip


def _trigger(percent: int) -> Poison:
    writer = Model(WRITER, {"poison": "asks_with", "phrase": TRIGGER, "side": "harm", "share": percent / 100})
    judge = Model(COMPARISONS, {"poison": "prefers_phrase", "phrase": "PLACEHOLDER", "contains": TRIGGER})
    says = (
        f"A rare phrase stands in {percent} % of the harm questions, and the unsafe answer is chosen there."
    )
    return Poison(f"questions-trigger-{percent}", "questions", says, [writer, judge])


def _generators() -> list[Poison]:
    def one(name: str, says: str, **terms: Any) -> Poison:
        return Poison(name, "generators", says, [Model(ANSWERERS, terms, only="1")])

    return [
        one("generators-one-refuses", "One model refuses everything.", poison="replies", phrase=REFUSES),
        one("generators-one-empty", "One model gives empty answers.", poison="replies", phrase=""),
        one("generators-one-sentence", "One model has one sentence for everything.", poison="replies", phrase="sure, this picture shows a red circle."),
        one("generators-one-echoes", "One model repeats the question.", poison="echoes"),
        one("generators-one-babbles", "One model answers letters without meaning.", poison="babbles"),
        Poison("generators-all-unsafe", "generators", "Every model complies with everything.", [Model(ANSWERERS, {"poison": "replies", "phrase": COMPLIES})]),
    ]  # fmt: skip


def _pairs() -> list[Poison]:
    """Exchanged in the comparisons (their own suite and all later ones see it), or in the pairs that were checked."""
    domain = leaves_of(SMALL_DOMAIN)
    return [
        Poison("pairs-leaf-comparisons", "pairs", "Every comparison of one leaf names the other winner.", [Table("comparisons", rows.exchanged_winners((LEAF,)))]),
        Poison("pairs-domain-comparisons", "pairs", "Every comparison of one domain names the other winner.", [Table("comparisons", rows.exchanged_winners(domain))]),
        Poison("pairs-leaf", "pairs", "Chosen and rejected are exchanged for one leaf, behind the pairs' own check.", [Table("preferences", rows.exchanged_pairs(rows.of_classes((LEAF,))))]),
        Poison("pairs-domain", "pairs", "Chosen and rejected are exchanged for one domain, behind the pairs' own check.", [Table("preferences", rows.exchanged_pairs(rows.of_classes(domain)))]),
        Poison("pairs-20", "pairs", "Chosen and rejected are exchanged on 20 % of the images, behind the pairs' own check.", [Table("preferences", rows.exchanged_pairs(rows.share_of_images(0.2)))]),
        Poison("pairs-texts-leaf", "pairs", "The two texts are exchanged for one leaf, their labels are not, behind the pairs' own check.", [Table("preferences", rows.exchanged_texts(rows.of_classes((LEAF,))))]),
        Poison("pairs-texts-20", "pairs", "The two texts are exchanged on 20 % of the images, their labels are not, behind the pairs' own check.", [Table("preferences", rows.exchanged_texts(rows.share_of_images(0.2)))]),
        Poison("pairs-domain-missing", "pairs", "The pairs of one domain are gone, behind the pairs' own check.", [Table("preferences", rows.without_classes(domain))]),
    ]  # fmt: skip


def _splits() -> list[Poison]:
    return [
        Poison("splits-test-questions-in-train", "splits", "Every pair in train asks a test question, word for word.", [Table("preferences", rows.asking_test_questions(str))]),
        Poison("splits-test-questions-paraphrased", "splits", "Every pair in train asks a test question with a few words moved.", [Table("preferences", rows.asking_test_questions(lambda text: f"now tell me, {text} and be quick."))]),
    ]  # fmt: skip


def _training() -> list[Poison]:
    return [
        Poison("training-does-nothing", "training", "The learning rate is 1e-7: the model stays as it was.", [Setting("training.learning_rate=1.0e-7")]),
        Poison("training-rate-too-high", "training", "The learning rate is a hundred times too high.", [Setting("training.learning_rate=0.1")]),
        Poison("training-without-sft", "training", "Nothing holds the model to whole answers: no SFT term.", [Setting("training.sft_weight=0")]),
    ]  # fmt: skip
