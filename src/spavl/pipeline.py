"""THE MAP: the stages in order, what each reads and writes, and which DAG runs it. Strings only: importing it is free.

A new stage is one row here, one package `spavl/<stage>/` with a `stage.py`, one config section and one suite.
"""

from __future__ import annotations

from typing import NamedTuple


class StageInfo(NamedTuple):
    name: str  # package, CLI argument, config section, suite, task group, storage prefix, test folder
    reads: tuple[str, ...]  # the stages whose artifacts it reads
    writes: str  # the row type in records.py
    runs_on: str  # cpu, inference or training
    work: str  # rows: shards answer items; checkpoints: it keeps what it has done itself; "": seal alone, no shards
    summary: str
    only_for: str = ""  # a value of training.method: with any other the stage is left out of a run

    @property
    def is_sharded(self) -> bool:
        """prepare → shards → seal; otherwise seal alone."""
        return bool(self.work)


STAGES = (
    StageInfo(
        "images", (), "Image", "cpu", "rows", "image files that passed ingest, with class, licence and hash"
    ),
    StageInfo(
        "questions",
        ("images",),
        "Question",
        "inference",
        "rows",
        "three kinds of question per image, and benign controls",
    ),
    StageInfo(
        "responses",
        ("images", "questions"),
        "Response",
        "inference",
        "rows",
        "every model's answer to every question",
    ),
    StageInfo(
        "judgements",
        ("images", "questions", "responses"),
        "Judgement",
        "inference",
        "rows",
        "harm, severity, refusal and helpfulness per response",
    ),
    StageInfo(
        "comparisons",
        ("images", "questions", "responses", "judgements"),
        "Comparison",
        "inference",
        "rows",
        "two responses compared in both orders on both axes",
    ),
    StageInfo(
        "preferences",
        ("images", "questions", "responses", "judgements", "comparisons"),
        "Preference",
        "cpu",
        "",
        "chosen and rejected, with margin and agreement",
    ),
    StageInfo(
        "dataset",
        ("images", "questions", "preferences"),
        "DatasetRow",
        "cpu",
        "",
        "a dataset version: splits, card, manifest",
    ),
    StageInfo(
        "reward",
        ("dataset",),
        "TrainingMetric",
        "training",
        "checkpoints",
        "a reward model for PPO, with its metric history",
        only_for="ppo",
    ),
    StageInfo(
        "training",
        ("dataset", "reward"),
        "TrainingMetric",
        "training",
        "checkpoints",
        "a checkpoint aligned by DPO or PPO, with its metric history",
    ),
    StageInfo(
        "evaluation",
        ("dataset", "training"),
        "Score",
        "inference",
        "rows",
        "base against aligned on held-out prompts: the release gate",
    ),
    StageInfo(
        "benchmarks",
        ("dataset", "training"),
        "BenchmarkScore",
        "inference",
        "rows",
        "base against aligned on attacks, over-refusal and capability: Inspect tasks",
    ),
    StageInfo(
        "release",
        ("dataset", "training", "evaluation", "benchmarks"),
        "ReleaseFile",
        "cpu",
        "",
        "the checkpoint under a channel, with card and manifest",
    ),
)

BY_NAME = {stage.name: stage for stage in STAGES}

DAGS = {
    "refresh_preferences": (
        "images",
        "questions",
        "responses",
        "judgements",
        "comparisons",
        "preferences",
        "dataset",
    ),
    "align_model": ("reward", "training", "evaluation", "benchmarks", "release"),
}


def stages_of(dag: str, method: str) -> tuple[str, ...]:
    """The stages of a run of this DAG, in order: those that `training.method` needs."""
    return tuple(name for name in DAGS[dag] if BY_NAME[name].only_for in ("", method))
