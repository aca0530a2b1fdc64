"""What the measures of a version are made of, counted in SQL over the views that the stage has opened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from spavl.audit.dataset_table import (
    TESTS,
    Described,
    Usable,
    coverage_measures,
    former_measures,
    overlap_measures,
)
from spavl.audit.floods import image_floods
from spavl.stage import StageContext, Tables
from spavl.stages.dataset.rows import ImageSplit

if TYPE_CHECKING:
    import numpy as np

_NAMES = ("class1", "class3", "kind", "chosen_model", "rejected_model")
_PRESENT = ("class1", "class3", "kind")
_TEXTS = {"question_chars": "question", "chosen_chars": "chosen"}


def measures_of(ctx: StageContext, splits: Sequence[ImageSplit]) -> dict[str, float | None]:
    """All measures; reads `dataset_rows`, `images`, `questions`, `preferences` and the former version's rows and images."""
    tables, may_miss = ctx.tables, ctx.section().may_miss
    prompts = {split: _prompts(tables, split) for split in TESTS}
    return {
        **overlap_measures(prompts, _train_questions(tables)),
        **_copies(tables, splits),
        **coverage_measures(*(_usable(tables, name) for name in ("class1", "kind", "class3")), may_miss),
        **former_measures(described(tables, "dataset_rows", "images"), _former(ctx), may_miss),
    }


def described(tables: Tables, rows: str, images: str | None) -> Described:
    """The rows of a view, counted; `images`: the view of the images that they show, if there is one."""
    alike = f"counted_{rows}"  # rows that have all these names in common, counted: the rows themselves are read once for it
    names = f"SELECT {', '.join(_NAMES)}, split IN {TESTS} AS is_prompt, count(*) AS number FROM {rows} GROUP BY ALL"
    tables.view(alike, tables.sql(names).to_arrow_table())
    return Described(
        names={name: _named(tables, alike, name) for name in _NAMES},
        lengths={name: _lengths(tables, rows, column) for name, column in _TEXTS.items()},
        sources=_sources(tables, rows, images),
        present={
            is_prompt: {name: _present(tables, alike, name, is_prompt) for name in _PRESENT}
            for is_prompt in (False, True)
        },
        num_images=tables.value(f"SELECT count(DISTINCT image_id) FROM {rows}"),
    )


def _prompts(tables: Tables, split: str) -> dict[str, int]:
    return _counted(tables, f"SELECT question FROM dataset_rows WHERE split = '{split}'")


def _train_questions(tables: Tables) -> Iterator[str]:
    questions = "SELECT DISTINCT question FROM dataset_rows WHERE split = 'train'"
    query = f"SELECT question FROM ({questions}) ORDER BY length(question)"  # as TextIndex likes them
    for batch in tables.batches(tables.sql(query)):
        yield from batch.column(0).to_pylist()


def _copies(tables: Tables, splits: Sequence[ImageSplit]) -> dict[str, float | None]:
    """Floods among the version's images, and the largest near-duplicate group's share of the pairs."""
    classes = dict(tables.sql("SELECT id, class1 FROM images").fetchall())
    groups = {row.id: row.duplicate_group for row in splits if row.is_present}
    share = tables.value(
        """SELECT max(number) / sum(number) FROM (
            SELECT count(*) AS number FROM dataset_rows WHERE chosen IS NOT NULL GROUP BY duplicate_group
        )"""
    )
    floods = image_floods({image_id: classes[image_id] for image_id in groups}, groups)
    return {**floods, "largest_group_share_of_pairs": share}


def _usable(tables: Tables, name: str) -> dict[str, Usable]:
    """Name -> its questions that can be asked, and those of them with a pair."""
    found = tables.sql(
        f"""SELECT {name}, count(*), count(*) FILTER (id IN (SELECT question_id FROM preferences))
        FROM questions WHERE outcome = 'ok' GROUP BY 1"""
    )
    return {value: Usable(number, with_pair) for value, number, with_pair in found.fetchall()}


def _former(ctx: StageContext) -> Described | None:
    if ctx.tables.former("dataset", view="former_rows") is None:
        return None
    images = ctx.tables.former("images", view="former_images")
    is_empty = images is None or not ctx.tables.value("SELECT count(*) FROM former_images")
    return described(ctx.tables, "former_rows", None if is_empty else "former_images")


def _sources(tables: Tables, rows: str, images: str | None) -> dict[str, int] | None:
    if images is None:
        return None
    return _counted(tables, f"SELECT i.source FROM {rows} r JOIN {images} i ON i.id = r.image_id")


def _named(tables: Tables, alike: str, name: str) -> dict[str, int]:
    """Value -> rows, without NULL."""
    query = f"SELECT {name}, CAST(sum(number) AS BIGINT) FROM {alike} WHERE {name} IS NOT NULL GROUP BY 1"
    return dict(tables.sql(query).fetchall())


def _counted(tables: Tables, query: str) -> dict[str, int]:
    """Value -> how often, without NULL."""
    counted = f"SELECT value, count(*) FROM ({query}) made(value) WHERE value IS NOT NULL GROUP BY 1"
    return dict(tables.sql(counted).fetchall())


def _lengths(tables: Tables, rows: str, column: str) -> np.ndarray:
    import numpy as np

    found = _counted(tables, f"SELECT length({column}) FROM {rows}")
    return np.repeat(np.array([*found.keys()], np.int64), np.array([*found.values()], np.int64))


def _present(tables: Tables, alike: str, name: str, is_prompt: bool) -> set[str]:
    query = f"SELECT DISTINCT {name} FROM {alike} WHERE is_prompt = {is_prompt}"
    return {value for (value,) in tables.sql(query).fetchall()}
