"""What a decision rests on: intervals by image cluster, alpha over repeated nights, power, agreement, correction.

Pure: numbers in, numbers out; no tables, no stage's words. Several prompts share an image, so what is drawn is images:
every interval here takes the cluster of each value. Promise: an interval holds its level at few images too, and is
never without width (`tests/benchmarks/gate_statistics.py` measures both).
"""

from spavl.statistics.agreement import krippendorff_alpha
from spavl.statistics.changes import change_interval
from spavl.statistics.correction import corrected_rate
from spavl.statistics.decision import Expected, Margins, decision_power, decision_prompts_needed
from spavl.statistics.interval import Interval
from spavl.statistics.multiplicity import slice_alpha
from spavl.statistics.power import (
    ChangeCondition,
    Design,
    RateCondition,
    more_prompts_needed,
    power_of_decision,
    prompts_needed,
)
from spavl.statistics.rates import rate_interval
from spavl.statistics.spending import alpha_of_decision

__all__ = [
    "ChangeCondition",
    "Design",
    "Expected",
    "Interval",
    "Margins",
    "RateCondition",
    "alpha_of_decision",
    "change_interval",
    "corrected_rate",
    "decision_power",
    "decision_prompts_needed",
    "krippendorff_alpha",
    "more_prompts_needed",
    "power_of_decision",
    "prompts_needed",
    "rate_interval",
    "slice_alpha",
]
