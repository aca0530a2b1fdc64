"""`preferences`: puts the askings of each pair together, decides it, and audits labels and pairs. Seal alone: nothing is asked."""

from __future__ import annotations

from spavl.sql import refuse_strays
from spavl.stage import Answered, Sealed, StageContext
from spavl.stages.preferences.auditing import audit
from spavl.stages.preferences.counting import num_broken_pairs, pair_counts, pair_details
from spavl.stages.preferences.deciding import ASKINGS
from spavl.stages.preferences.pairing import PREFERENCES, open_pairs

_NAMES = (  # rows, the column that names another row, and the table of that
    ("questions", "image_id", "images"),
    ("judgements", "image_id", "images"),
    ("comparisons", "question_id", "questions"),
    ("comparisons", "response_a", "responses"),
    ("comparisons", "response_b", "responses"),
)


def seal(ctx: StageContext, answered: Answered) -> Sealed:
    """The decided pairs, by image and question; every dropped one is counted with its reason.

    Raises UserError if a row names one that is not in the table that it should be in.
    """
    tables, section = ctx.tables, ctx.section()
    for stage in ("images", "questions", "responses", "judgements", "comparisons"):
        tables.open(stage)
    for rows, key, named in _NAMES:
        refuse_strays(tables, rows, key, named)
    open_pairs(tables, ctx.scratch, section.min_agreement, section.min_benign_helpfulness)
    num_broken = num_broken_pairs(tables, len(ASKINGS))
    assert num_broken == 0, f"{num_broken} pairs have no asking per axis and order, or no question or answers"
    models = [model.name for model in ctx.config.responses.models]
    measures, evidence = audit(tables, models, tables.former("images") is not None)
    counts = pair_counts(tables)
    return Sealed(
        rows=tables.sql(PREFERENCES),
        counts=counts,
        details=pair_details(tables, counts) | {"audit": evidence},
        measures=measures,
    )
