"""What the record says of the table of responses: counts, which the engine makes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from spavl.audit.tallies import tally_by

if TYPE_CHECKING:
    from spavl.stage import Tables

# What str.strip() takes off: a text of nothing else is blank
_NOT_BLANK = (
    r"[^\x09-\x0D\x1C-\x20\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}]"
)


def outcomes_by_model(tables: Tables, responses: str) -> dict[str, Counter[str]]:
    """Model -> number of its responses with each outcome, models sorted."""
    return tally_by(tables, responses, "model", "outcome")


def counts_of(tables: Tables, responses: str, outcomes: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """Of the view `responses`, whose `outcomes_by_model` are known already."""
    num_questions, num_blank = tables.sql(
        f"""SELECT count(DISTINCT question_id),
            count(*) FILTER (outcome = 'ok' AND NOT regexp_matches(text, '{_NOT_BLANK}')) FROM {responses}"""
    ).fetchall()[0]
    return {
        "questions": num_questions,
        "models": len(outcomes),
        "responses": sum(sum(found.values()) for found in outcomes.values()),
        "errors": sum(found.get("error", 0) for found in outcomes.values()),
        "blank": num_blank,
    }
