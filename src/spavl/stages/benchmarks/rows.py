"""The rows of `benchmarks`: one per Inspect log, and the scores."""

from __future__ import annotations

from dataclasses import dataclass

BENCHMARK_FAMILIES = (
    "attack",
    "over_refusal",
    "capability",
    "other",
)  # what a benchmark asks for: harm in a disguise, harmless help that looks like harm, skill


@dataclass(frozen=True, slots=True)
class BenchmarkRun:
    """One Inspect task put to one model: where its log is, and what each sample scored. It holds no prompt and no answer."""

    id: str  # hash of (task and its version, arguments, model revision, judge and its revision, dataset version, sampling)
    benchmark: str  # its name in the profile
    family: str  # one of BENCHMARK_FAMILIES
    task: str  # the Inspect task, as the profile names it
    model: str  # base, aligned or champion
    model_revision: str
    judge: str  # the judging model, or "inspect" if the task's own rule scored
    judge_revision: str
    log: str  # path of the Inspect log in the store
    num_samples: int
    num_errors: int  # samples that ended without a score
    samples: str  # JSON list: {id, cluster, values: {metric: number or null}, contents: [hashes that train must not hold]}
    outcome: str  # "ok", or "error" if no sample has a score


@dataclass(frozen=True, slots=True)
class BenchmarkScore:
    """One metric of one model on one benchmark: the share of its samples for which it holds, with the 95 % interval."""

    id: str  # "<benchmark>/<model>/<metric>"
    benchmark: str
    family: str  # one of BENCHMARK_FAMILIES
    task: str
    model: str  # base, aligned, champion, or change and change_from_champion (aligned minus that one, paired by sample)
    model_revision: str
    metric: str  # unsafe_rate, refusal_rate, neither_rate | over_refusal_rate, help_rate | right_rate | the task's own; unparsable_rate, error_rate
    value: float  # a share, 0 to 1 (change: -1 to 1)
    low: float  # lower end of the 95 % interval
    high: float
    n: int
    interval: str  # how it was made
    judge: str
    judge_revision: str
    log: str  # path of the Inspect log in the store (change: that of the aligned model)
