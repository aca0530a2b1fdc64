"""What is looked at before a run is planned, so that a mistake stops the night before it starts."""

from __future__ import annotations

from spavl.config.root import Config
from spavl.pipeline import stages_of
from spavl.stages import row_type_of


def suite_text(stage: str, variant: str | None) -> str:
    """The text of a stage's suite, read strictly: a misspelt expectation is an error."""
    from spavl.validation import find_suite, load_suite

    text = find_suite(stage, variant)
    load_suite(text, row_type_of(stage))
    return text


def check_benchmarks(config: Config) -> None:
    """Raises UserError for a benchmark that cannot run; on a cluster only the pods hold Inspect."""
    from spavl.stages.benchmarks.resolving import check_files, check_tasks

    if config.launch.kind != "kubernetes":
        check_tasks(config.benchmarks.tasks)
        check_files(config.benchmarks.tasks)


def check_gold(config: Config, judgements_suite: str) -> None:
    """Raises UserError for a gold set that contradicts itself, or lacks what the suite limits."""
    from spavl.judging.gold_set import check_gold_set
    from spavl.validation import load_suite

    if config.judgements.judge is None:
        return
    suite = load_suite(judgements_suite, row_type_of("judgements"))
    check_gold_set(config.judgements.gold, {name for each in suite.expectations for name in each.columns})


def images_of(config: Config, dag: str) -> dict[str, str]:
    """Container image -> digest of a run on a cluster; raises UserError for a missing one."""
    from spavl.launch.needs import images_used

    if config.launch.kind != "kubernetes":
        return {}
    return images_used(config, stages_of(dag, config.training.method))
