"""The command `prune`: shows what no channel entry and no kept run reaches, and removes it when told to."""

from __future__ import annotations

import argparse
import shutil
import sys
from typing import Any

from spavl.artifacts import channel
from spavl.artifacts.record import read_record, read_rows
from spavl.artifacts.store import Store, blob_path, open_store
from spavl.config import spavl_home
from spavl.learning.references import FOLDER as REFERENCES
from spavl.outcome import Outcome
from spavl.plan import read_plan
from spavl.records import Image


def prune(arguments: argparse.Namespace) -> Outcome:
    store = open_store()
    runs = store.names("runs")
    kept = _reached(store, runs, arguments.keep_runs)
    doomed_runs = [run for run in runs if run not in kept]
    blobs = {path.rsplit("/", 1)[1] for path in store.walk("blobs")}
    doomed_blobs = sorted(blobs - _blobs_of(store, kept))
    num_bytes = sum(store.size(path) for run in doomed_runs for path in store.walk(f"runs/{run}"))
    num_bytes += sum(store.size(blob_path(blob)) for blob in doomed_blobs)
    doomed_references = sorted(set(store.names(REFERENCES)) - _references_of(store, kept))
    num_bytes += sum(
        store.size(path) for name in doomed_references for path in store.walk(f"{REFERENCES}/{name}")
    )
    for run in doomed_runs:
        print(
            f"run {run}: reached by no channel entry and not among the {arguments.keep_runs} newest",
            file=sys.stderr,
        )
    print(
        f"{len(doomed_runs)} runs, {len(doomed_blobs)} images and the reference log-probabilities of "
        f"{len(doomed_references)} bases, {num_bytes / 1e6:.1f} MB",
        file=sys.stderr,
    )
    counts = {
        "runs": len(doomed_runs),
        "blobs": len(doomed_blobs),
        "references": len(doomed_references),
        "bytes": num_bytes,
        "kept_runs": len(kept),
    }
    if not arguments.yes:
        return Outcome(
            "prune",
            verdict="skipped",
            counts=counts,
            next_step="Nothing was removed; add --yes to remove what is shown.",
        )
    # plans last: a run without a plan is not a run any more, and a kill in between leaves something to prune again
    for run in doomed_runs:
        for path in store.walk(f"runs/{run}"):
            if not path.endswith("/plan.json"):
                store.remove(path)
        store.remove(f"runs/{run}")
    for blob in doomed_blobs:
        store.remove(blob_path(blob))
    for name in doomed_references:
        store.remove(f"{REFERENCES}/{name}")
    shutil.rmtree(spavl_home() / "scratch", ignore_errors=True)
    return Outcome("prune", counts=counts)


def _reached(store: Store, runs: list[str], num_newest: int) -> set[str]:
    """Runs that a channel entry names, the newest runs, and the runs that any of these was made from."""
    newest = sorted(runs, key=lambda run: _created_at(store, run), reverse=True)[:num_newest]
    waiting = [
        *newest,
        *(entry.run_id for name in store.names("channels") for entry in channel.history(store, name)),
    ]
    reached: set[str] = set()
    while waiting:
        run = waiting.pop()
        if run in reached or not store.exists(f"runs/{run}/plan.json"):
            continue
        reached.add(run)
        waiting += [source["run_id"] for source in read_plan(store, run).inputs.values()]
    return reached


def _created_at(store: Store, run: str) -> str:
    return read_plan(store, run).created_at if store.exists(f"runs/{run}/plan.json") else ""


def _blobs_of(store: Store, runs: set[str]) -> set[str]:
    """Digests of the images that the runs' tables name; a run still at work on its images keeps all of them."""
    digests: set[str] = set()
    for run in runs:
        record: Any = read_record(store, run, "images")
        if record is None and read_plan(store, run).dag == "refresh_preferences":
            return {path.rsplit("/", 1)[1] for path in store.walk("blobs")}
        if record is not None:
            digests |= {image.id for image in read_rows(store, record, Image)}
    return digests


def _references_of(store: Store, runs: set[str]) -> set[str]:
    """Folders of reference log-probabilities that the runs' trainings used; one still at work keeps all of them."""
    names: set[str] = set()
    for run in runs:
        record = read_record(store, run, "training")
        if record is None and read_plan(store, run).dag == "align_model":
            return set(store.names(REFERENCES))
        if record is not None and "references" in record.details:
            names.add(record.details["references"])
    return names
