"""Commands on channels: `releases` shows a history, `rollback` points a channel back by a new entry."""

from __future__ import annotations

import argparse
import datetime

from rich.console import Console
from rich.table import Table

from spavl.artifacts import channel
from spavl.artifacts.record import read_record
from spavl.artifacts.store import Store, open_store
from spavl.commands.history import refresh_after
from spavl.errors import TryAgain, UserError
from spavl.outcome import Outcome

NAME = "rollback_name"  # of an entry's details


def releases(arguments: argparse.Namespace) -> Outcome:
    entries = channel.history(open_store(), arguments.channel)
    table = Table(title=f"channel {arguments.channel}")
    for column in ("entry", "when (UTC)", "action", "run", "fingerprint", "reason"):
        table.add_column(column, no_wrap=column != "reason")
    for entry in reversed(entries):
        mark = "→ " if entry is entries[-1] else "  "
        table.add_row(
            f"{mark}{entry.number}",
            entry.created_at,
            entry.action,
            entry.run_id,
            entry.fingerprint[:12],
            entry.reason,
        )
    Console(stderr=True).print(table if entries else f"channel {arguments.channel} has no entries yet")
    return Outcome("releases", run_id=entries[-1].run_id if entries else "", counts={"entries": len(entries)})


def rollback(arguments: argparse.Namespace) -> Outcome:
    """Append an entry that points where an earlier one pointed; the history stays whole.

    Without `--to` it goes one further each time, so whoever may try again names it (`--name`): a name moves the channel once.
    """
    store = open_store()
    entries = channel.history(store, arguments.channel)
    if (made := _made(entries, arguments.name)) or (made := _already_there(entries, arguments.to)):
        counts = {"entry": made.number}
        return Outcome("rollback", verdict="already done", run_id=made.run_id, counts=counts)
    target = _target(entries, arguments.channel, arguments.to)
    record = read_record(store, target.run_id, target.stage)
    if record is None or record.fingerprint != target.fingerprint:
        raise UserError(
            f"entry {target.number} points to run {target.run_id}, whose {target.stage} is gone.",
            next_step="Choose another entry with --to.",
        )
    entry = _entry(entries[-1], target, arguments)
    _append(store, entry, target, arguments)
    refresh_after(store, "the rollback")
    return Outcome(
        "rollback",
        run_id=target.run_id,
        counts={"entry": entry.number, "from": entry.parent, "to": target.number},
    )


def _made(entries: list[channel.Entry], name: str | None) -> channel.Entry | None:
    """The rollback of this name, or None."""
    named = (entry for entry in entries if entry.action == "rollback" and name)
    return next((entry for entry in named if entry.details.get(NAME) == name), None)


def _already_there(entries: list[channel.Entry], to: int | None) -> channel.Entry | None:
    """The head, if it points to what entry `to` points to."""
    asked = next((entry for entry in entries if entry.number == to), None)
    return entries[-1] if asked and asked.fingerprint == entries[-1].fingerprint else None


def _entry(head: channel.Entry, target: channel.Entry, arguments: argparse.Namespace) -> channel.Entry:
    details = {key: value for key, value in target.details.items() if key != NAME}
    return channel.Entry(
        head.number + 1,
        head.number,
        "rollback",
        target.run_id,
        target.stage,
        target.fingerprint,
        datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        arguments.reason,
        {**details, NAME: arguments.name} if arguments.name else details,
    )


def _append(store: Store, entry: channel.Entry, target: channel.Entry, arguments: argparse.Namespace) -> None:
    try:
        channel.append(store, arguments.channel, entry)
    except TryAgain as error:
        if arguments.name:
            raise
        raise TryAgain(
            f"{error.message} Nobody knows whether entry {entry.number} was made.",
            next_step=f"Run the same command again with --to {target.number}, which changes nothing if it was.",
        ) from error


def _target(entries: list[channel.Entry], name: str, to: int | None) -> channel.Entry:
    """The entry to go back to: the one asked for, or the newest that points elsewhere than the head."""
    if not entries:
        raise UserError(f"channel {name!r} has no entries.", next_step="Nothing was ever published to it.")
    head = entries[-1]
    if to is None:
        # after a rollback "before the head" means before what the head points to, so that rolling back twice goes back twice
        origin = min(entry.number for entry in entries if entry.fingerprint == head.fingerprint)
        earlier = [
            entry for entry in entries if entry.number < origin and entry.fingerprint != head.fingerprint
        ]
        if not earlier:
            raise UserError(
                f"channel {name!r} has nothing before what it points to now.",
                next_step="`spavl releases` shows its history.",
            )
        return earlier[-1]
    found = next((entry for entry in entries if entry.number == to), None)
    if found is None:
        raise UserError(
            f"channel {name!r} has no entry {to}.", next_step=f"Its entries are 1 to {head.number}."
        )
    return found
