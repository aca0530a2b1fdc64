"""One plan per run, written once: everything a run decides at its start, so that nothing reads "the latest" in the middle.

The run id is a UTC date plus a hash of (installation, DAG, Airflow run id): safe in paths and object names, and the same
again after a clear, however late.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import spavl
from spavl import records
from spavl.artifacts import channel, forgotten
from spavl.artifacts.record import read_record
from spavl.artifacts.store import Store
from spavl.config import Config
from spavl.decision import planned_decision
from spavl.errors import UserError
from spavl.kinship import refuse_kinship
from spavl.models_used import pinned_revisions
from spavl.pipeline import BY_NAME, DAGS, stages_of
from spavl.profiles import load_config
from spavl.records import stable_hash

_RUN_ID = re.compile(r"^\d{8}-[0-9a-f]{10}$")
OLDEST_REFRESH = datetime.timedelta(hours=24)  # a nightly run that waited longer is a past night


@dataclass(frozen=True)
class Plan:
    """`runs/<run_id>/plan.json`."""

    run_id: str
    dag: str
    airflow_run_id: str
    created_at: str  # UTC, ISO 8601
    code_version: str
    profile: str
    overrides: list[str]
    config: dict[str, Any]  # resolved
    revisions: dict[str, str]  # model name -> pinned revision
    suites: dict[str, str]  # stage -> text of its suite
    heads: dict[str, int]  # channel -> number of its newest entry; 0 for none
    inputs: dict[str, dict[str, str]] = field(
        default_factory=dict
    )  # stage of another run -> {run_id, fingerprint}
    previous: dict[str, dict[str, str]] = field(
        default_factory=dict
    )  # stage -> {run_id, fingerprint} of the former dataset version, or of the former release
    reuse_runs: list[str] = field(default_factory=list)  # newest first
    image_digests: dict[str, str] = field(
        default_factory=dict
    )  # container image -> digest, "" for a tag, where stages run in containers
    skip_reason: str = ""  # why there is nothing to do
    references: dict[str, dict[str, str]] = field(
        default_factory=dict
    )  # champion, best_harm, best_help -> {run_id, fingerprint} of an earlier release to compare with
    decision_number: int = 1  # of the decisions since the last release, if no other run decides first
    forgotten: int = 0  # entries of the list of images that never come back
    last_release: int = 0  # number of the release channel's last published entry
    decision: dict[str, Any] = field(default_factory=dict)  # its level, prompts and power, for people

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), indent=1, sort_keys=True, ensure_ascii=False).encode()

    @property
    def resolved(self) -> Config:
        return Config.model_validate(self.config)

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages of this run, in order: those of its DAG that its method needs."""
        return stages_of(self.dag, self.config["training"]["method"])

    def reads(self, stage: str) -> tuple[str, ...]:
        """What a stage reads in this run: what the map says, without the stages that are left out."""
        left_out = set(DAGS[self.dag]) - set(self.stages)
        return tuple(name for name in BY_NAME[stage].reads if name not in left_out)


def plan_path(run_id: str) -> str:
    return f"runs/{run_id}/plan.json"


def check_run_id(run_id: str) -> str:
    """The run id itself; raises UserError where it is not of the form spavl makes."""
    if not _RUN_ID.match(run_id):
        raise UserError(
            f"{run_id!r} is not a run id.",
            next_step="A run id is YYYYMMDD-<10 hex digits>; `spavl status` lists them.",
        )
    return run_id


def read_plan(store: Store, run_id: str) -> Plan:
    """The plan of a run; raises UserError where there is none."""
    try:
        return Plan(**json.loads(store.read(plan_path(check_run_id(run_id)))))
    except FileNotFoundError:
        raise UserError(
            f"there is no run {run_id} in {store.url}.",
            next_step="`spavl status` lists the runs; `spavl plan` makes one.",
        ) from None


def run_key(installation: str, dag: str, airflow_run_id: str) -> str:
    """The hash part of a run id: 10 hex digits."""
    return stable_hash(installation, dag, airflow_run_id)[:10]


def find_run(store: Store, key: str) -> str | None:
    """The run id that ends with this key, whatever its date; None where the run was never planned."""
    return next(
        (name for name in store.names("runs") if name.endswith(f"-{key}") and _RUN_ID.match(name)), None
    )


def make_plan(
    store: Store,
    *,
    dag: str,
    airflow_run_id: str,
    profile: str,
    overrides: Sequence[str] = (),
    logical_date: datetime.datetime | None = None,
    dataset_run: str | None = None,
    now: datetime.datetime | None = None,
) -> Plan:
    """Write the run's plan, or return the one it already has.

    `dataset_run` chooses a dataset version other than the channel's head. Raises UserError for an unknown DAG or profile,
    a refresh of a past night, or an alignment without a dataset version.
    """
    if dag not in DAGS:
        raise UserError(f"there is no DAG {dag!r}.", next_step=f"Known are {', '.join(DAGS)}.")
    now = now or datetime.datetime.now(datetime.UTC)
    config = load_config(profile, overrides)
    key = run_key(config.installation, dag, airflow_run_id)
    if found := find_run(store, key):
        return read_plan(store, found)
    if dag == "refresh_preferences" and logical_date and now - logical_date > OLDEST_REFRESH:
        raise UserError(
            f"a refresh of a past night ({logical_date:%Y-%m-%d %H:%M} UTC) is refused: its inputs would be today's.",
            next_step="Trigger a new run instead.",
        )
    plan = _new_plan(
        store, config, dag, airflow_run_id, f"{now:%Y%m%d}-{key}", list(overrides), dataset_run, now
    )
    if not store.create(plan_path(plan.run_id), plan.to_json()):
        return read_plan(store, plan.run_id)
    return plan


def _new_plan(
    store: Store,
    config: Config,
    dag: str,
    airflow_run_id: str,
    run_id: str,
    overrides: list[str],
    dataset_run: str | None,
    now: datetime.datetime,
) -> Plan:
    refuse_kinship(config)
    heads = {name: channel.head(store, name) for name in (config.dataset.channel, config.release.channel)}
    dataset_head = heads[config.dataset.channel]
    revisions = pinned_revisions(config, dag)
    inputs: dict[str, dict[str, str]] = {}
    skip_reason = ""
    if dag == "align_model":
        _check_benchmarks(config)
        inputs["dataset"] = _chosen_dataset(store, config, dataset_head, dataset_run)
        skip_reason = _already_aligned(store, config, inputs["dataset"]["fingerprint"], revisions)
    suites = {stage: _suite(stage, config.expectations) for stage in DAGS[dag]}
    former = heads[config.release.channel] if dag == "align_model" else dataset_head
    if "judgements" in suites:
        _check_gold(config, suites["judgements"])
    return Plan(
        run_id=run_id,
        dag=dag,
        airflow_run_id=airflow_run_id,
        created_at=now.isoformat(timespec="microseconds"),
        code_version=spavl.__version__,
        profile=config.profile,
        overrides=overrides,
        config=config.model_dump(mode="json"),
        revisions=revisions,
        suites=suites,
        heads={name: entry.number if entry else 0 for name, entry in heads.items()},
        inputs=inputs,
        previous=dict.fromkeys(DAGS[dag], _named(former)) if former else {},
        reuse_runs=_reusable_runs(store, dag, config.reuse.max_runs),
        image_digests=_images(config, dag),
        skip_reason=skip_reason,
        forgotten=forgotten.num_entries(store),
        **(_decision(store, config, inputs["dataset"], suites) if inputs else {}),
    )


def _decision(
    store: Store, config: Config, dataset: dict[str, str], suites: dict[str, str]
) -> dict[str, Any]:
    """The plan's fields about the release decision."""
    record = read_record(store, dataset["run_id"], "dataset")
    assert record is not None, "the dataset version was just chosen"
    return planned_decision(store, config, record, suites["evaluation"])


def _named(entry: channel.Entry) -> dict[str, str]:
    return {"run_id": entry.run_id, "fingerprint": entry.fingerprint}


def _suite(stage: str, variant: str | None) -> str:
    """The text of a stage's suite, read strictly: a misspelt expectation stops the night before it starts."""
    from spavl.validation import find_suite, load_suite

    text = find_suite(stage, variant)
    load_suite(text, getattr(records, BY_NAME[stage].writes))
    return text


def _check_benchmarks(config: Config) -> None:
    """A benchmark that cannot run stops the night before it starts; on a cluster only the pods hold Inspect."""
    from spavl.benchmarks.resolving import check_files, check_tasks

    if config.launch.kind != "kubernetes":
        check_tasks(config.benchmarks.tasks)
        check_files(config.benchmarks.tasks)


def _check_gold(config: Config, suite_text: str) -> None:
    """A gold set that contradicts itself, or lacks what the suite limits, stops the night before it starts."""
    from spavl.judging.gold_set import check_gold_set
    from spavl.validation import load_suite

    if config.judgements.judge is None:
        return
    suite = load_suite(suite_text, records.Judgement)
    check_gold_set(config.judgements.gold, {name for each in suite.expectations for name in each.columns})


def _images(config: Config, dag: str) -> dict[str, str]:
    """The container images of this run; a missing one stops it before it starts."""
    from spavl.launch.needs import images_used

    if config.launch.kind != "kubernetes":
        return {}
    return images_used(config, stages_of(dag, config.training.method))


def _chosen_dataset(
    store: Store, config: Config, head: channel.Entry | None, dataset_run: str | None
) -> dict[str, str]:
    run_id = check_run_id(dataset_run) if dataset_run else head.run_id if head else None
    if run_id is None:
        raise UserError(
            f"channel {config.dataset.channel!r} has no dataset version yet.",
            next_step="Run refresh_preferences first.",
        )
    record = read_record(store, run_id, "dataset")
    if record is None:
        raise UserError(
            f"run {run_id} has no dataset version.", next_step="`spavl status` shows which runs have one."
        )
    return {"run_id": run_id, "fingerprint": record.fingerprint}


def alignment_key(config: Config, dataset_fingerprint: str, revisions: dict[str, str]) -> str:
    """What makes two alignments the same: dataset version, config of training, evaluation and benchmarks, revisions of their models."""
    reward = config.reward.model_dump(mode="json") if config.training.method == "ppo" else None
    return stable_hash(
        dataset_fingerprint,
        reward,
        config.training.model_dump(mode="json"),
        config.evaluation.model_dump(mode="json"),
        config.benchmarks.model_dump(mode="json"),
        revisions,
    )


def _already_aligned(
    store: Store, config: Config, dataset_fingerprint: str, revisions: dict[str, str]
) -> str:
    key = alignment_key(config, dataset_fingerprint, revisions)
    for entry in reversed(channel.history(store, config.release.channel)):
        if entry.details.get("alignment_key") == key and entry.action == "publish":
            return f"this dataset version is already aligned with this recipe: run {entry.run_id}, entry {entry.number} of channel {config.release.channel!r}"
    return ""


def _reusable_runs(store: Store, dag: str, max_runs: int) -> list[str]:
    """Up to `max_runs` earlier runs of this DAG, newest first. Dates in run ids bound how many plans are read."""
    by_date: dict[str, list[str]] = {}
    for name in store.names("runs"):
        if _RUN_ID.match(name) and store.exists(plan_path(name)):
            by_date.setdefault(name[:8], []).append(name)
    chosen: list[str] = []
    for date in sorted(by_date, reverse=True):
        plans = [plan for plan in (read_plan(store, name) for name in by_date[date]) if plan.dag == dag]
        chosen += [plan.run_id for plan in sorted(plans, key=lambda plan: plan.created_at, reverse=True)]
        if len(chosen) >= max_runs:
            break
    return chosen[:max_runs]
