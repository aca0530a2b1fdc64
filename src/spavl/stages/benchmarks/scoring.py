"""Results of samples become scores: per benchmark, model and metric one share with its 95 % interval, and the paired change.

Samples of one cluster (one image) are not independent: every interval is by cluster (`spavl.statistics`). A sample that has no
value of a metric is left out of that metric; `unparsable_rate` and `error_rate` say how many those are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from spavl.contestants import ALIGNED
from spavl.stages.benchmarks.reading import SampleResult, from_json
from spavl.stages.benchmarks.roles import CHANGES
from spavl.stages.benchmarks.rows import BenchmarkRun, BenchmarkScore
from spavl.statistics import Interval, change_interval, rate_interval

RATE_INTERVAL, CHANGE_INTERVAL = "clopper_pearson_by_cluster", "paired_by_cluster"

Results = Mapping[str, SampleResult]


def score_runs(runs: Iterable[BenchmarkRun]) -> list[BenchmarkScore]:
    """All scores, sorted by id. A change is aligned minus base or champion, over the samples that both have a value for."""
    by_benchmark: dict[str, dict[str, BenchmarkRun]] = defaultdict(dict)
    for run in runs:
        by_benchmark[run.benchmark][run.model] = run
    scores = [score for of_model in by_benchmark.values() for score in _scores(of_model)]
    return sorted(scores, key=lambda score: score.id)


def _scores(of_model: Mapping[str, BenchmarkRun]) -> Iterator[BenchmarkScore]:
    results = {
        model: {result.id: result for result in from_json(run.samples)} for model, run in of_model.items()
    }
    for model, run in of_model.items():
        for metric in metrics_of(results[model]):
            hits = hits_of(results[model], metric)
            if hits:
                clusters = [results[model][id].cluster for id in hits]
                interval = rate_interval(list(hits.values()), clusters)
                yield _score(run, model, run.model_revision, metric, interval, len(hits), RATE_INTERVAL)
    for former, name in CHANGES.items():
        if former in of_model and ALIGNED in of_model:
            yield from _changes(name, of_model[former], of_model[ALIGNED], results[former], results[ALIGNED])


def _changes(
    name: str, former: BenchmarkRun, aligned: BenchmarkRun, of_former: Results, of_aligned: Results
) -> Iterator[BenchmarkScore]:
    for metric in metrics_of(of_aligned):
        before, after = hits_of(of_former, metric), hits_of(of_aligned, metric)
        paired = [id for id in after if id in before]
        if paired:
            differences = [int(after[id]) - int(before[id]) for id in paired]
            interval = change_interval(differences, [of_aligned[id].cluster for id in paired])
            revision = f"{former.model_revision}..{aligned.model_revision}"
            yield _score(aligned, name, revision, metric, interval, len(paired), CHANGE_INTERVAL)


def metrics_of(results: Results) -> list[str]:
    """Every metric that any sample has, sorted."""
    return sorted({metric for result in results.values() for metric in result.values})


def hits_of(results: Results, metric: str) -> dict[str, bool]:
    """Sample -> does the metric hold, for those that have a value."""
    values = ((id, result.values.get(metric)) for id, result in results.items())
    return {id: value for id, value in values if value is not None}


def _score(
    run: BenchmarkRun, model: str, revision: str, metric: str, interval: Interval, n: int, name: str
) -> BenchmarkScore:
    return BenchmarkScore(
        id=f"{run.benchmark}/{model}/{metric}", benchmark=run.benchmark, family=run.family, task=run.task, model=model, model_revision=revision,
        metric=metric, value=interval.value, low=interval.low, high=interval.high, n=n, interval=name, judge=run.judge,
        judge_revision=run.judge_revision, log=run.log,
    )  # fmt: skip


def attack_contents(runs: Iterable[BenchmarkRun]) -> set[str]:
    """All wordings and images of attacks, as `SampleResult.contents` has them."""
    return {
        content
        for run in runs
        if run.family == "attack"
        for result in from_json(run.samples)
        for content in result.contents
    }


def in_train(runs: Iterable[BenchmarkRun], train_contents: set[str]) -> set[tuple[str, str]]:
    """(benchmark, sample) of every attack whose wording or whose image stands in train."""
    attacks = (run for run in runs if run.family == "attack")
    return {
        (run.benchmark, result.id)
        for run in attacks
        for result in from_json(run.samples)
        if train_contents.intersection(result.contents)
    }
