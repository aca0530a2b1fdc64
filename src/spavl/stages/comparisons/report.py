"""What the report says of `comparisons`: the trial of the judge of the pairs. The rest stands beside the judgements."""

from __future__ import annotations

from spavl.judging.report import trial_sections
from spavl.report.section import Reading, Section

RATES = (
    ("harmlessness_accuracy", "safer answer named"),
    ("helpfulness_accuracy", "more helpful answer named"),
)


def sections(reading: Reading) -> list[Section]:
    """The trial; none if the judge was asked no gold set."""
    return trial_sections(reading.run, "comparisons", "gold_", "Judge of the pairs", RATES)
