"""The measures of the table of questions: floods, kinds and classes without any, slices lost, drift. The engine counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from spavl.audit import coverage
from spavl.audit.drift import drift_of_counts
from spavl.audit.tallies import tally, worst_share
from spavl.audit.texts import Texts, texts_by
from spavl.sql import literal
from spavl.stages.questions.rows import QUESTION_KINDS

if TYPE_CHECKING:
    from spavl.stage import Tables

PROVIDED = "source"  # generator of a question that came with its image
_USABLE = "outcome = 'ok'"


def question_measures(
    tables: Tables, questions: str, former: str | None, may_miss: Sequence[str]
) -> dict[str, float | None]:
    """Measures of the view `questions`; `former` is the view of the former version's table."""
    now, before = _tallies(tables, questions), former and _tallies(tables, former)
    return {
        **_floods(tables, questions),
        "num_kinds_without_questions": coverage.without(QUESTION_KINDS, now["kind"], may_miss),
        "num_missing_classes": coverage.num_missing(
            {*now["class1"], *now["class3"]},
            {*before["class1"], *before["class3"]} if before else None,
            may_miss,
        ),
        "num_missing_kinds": coverage.num_missing(now["kind"], before["kind"] if before else None, may_miss),
        **{
            f"{word}_share_of_slice": worst_share(
                tables, questions, f"outcome = '{word}'", ("class1",), ("class3",), ("kind",)
            )
            for word in ("unparsable", "error")
        },
        **drift_of_counts(
            now,
            before or None,
            (_num_images(tables, questions), _num_images(tables, former)) if former else None,
        ),
    }


def _tallies(tables: Tables, questions: str) -> dict[str, Counter[Any]]:
    """Of the usable questions: classes, kind and length in characters."""
    columns = {name: name for name in ("class1", "class3", "kind")} | {"text_chars": "length(text)"}
    return {name: tally(tables, questions, column, _USABLE) for name, column in columns.items()}


def _num_images(tables: Tables, questions: str) -> int:
    return tables.value(f"SELECT count(DISTINCT image_id) FROM {questions} WHERE {_USABLE}")


def _floods(tables: Tables, questions: str) -> dict[str, float | None]:
    """Of written and of provided questions, each of the kind that is worst."""
    origin = f"if(generator = {literal(PROVIDED)}, 'provided', 'written')"
    found = texts_by(
        tables, f"SELECT {origin} AS origin, kind, text FROM {questions} WHERE {_USABLE}", ("origin", "kind")
    )
    return _flood(found, "written", "") | _flood(found, "provided", "provided_")


def _flood(found: Mapping[tuple[str, ...], Texts], origin: str, prefix: str) -> dict[str, float | None]:
    """The commonest text's share and the effective number of texts, each of the kind of question that is worst."""
    of_kinds = [texts for key, texts in found.items() if key[0] == origin]
    return {
        f"commonest_{prefix}question_share": max((each.commonest_share for each in of_kinds), default=None),
        f"effective_{prefix}questions": min((each.effective_number for each in of_kinds), default=None),
    }
