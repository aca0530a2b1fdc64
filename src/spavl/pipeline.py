"""THE MAP: the stages in order, what each reads and writes, and which DAG runs it. Strings only: importing it is free.

A new stage is one row here and one folder, `spavl/stages/<stage>/` (`spavl.stages` says what is in it).
"""

from __future__ import annotations

from typing import NamedTuple


class StageInfo(NamedTuple):
    name: str  # folder, CLI argument, config section, suite, task group, storage prefix, test folder
    dag: str
    reads: tuple[str, ...]  # the stages whose artifacts it reads
    writes: str  # the row type of its table, in its rows.py
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
        "images",
        "refresh_preferences",
        (),
        "Image",
        "cpu",
        "rows",
        "image files that passed ingest, with class, licence and hash",
    ),
    StageInfo(
        "questions",
        "refresh_preferences",
        ("images",),
        "Question",
        "inference",
        "rows",
        "three kinds of question per image, and benign controls",
    ),
    StageInfo(
        "responses",
        "refresh_preferences",
        ("images", "questions"),
        "Response",
        "inference",
        "rows",
        "every model's answer to every question",
    ),
    StageInfo(
        "judgements",
        "refresh_preferences",
        ("images", "questions", "responses"),
        "Judgement",
        "inference",
        "rows",
        "harm, severity, refusal and helpfulness per response",
    ),
    StageInfo(
        "comparisons",
        "refresh_preferences",
        ("images", "questions", "responses", "judgements"),
        "Comparison",
        "inference",
        "rows",
        "two responses compared in both orders on both axes",
    ),
    StageInfo(
        "preferences",
        "refresh_preferences",
        ("images", "questions", "responses", "judgements", "comparisons"),
        "Preference",
        "cpu",
        "",
        "chosen and rejected, with margin and agreement",
    ),
    StageInfo(
        "dataset",
        "refresh_preferences",
        ("images", "questions", "preferences"),
        "DatasetRow",
        "cpu",
        "",
        "a dataset version: splits, card, manifest",
    ),
    StageInfo(
        "reward",
        "align_model",
        ("dataset",),
        "TrainingMetric",
        "training",
        "checkpoints",
        "a reward model for PPO, with its metric history",
        only_for="ppo",
    ),
    StageInfo(
        "training",
        "align_model",
        ("dataset", "reward"),
        "TrainingMetric",
        "training",
        "checkpoints",
        "a checkpoint aligned by DPO or PPO, with its metric history",
    ),
    StageInfo(
        "evaluation",
        "align_model",
        ("dataset", "training"),
        "Score",
        "inference",
        "rows",
        "base against aligned on held-out prompts: the release gate",
    ),
    StageInfo(
        "benchmarks",
        "align_model",
        ("dataset", "training"),
        "BenchmarkScore",
        "inference",
        "rows",
        "base against aligned on attacks, over-refusal and capability: Inspect tasks",
    ),
    StageInfo(
        "release",
        "align_model",
        ("dataset", "training", "evaluation", "benchmarks"),
        "ReleaseFile",
        "cpu",
        "",
        "the checkpoint under a channel, with card and manifest",
    ),
)

BY_NAME = {stage.name: stage for stage in STAGES}

DAGS = {
    dag: tuple(stage.name for stage in STAGES if stage.dag == dag)
    for dag in dict.fromkeys(stage.dag for stage in STAGES)
}


def stages_of(dag: str, method: str) -> tuple[str, ...]:
    """The stages of a run of this DAG, in order: those that `training.method` needs."""
    return tuple(name for name in DAGS[dag] if BY_NAME[name].only_for in ("", method))
