"""The rows of a version, in SQL: pairs of train and validation images, bare prompts of test images.

Reads the views `images`, `questions`, `preferences` and `image_splits`; `dataset_rows` is what they make.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from spavl.audit.floods import normalised
from spavl.audit.paraphrases import held_back
from spavl.errors import UserError
from spavl.records import arrow_schema
from spavl.sql import literal, refuse_strays
from spavl.stage import Tables
from spavl.stages.dataset.rows import SPLITS, DatasetRow, ImageSplit
from spavl.stages.dataset.splitting import LEFT_OUT

if TYPE_CHECKING:
    from spavl.artifacts.engine import Relation

_PAIR_ONLY = (
    "chosen", "rejected", "margin", "agreement", "decided_by", "chosen_model", "rejected_model", "chosen_is_unsafe", "rejected_is_unsafe",
)  # fmt: skip
_OF_PROMPT = {  # a prompt's column, if it is not the question's of the same name
    "split": "CASE WHEN q.kind = 'benign_control' THEN 'test_help' ELSE 'test_harm' END",
    "question_id": "q.id",
    "question": "q.text",
    "is_benign": "q.kind = 'benign_control'",
    **dict.fromkeys(_PAIR_ONLY, "NULL"),
}
SPLIT_NUMBER = f"list_position([{', '.join(map(literal, SPLITS))}], split)"
ORDER = f"{SPLIT_NUMBER}, image_id, question_id, id"


def make_rows(tables: Tables, *, hold_out_words: bool) -> Relation:
    """The view `dataset_rows`, to be put into ORDER; without the pairs whose words stand in the test, if so asked."""
    tables.view("all_rows", f"{_pairs()} UNION ALL {_prompts()}")
    condition = ""
    if hold_out_words:
        _find_held_questions(tables)
        condition = "WHERE chosen IS NULL OR question NOT IN (SELECT question FROM held_questions)"
    tables.view("dataset_rows", f"SELECT * FROM all_rows {condition}")
    return tables.sql("SELECT * FROM dataset_rows")


def _pairs() -> str:
    placed = {"split": "s.split", "duplicate_group": "s.duplicate_group"}
    columns = ", ".join(f"{placed.get(name, f'p.{name}')} AS {name}" for name in _columns())
    return f"""SELECT {columns} FROM preferences p JOIN image_splits s ON s.id = p.image_id
    WHERE s.split IN ('train', 'validation')"""


def _prompts() -> str:
    made = _OF_PROMPT | {"duplicate_group": "s.duplicate_group"}
    columns = ", ".join(f"{made.get(name, f'q.{name}')} AS {name}" for name in _columns())
    return f"""SELECT {columns} FROM questions q JOIN image_splits s ON s.id = q.image_id
    WHERE q.outcome = 'ok' AND s.split = 'test'"""


def _columns() -> list[str]:
    return arrow_schema(DatasetRow).names


def _find_held_questions(tables: Tables) -> None:
    """The view `held_questions`: texts of pairs that stand in the test, word for word or nearly so."""
    import pyarrow as pa

    questions = "SELECT DISTINCT question FROM all_rows WHERE chosen IS NOT NULL"
    query = f"SELECT question FROM ({questions}) ORDER BY length(question)"  # as TextIndex likes them
    asked = [text for (text,) in tables.sql(query).fetchall()]
    tested = tables.sql("SELECT DISTINCT question FROM all_rows WHERE chosen IS NULL").fetchall()
    held = held_back(asked, (text for (text,) in tested))
    texts = [text for text in asked if normalised(text) in held]
    tables.view("held_questions", pa.table({"question": pa.array(texts, pa.string())}))


def counts_of(tables: Tables, splits: Sequence[ImageSplit]) -> dict[str, int]:
    """What the record, the card and the report show of the version."""
    present = [row for row in splits if row.is_present]
    of_split = Counter(row.split for row in present)
    found = tables.sql(
        "SELECT split, chosen IS NOT NULL, is_benign, count(*) FROM dataset_rows GROUP BY ALL"
    ).fetchall()
    of_splits = {split: sum(number for name, *_, number in found if name == split) for split in SPLITS}
    pairs = [(is_benign, number) for _, is_pair, is_benign, number in found if is_pair]
    left = dict(tables.sql(
        "SELECT s.split, count(*) FROM preferences p JOIN image_splits s ON s.id = p.image_id GROUP BY 1"
    ).fetchall())  # fmt: skip
    return {
        **of_splits,
        "pairs": sum(number for _, number in pairs),
        "benign_pairs": sum(number for is_benign, number in pairs if is_benign),
        "images": len(present),
        "images_train": of_split["train"],
        "images_validation": of_split["validation"],
        "images_test": of_split["test"],
        "images_left_out": of_split[LEFT_OUT],
        "duplicate_groups": len({row.duplicate_group for row in present}),
        # usable pairs that no version holds: of test images (their questions are held out), of images left out
        "preferences_of_test_images": left.get("test", 0),
        "preferences_of_images_left_out": left.get(LEFT_OUT, 0),
        "pairs_held_out_as_words": tables.value("SELECT count(*) FROM all_rows") - sum(of_splits.values()),
    }


def check_images_exist(tables: Tables) -> None:
    """Raises UserError if there is no preference, or if one or a question is about an image that the images table lacks."""
    if not tables.value("SELECT count(*) FROM preferences"):
        raise UserError(
            "this run has 0 preferences, so there is nothing to make a dataset of.",
            next_step="See in the record of `preferences` why its pairs were dropped.",
        )
    refuse_strays(tables, "preferences", "image_id", "images")
    refuse_strays(tables, "questions", "image_id", "images")


def check_no_split_is_empty(rows_of: Mapping[str, int], splits: Sequence[ImageSplit]) -> None:
    """Raises UserError, with rows and images per split seen, if a split has no row."""
    empty = [split for split in SPLITS if not rows_of[split]]
    if empty:
        images = Counter(row.split for row in splits if row.is_present)
        groups = Counter(row.duplicate_group for row in splits if row.is_present)
        raise UserError(
            f"the split {empty[0]!r} would be empty; rows per split: {dict(rows_of)}; "
            f"images per split: {dict(images)}; "
            f"the largest near-duplicate group has {max(groups.values())} of {groups.total()} images.",
            next_step="Give more images or benign controls, larger dataset.test_share or validation_share, "
            "fewer dataset.near_duplicate_bits, or dataset.hold_out_words: false.",
        )
