"""An Inspect log as numbers: what each sample scored, as yes and no, with what it is counted and looked for by. No text leaves it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample
    from inspect_ai.scorer import Score

ERROR_RATE = "error_rate"


@dataclass(frozen=True, slots=True)
class SampleResult:
    """One sample of one benchmark and one model."""

    id: str
    cluster: str  # samples of one cluster are not independent: mostly the image's id
    values: Mapping[str, bool | None]  # metric -> does it hold; None if the scorer came to no value
    contents: tuple[str, ...] = ()  # hashes that train must not hold; empty if it may


def results_of(log: EvalLog, hit_from: float) -> list[SampleResult]:
    """The samples of a log, in its order; a score of at least `hit_from` is a yes."""
    return [_result(sample, hit_from) for sample in log.samples or ()]


def uses_model(log: EvalLog, name: str) -> bool:
    """Whether any sample asked this model, for instance the judge."""
    return any(name in sample.model_usage for sample in log.samples or ())


def to_json(results: Iterable[SampleResult]) -> str:
    return json.dumps([asdict(result) for result in results])


def from_json(text: str) -> list[SampleResult]:
    """What `to_json` wrote."""
    return [SampleResult(**{**entry, "contents": tuple(entry["contents"])}) for entry in json.loads(text)]


def _result(sample: EvalSample, hit_from: float) -> SampleResult:
    about = sample.metadata or {}
    number = "" if sample.epoch == 1 else f"/{sample.epoch}"
    values: dict[str, bool | None] = {ERROR_RATE: sample.error is not None}
    for name, score in (sample.scores or {}).items():
        values |= {metric: _hit(value, hit_from) for metric, value in _values(name, score).items()}
    return SampleResult(
        f"{sample.id}{number}", str(about.get("cluster", sample.id)), values, tuple(about.get("contents", ()))
    )


def _values(scorer: str, score: Score) -> Mapping[str, Any]:
    """Metric -> value: the parts of a score that has several, or the score under its scorer's name."""
    if isinstance(score.value, Mapping):
        return score.value
    return {scorer.rpartition("/")[2]: score.value}


def _hit(value: Any, hit_from: float) -> bool | None:
    from inspect_ai.scorer import value_to_float

    number = (
        value if isinstance(value, int | float) else value_to_float()(value)
    )  # "C" is 1, "P" 0.5, "I" and "N" 0
    return None if value is None or math.isnan(number) else bool(number >= hit_from)
