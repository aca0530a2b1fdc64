"""The command `forget`: puts images on the list of those that never come back, and searches the store for them."""

from __future__ import annotations

import argparse
import datetime
import getpass
import sys
from collections import Counter
from pathlib import Path

from spavl.artifacts import forgotten
from spavl.artifacts.store import Store, open_store
from spavl.errors import EXIT_CHECK_FAILED, UserError
from spavl.outcome import Outcome
from spavl.plan import find_plan
from spavl.retention.search import Found, read_ids, search


def forget(arguments: argparse.Namespace) -> Outcome:
    """Add to the list (--images, with --reason), or search for all that is on it (--check)."""
    store = open_store()
    if arguments.images and arguments.check:
        ids = _ids(arguments.images)
    elif arguments.images:
        return _add(store, arguments)
    elif arguments.check:
        ids = sorted(forgotten.image_ids(store))
    else:
        raise UserError("forget needs --images FILE, or --check.", next_step="See `spavl forget --help`.")
    return _check(store, ids)


def _add(store: Store, arguments: argparse.Namespace) -> Outcome:
    if not (arguments.reason or "").strip():
        raise UserError("a list that lasts needs a reason.", next_step="Add --reason.")
    ids = _ids(arguments.images)
    new = sorted(set(ids) - forgotten.image_ids(store))
    if not new:
        return Outcome("forget", verdict="already done", counts={"images": len(ids), "new": 0})
    by = arguments.by or getpass.getuser()
    at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    number = forgotten.append(store, new, by=by, reason=arguments.reason, at=at)
    return Outcome(
        "forget",
        counts={"images": len(ids), "new": len(new), "entry": number},
        next_step="Every run that is planned from now on is without them. Then `spavl prune --forgotten` removes the "
        "runs that hold them, and `spavl forget --check` shows that nothing is left.",
    )


def _ids(file: str) -> list[str]:
    try:
        ids = read_ids(Path(file))
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise UserError(f"{file} cannot be read: {error}.", next_step="One image id per line.") from error
    if not ids:
        raise UserError(f"{file} has no image id.", next_step="One image id per line.")
    return ids


def _check(store: Store, ids: list[str]) -> Outcome:
    """What still holds any of the images; exit code 3 if anything does."""
    found = list(search(store, ids))
    for each in found:
        print(f"{each.kind:6} {each.num:8,} in {each.path}", file=sys.stderr)
    by_kind = Counter(each.kind for each in found)
    counts = {"images": len(ids), "found": len(found)} | {
        f"in_{kind}s": num for kind, num in sorted(by_kind.items())
    }
    if not found:
        return Outcome("forget", "check", counts=counts)
    return Outcome(
        "forget",
        "check",
        verdict="failed",
        exit_code=EXIT_CHECK_FAILED,
        counts={**counts, "in_later_runs": _num_later(store, found)},
        error=f"{len(found)} files still hold some of the {len(ids)} images.",
        next_step="Runs that were planned before hold them: when a newer version is the channel's head, "
        "`spavl prune --forgotten --yes` removes those runs.",
    )


def _num_later(store: Store, found: list[Found]) -> int:
    """Files of runs that were planned with the whole list: there must be none."""
    num, whole = 0, forgotten.num_entries(store)
    for run in sorted({each.path.split("/")[1] for each in found if each.path.startswith("runs/")}):
        plan = find_plan(store, run)  # None: what a prune that was killed has left
        if plan is not None and plan.forgotten == whole and whole:
            num += sum(each.path.startswith(f"runs/{run}/") for each in found)
    return num
