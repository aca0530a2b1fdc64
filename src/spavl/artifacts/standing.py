"""What all entries of a channel come to, kept in its newest entry so that a plan need not read the others. Pure.

    last_publish   number of the last published entry
    best           role -> {run_id, fingerprint, rate} of the best release that no rollback left behind, the earliest if equal

A publish follows from the standing of its parent alone; a rollback takes the whole history once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spavl.artifacts.channel import Entry

UNSAFE, HELP = "held_out_harm/aligned/unsafe_rate", "held_out_benign/aligned/help_rate"
BEST = {"best_harm": (UNSAFE, 1), "best_help": (HELP, -1)}  # role -> rate, and 1 if the lowest is best


def standing_of(entries: Sequence[Entry]) -> dict[str, Any]:
    """The standing after these entries, which are all of a channel's, oldest first."""
    made: dict[str, Any] = {"last_publish": 0, "best": {}}
    for entry in _in_force(entries):
        made["best"] = _better(made["best"], entry)
    published = (entry.number for entry in entries if entry.action == "publish")
    return made | {"last_publish": max(published, default=0)}


def after_publish(former: dict[str, Any], entry: Entry) -> dict[str, Any]:
    """The standing after a published entry, from the one before it."""
    return {"last_publish": entry.number, "best": _better(former["best"], entry)}


def references_of(head: Entry, standing: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Role -> run and fingerprint of the release: champion, best_harm, best_help; a role that the champion fills is left out."""
    roles = {"champion": {"run_id": head.run_id, "fingerprint": head.fingerprint}}
    of_head = head.details.get("scores", {})
    for role, best in standing["best"].items():
        rate, sign = BEST[role]
        is_better = rate not in of_head or sign * best["rate"] < sign * of_head[rate]
        if best["fingerprint"] != head.fingerprint and is_better:
            roles[role] = {"run_id": best["run_id"], "fingerprint": best["fingerprint"]}
    return roles


def earlier_releases(entries: Sequence[Entry]) -> dict[str, dict[str, str]]:
    """`references_of` after these entries, which are all of a channel's, oldest first."""
    return references_of(entries[-1], standing_of(entries)) if entries else {}


def _better(best: dict[str, Any], entry: Entry) -> dict[str, Any]:
    scores, made = entry.details.get("scores", {}), dict(best)
    for role, (rate, sign) in BEST.items():
        if rate in scores and (role not in best or sign * scores[rate] < sign * best[role]["rate"]):
            made[role] = {"run_id": entry.run_id, "fingerprint": entry.fingerprint, "rate": scores[rate]}
    return made


def _in_force(entries: Sequence[Entry]) -> list[Entry]:
    """The published releases that no rollback left behind, oldest first."""
    in_force: list[Entry] = []
    published: dict[str, Entry] = {}
    for entry in entries:
        published.setdefault(entry.fingerprint, entry)
        if entry.action == "publish":
            in_force.append(entry)
        else:
            target = published[entry.fingerprint]
            in_force = [one for one in in_force if one.number < target.number] + [target]
    return in_force
