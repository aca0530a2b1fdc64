"""Which runs are kept, and why. Reads plans and channel entries; removes nothing."""

from __future__ import annotations

import datetime
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from spavl.artifacts import channel, pins
from spavl.artifacts.standing import earlier_releases
from spavl.artifacts.store import Store
from spavl.plan import Plan, plan_path

DATASET, RELEASE = "dataset", "release"


@dataclass(frozen=True)
class Policy:
    """What to keep beside heads, pins and what these were made from."""

    keep_runs: int = 7  # newest runs of all
    keep_datasets: int = 14  # newest versions of each dataset channel
    keep_releases: int = 30  # newest entries of each release channel
    older_than_days: float = 0  # a younger version stays, whatever its number


@dataclass(frozen=True)
class Reach:
    """Every run of the store."""

    plans: Mapping[str, Plan]
    reasons: Mapping[str, Sequence[str]] = field(default_factory=dict)  # run -> why it is kept
    planless: Sequence[str] = ()  # folders without a plan: what a killed prune has left

    @property
    def kept(self) -> list[str]:
        return [run for run in self.plans if run in self.reasons]

    @property
    def doomed(self) -> list[str]:
        """Oldest first, those without a plan before them."""
        return [*self.planless, *(run for run in self.plans if run not in self.reasons)]


def reach(
    store: Store, policy: Policy, now: datetime.datetime, holding: Collection[str] = frozenset()
) -> Reach:
    """All runs by date, with the reasons to keep them; neither number nor age is a reason for a run of `holding`."""
    plans, planless = _plans(store)
    reasons: dict[str, list[str]] = {}
    newest = list(plans)[max(0, len(plans) - policy.keep_runs) :] if policy.keep_runs else []
    for run in [run for run in newest if run not in holding]:
        reasons.setdefault(run, []).append(f"among the {policy.keep_runs} newest runs")
    for run, pin in pins.pins(store).items():
        reasons.setdefault(run, []).append(f"pinned by {pin.by}: {pin.reason}")
    for name in store.names("channels"):
        entries = channel.history(store, name)
        for run, why in _by_number_and_age(name, entries, policy, now):
            if run not in holding:
                reasons.setdefault(run, []).append(why)
        for run, why in _in_use(name, entries):
            reasons.setdefault(run, []).insert(0, why)
    _follow(plans, reasons)
    return Reach(plans, {run: why for run, why in reasons.items() if run in plans}, planless)


def _plans(store: Store) -> tuple[dict[str, Plan], list[str]]:
    plans, planless = {}, []
    for run in store.names("runs"):
        try:
            plans[run] = Plan(**json.loads(store.read(plan_path(run))))
        except FileNotFoundError:
            planless.append(run)
    return dict(sorted(plans.items(), key=lambda item: item[1].created_at)), planless


def _in_use(name: str, entries: Sequence[channel.Entry]) -> list[tuple[str, str]]:
    """(run, why) of a channel's head, and of the releases that the next one is compared with."""
    if not entries:
        return []
    found = [(entries[-1].run_id, f"head of {name}")]
    if entries[-1].stage == RELEASE:
        for role, release in earlier_releases(entries).items():
            if release["run_id"] != entries[-1].run_id:
                found.append((release["run_id"], f"{role} of {name}: the next release is compared with it"))
    return found


def _by_number_and_age(
    name: str, entries: Sequence[channel.Entry], policy: Policy, now: datetime.datetime
) -> list[tuple[str, str]]:
    """(run, why) of a channel's newest versions, and of those that are younger than the policy says."""
    if not entries:
        return []
    newest_first = list(dict.fromkeys(entry.run_id for entry in reversed(entries)))
    number = policy.keep_datasets if entries[-1].stage == DATASET else policy.keep_releases
    found = [(run, f"among the {number} newest of {name}") for run in newest_first[:number]]
    if policy.older_than_days:
        border = (now - datetime.timedelta(days=policy.older_than_days)).isoformat()
        young = {entry.run_id for entry in entries if entry.created_at > border}
        found += [(run, f"of {name}, younger than {policy.older_than_days:g} days") for run in sorted(young)]
    return found


def _follow(plans: Mapping[str, Plan], reasons: dict[str, list[str]]) -> None:
    """Keep what kept runs were made from: their inputs, and the releases that they are compared with."""
    waiting = list(reasons)
    while waiting:
        run = waiting.pop()
        if run not in plans:
            continue
        plan = plans[run]
        for other in [*plan.inputs.values(), *plan.references.values()]:
            source = other["run_id"]
            if source not in reasons:
                reasons[source] = [f"run {run} was made from it"]
                waiting.append(source)
