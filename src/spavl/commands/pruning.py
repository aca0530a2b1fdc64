"""The command `prune`: shows what is kept and why, and what would go, in rows and bytes; removes it when told to."""

from __future__ import annotations

import argparse
import datetime
import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table as Shown

from spavl.artifacts import forgotten, pins
from spavl.artifacts.lease import is_held
from spavl.artifacts.store import Store, open_store
from spavl.config import spavl_home
from spavl.errors import TryAgain
from spavl.outcome import Outcome
from spavl.plan import plan_path, read_plan
from spavl.retention.contents import Contents, contents_of_run, image_ids, runs_holding, together
from spavl.retention.reach import Policy, Reach, reach

REFERENCES = "references"  # log-probabilities, by base; learning/references.py writes them
MIN_AGE_S = 3600.0  # a younger part may be a seal's that has not written its record yet


@dataclass(frozen=True)
class _Doomed:
    """All that goes."""

    runs: list[str]
    parts: list[str]
    blobs: list[str]
    references: list[str]
    num_rows: int
    num_bytes: int

    def counts(self) -> dict[str, int]:
        return {
            "runs": len(self.runs),
            "parts": sum(not path.endswith(".ids.parquet") for path in self.parts),
            "blobs": len(self.blobs),
            "references": len(self.references),
            "rows": self.num_rows,
            "bytes": self.num_bytes,
        }


def prune(arguments: argparse.Namespace) -> Outcome:
    """Everything is read before anything is removed, so a store that does not answer removes nothing."""
    store = open_store()
    policy = Policy(
        arguments.keep_runs, arguments.keep_datasets, arguments.keep_releases, arguments.older_than_days
    )
    holding = runs_holding(store, forgotten.image_ids(store)) if arguments.forgotten else frozenset()
    reached = reach(store, policy, datetime.datetime.now(datetime.UTC), holding)
    sizes = store.sizes("runs")
    contents = {run: contents_of_run(store, plan, sizes) for run, plan in reached.plans.items()}
    doomed = _doomed(store, reached, contents, sizes)
    _show(store, reached, contents, sizes, doomed)
    counts = {**doomed.counts(), "kept_runs": len(reached.kept)}
    if not arguments.yes:
        return Outcome(
            "prune",
            verdict="skipped",
            counts=counts,
            next_step="Nothing was removed; add --yes to remove what is shown.",
        )
    _refuse_work_in_hand(store, reached)
    _remove(store, doomed)
    return Outcome("prune", counts=counts)


def pin(arguments: argparse.Namespace) -> Outcome:
    """Keep a run whatever its age, or no longer."""
    store = open_store()
    read_plan(store, arguments.run_id)
    if arguments.remove:
        pins.unpin(store, arguments.run_id)
        return Outcome("pin", run_id=arguments.run_id, verdict="done", next_step="It is pinned no longer.")
    at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    pins.pin(store, pins.Pin(arguments.run_id, arguments.by, arguments.reason, at))
    return Outcome("pin", run_id=arguments.run_id)


def _doomed(
    store: Store, reached: Reach, contents: Mapping[str, Contents], sizes: Mapping[str, int]
) -> _Doomed:
    kept = together(contents[run] for run in reached.kept)
    goes = together(contents[run] for run in reached.doomed if run in contents)
    part_sizes = store.sizes("parts")
    parts = _old(store, sorted(set(part_sizes) - kept.files))
    references = set() if kept.uses_all_references else set(store.names(REFERENCES)) - kept.references
    reference_sizes = store.sizes(REFERENCES) if references else {}
    blobs = _blobs(store, kept)
    num_bytes = sum(num for path, num in sizes.items() if path.split("/")[1] in set(reached.doomed))
    num_bytes += sum(part_sizes[path] for path in parts) + sum(blobs.values())
    num_bytes += sum(num for path, num in reference_sizes.items() if path.split("/")[1] in references)
    only_theirs = [part.num_rows for path, part in goes.parts.items() if path not in kept.parts]
    return _Doomed(reached.doomed, parts, sorted(blobs), sorted(references), sum(only_theirs), num_bytes)


def _blobs(store: Store, kept: Contents) -> dict[str, int]:
    """Images that no kept run names, with their bytes."""
    if kept.uses_all_blobs:
        return {}
    named = image_ids(store, kept.image_tables)
    return {digest: num_bytes for digest, num_bytes in store.blobs.sizes() if digest not in named}


def _old(store: Store, paths: Iterable[str]) -> list[str]:
    """Those that are older than MIN_AGE_S."""
    ages: dict[str, dict[str, float]] = {}
    found, now = [], time.time()
    for path in paths:
        folder, _, name = path.rpartition("/")
        if folder not in ages:
            ages[folder] = store.ages(folder)
        if now - ages[folder].get(name, now) > MIN_AGE_S:
            found.append(path)
    return found


def _show(
    store: Store, reached: Reach, contents: Mapping[str, Contents], sizes: Mapping[str, int], doomed: _Doomed
) -> None:
    table = Shown(title=f"runs in {store.url}")
    for column in ("run", "DAG", "planned (UTC)", "rows", "MB", "stays because"):
        table.add_column(
            column, no_wrap=column != "stays because", justify="right" if column in ("rows", "MB") else "left"
        )
    of_run: dict[str, int] = {}
    for path, num_bytes in sizes.items():
        run = path.split("/")[1]
        of_run[run] = of_run.get(run, 0) + num_bytes
    for run, plan in reached.plans.items():
        why = "; ".join(reached.reasons.get(run, ())) or "[bold]goes[/bold]"
        table.add_row(
            run,
            plan.dag,
            plan.created_at[:16],
            f"{contents[run].num_rows:,}",
            f"{of_run.get(run, 0) / 1e6:.1f}",
            why,
        )
    console = Console(stderr=True, width=None if sys.stderr.isatty() else 160)
    console.print(table)
    console.print(
        f"goes: {len(doomed.runs)} runs, {doomed.counts()['parts']} parts that only they list ({doomed.num_rows:,} rows), "
        f"{len(doomed.blobs)} images, reference log-probabilities of {len(doomed.references)} bases: "
        f"{doomed.num_bytes / 1e6:.1f} MB"
    )


def _refuse_work_in_hand(store: Store, reached: Reach) -> None:
    """A step that is at work, or was since the runs were read, may have added parts and images that nothing lists yet."""
    paths = [path.split("/") for path in store.walk("runs")]
    known = {*reached.plans, *reached.planless}
    if later := next((run for _, run, *_ in paths if run not in known), None):
        raise TryAgain(
            f"run {later} was planned meanwhile.", next_step="Nothing was removed. Run prune again."
        )
    leases = {tuple(path[1:5]) for path in paths if path[3:4] == ["leases"]}
    for run, stage, _, unit in sorted(leases):
        if is_held(store, f"runs/{run}/{stage}/leases/{unit}"):
            raise TryAgain(
                f"`{stage}` of run {run} is at work ({unit}).",
                next_step="Nothing was removed. Run prune again when it has ended.",
            )


def _remove(store: Store, doomed: _Doomed) -> None:
    """The plan goes first of a run: without it, it is a run no more, and after a kill goes on going whatever had doomed it.

    Then the parts, images and reference log-probabilities that no run lists.
    """
    for run in doomed.runs:
        store.remove_files([plan_path(run)])
        store.remove(f"runs/{run}")
    store.remove_files(doomed.parts)
    store.remove_blobs(doomed.blobs)
    for name in doomed.references:
        store.remove(f"{REFERENCES}/{name}")
    shutil.rmtree(spavl_home() / "scratch", ignore_errors=True)
    shutil.rmtree(spavl_home() / "cache" / "parts", ignore_errors=True)
