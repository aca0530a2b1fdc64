"""One plan per run, written once: everything a run decides at its start, so that nothing reads "the latest" in the middle.

The run id is a UTC date plus a hash of (installation, DAG, Airflow run id): safe in paths and object names, and the same
again after a clear, however late.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import spavl
from spavl.artifacts import channel, forgotten
from spavl.artifacts.record import read_record
from spavl.artifacts.store import Store
from spavl.config import spavl_home
from spavl.config.portable import home_free
from spavl.config.root import Config
from spavl.errors import UserError
from spavl.former_runs import RUN_ID, Known, Told, former_runs, to_keep
from spavl.kinship import refuse_kinship
from spavl.models_used import pinned_revisions
from spavl.pipeline import BY_NAME, DAGS, stages_of
from spavl.preflight import check_benchmarks, check_gold, images_of, suite_text
from spavl.records import stable_hash

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
    home: str = ""  # SPAVL_HOME where it was planned: hashes leave it out; "" in plans of former versions
    earlier: dict[str, list[list[str]]] | None = None  # DAG -> runs before this one (`former_runs.py`)

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
    """The run id itself; raises UserError if it is not of the form spavl makes."""
    if not RUN_ID.match(run_id):
        raise UserError(
            f"{run_id!r} is not a run id.",
            next_step="A run id is YYYYMMDD-<10 hex digits>; `spavl status` lists them.",
        )
    return run_id


def read_plan(store: Store, run_id: str) -> Plan:
    """The plan of a run; raises UserError if there is none."""
    if plan := find_plan(store, check_run_id(run_id)):
        return plan
    raise UserError(
        f"there is no run {run_id} in {store.url}.",
        next_step="`spavl status` lists the runs; `spavl plan` makes one.",
    )


def find_plan(store: Store, run_id: str) -> Plan | None:
    """The plan of a run, or None: it was never planned, or is being pruned."""
    try:
        return Plan(**json.loads(store.read(plan_path(run_id))))
    except FileNotFoundError:
        return None


def run_key(installation: str, dag: str, airflow_run_id: str) -> str:
    """The hash part of a run id: 10 hex digits."""
    return stable_hash(installation, dag, airflow_run_id)[:10]


def find_run(store: Store, key: str, names: Iterable[str] | None = None) -> str | None:
    """The run id that ends with this key, whatever its date; None if the run was never planned. `names` spares a listing."""
    names = store.names("runs") if names is None else names
    return next((name for name in names if name.endswith(f"-{key}") and RUN_ID.match(name)), None)


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
    from spavl.profiles import load_config

    if dag not in DAGS:
        raise UserError(f"there is no DAG {dag!r}.", next_step=f"Known are {', '.join(DAGS)}.")
    now = now or datetime.datetime.now(datetime.UTC)
    config = load_config(profile, overrides)
    key = run_key(config.installation, dag, airflow_run_id)
    names = store.names("runs")
    if found := find_run(store, key, names):
        return read_plan(store, found)
    if dag == "refresh_preferences" and logical_date and now - logical_date > OLDEST_REFRESH:
        raise UserError(
            f"a refresh of a past night ({logical_date:%Y-%m-%d %H:%M} UTC) is refused: its inputs would be today's.",
            next_step="Trigger a new run instead.",
        )
    refuse_kinship(config)
    plan = Plan(
        run_id=f"{now:%Y%m%d}-{key}",
        dag=dag,
        airflow_run_id=airflow_run_id,
        created_at=now.isoformat(timespec="microseconds"),
        code_version=spavl.__version__,
        profile=config.profile,
        overrides=list(overrides),
        config=config.model_dump(mode="json"),
        revisions=pinned_revisions(config, dag),
        suites={stage: suite_text(stage, config.expectations) for stage in DAGS[dag]},
        heads={},
        home=str(spavl_home()),
    )
    decided = _refresh if dag == "refresh_preferences" else _alignment
    plan = decided(store, config, plan, names, dataset_run)
    if not store.create(plan_path(plan.run_id), plan.to_json()):
        return read_plan(store, plan.run_id)
    return plan


def _refresh(store: Store, config: Config, plan: Plan, names: Sequence[str], dataset_run: str | None) -> Plan:
    """The plan with what a refresh takes from the store."""
    check_gold(config, plan.suites["judgements"])
    former = channel.head(store, config.dataset.channel)
    number = channel.head_number(store, config.release.channel)
    heads = {config.dataset.channel: former.number if former else 0, config.release.channel: number}
    return _with_runs(store, config, replace(plan, heads=heads), names, former)


def _alignment(
    store: Store, config: Config, plan: Plan, names: Sequence[str], dataset_run: str | None
) -> Plan:
    """The plan with what an alignment takes from the store."""
    from spavl.decision import planned_decision

    check_benchmarks(config)
    dataset_head = channel.head(store, config.dataset.channel)
    former = channel.head(store, config.release.channel)
    heads = {config.dataset.channel: dataset_head.number if dataset_head else 0}
    heads[config.release.channel] = former.number if former else 0
    dataset = _chosen_dataset(store, config, dataset_head, dataset_run)
    plan = replace(
        plan,
        heads=heads,
        inputs={"dataset": {"run_id": dataset.run_id, "fingerprint": dataset.fingerprint}},
        **planned_decision(store, config, dataset.counts, plan.suites["evaluation"], former),
    )
    plan = replace(plan, skip_reason=_already_aligned(store, plan, former))
    newest = max(
        (entry for entry in (dataset_head, former) if entry), key=lambda entry: entry.created_at, default=None
    )
    return _with_runs(store, config, plan, names, former, newest.run_id if newest else "")


def _with_runs(
    store: Store,
    config: Config,
    plan: Plan,
    names: Sequence[str],
    former: channel.Entry | None,
    first: str = "",
) -> Plan:
    """The plan with its former version and the runs that it may reuse."""
    most = config.reuse.max_runs
    runs = former_runs(names, partial(_told, store), most=most, first=first)
    there = set(names)
    named = {"run_id": former.run_id, "fingerprint": former.fingerprint} if former else {}
    return replace(
        plan,
        previous=dict.fromkeys(DAGS[plan.dag], named) if former else {},
        reuse_runs=[run.run_id for run in runs[plan.dag] if run.run_id in there][:most],
        earlier=to_keep(runs),
        image_digests=images_of(config, plan.dag),
        forgotten=forgotten.num_entries(store),
    )


def _told(store: Store, run_id: str) -> Told | None:
    """What a run's plan says of itself and of the runs before it; None if it has none."""
    plan = find_plan(store, run_id)
    return None if plan is None else (Known(plan.run_id, plan.dag, plan.created_at), plan.earlier)


class _Version(NamedTuple):
    """A dataset version."""

    run_id: str
    fingerprint: str
    counts: Mapping[str, int]


def _chosen_dataset(
    store: Store, config: Config, head: channel.Entry | None, dataset_run: str | None
) -> _Version:
    """What the form names or the channel points to; the entry itself says enough, but those of former versions."""
    if head is not None and channel.COUNTS in head.details and dataset_run in (None, head.run_id):
        return _Version(head.run_id, head.fingerprint, head.details[channel.COUNTS])
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
    return _Version(run_id, record.fingerprint, record.counts)


def alignment_key(config: Config, dataset_fingerprint: str, revisions: dict[str, str], home: str = "") -> str:
    """What makes two alignments the same: dataset version, config of training, evaluation and benchmarks, revisions of their models.

    Paths inside `home`, the plan's, count by their place in it.
    """
    sections = {
        name: getattr(config, name).model_dump(mode="json")
        for name in ("reward", "training", "evaluation", "benchmarks")
    }
    if config.training.method != "ppo":
        sections["reward"] = None
    return stable_hash(
        dataset_fingerprint, *(home_free(section, home) for section in sections.values()), revisions
    )


def alignment_key_of(plan: Plan) -> str:
    """Of a run of align_model."""
    return alignment_key(plan.resolved, plan.inputs["dataset"]["fingerprint"], plan.revisions, plan.home)


def _already_aligned(store: Store, plan: Plan, head: channel.Entry | None) -> str:
    name, keys = plan.config["release"]["channel"], [alignment_key_of(plan)]
    if head is not None and not head.standing:  # of a former version, whose keys held the home's place
        keys.append(alignment_key_of(replace(plan, home="")))
    found = channel.find_aligned(store, name, head, *keys)
    if found is None:
        return ""
    return f"this dataset version is already aligned with this recipe: run {found.run_id}, entry {found.number} of channel {name!r}"
