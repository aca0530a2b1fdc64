"""`spavl gold`: look at a gold set, and carry it between CSV, Label Studio and Argilla."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from spavl.errors import UserError
from spavl.judging.gold_files import GoldFolder
from spavl.judging.gold_formats import FORMATS, read_rows_of
from spavl.judging.gold_set import SHIPPED, GoldRow, check_gold_set, check_images, check_pairs, read_gold_set
from spavl.outcome import Outcome
from spavl.profiles import load_config


def gold(arguments: argparse.Namespace) -> Outcome:
    """check, import or export; raises UserError, in one line, for a set that contradicts itself or has another layout."""
    return {"check": _check, "import": _import, "export": _export}[arguments.action](arguments)


def _check(arguments: argparse.Namespace) -> Outcome:
    """Without --from: the set of the profile, as a plan checks it."""
    if arguments.source is None:
        rows = check_gold_set(load_config(arguments.profile, arguments.overrides).judgements.gold).rows
    else:
        rows = _read(arguments.source, arguments.format)
        if arguments.format == "csv" and arguments.source not in SHIPPED:
            found = read_gold_set(arguments.source)
            check_images(found)
            check_pairs(found)
    return _outcome(rows)


def _import(arguments: argparse.Namespace) -> Outcome:
    """A file of another tool as the CSV that `judgements.gold.set` names."""
    rows = _read(_needed(arguments.source, "--from"), arguments.format)
    return _written(rows, "csv", _needed(arguments.to, "--to"))


def _export(arguments: argparse.Namespace) -> Outcome:
    """A set, shipped or a CSV, as a file that another tool imports."""
    rows = read_gold_set(_needed(arguments.source, "--from")).rows
    return _written(rows, arguments.format, _needed(arguments.to, "--to"))


def _read(source: str, format: str) -> tuple[GoldRow, ...]:
    if source in SHIPPED:
        return read_gold_set(source).rows
    return read_rows_of(format, GoldFolder.of_set(source).read_set(), source)


def _written(rows: tuple[GoldRow, ...], format: str, to: str) -> Outcome:
    path = Path(to)
    if path.exists():
        raise UserError(f"{path} is there already.", next_step="Name another file, or remove it.")
    if not path.parent.is_dir():
        raise UserError(f"{path.parent} is not a folder.", next_step="Make it, or name another file.")
    path.write_bytes(FORMATS[format].write(rows))
    return _outcome(rows, gold=str(path))


def _needed(value: str | None, flag: str) -> str:
    if value is None:
        raise UserError(f"{flag} is missing.", next_step="`spavl gold --help` shows how.")
    return value


def _outcome(rows: tuple[GoldRow, ...], **links: str) -> Outcome:
    counts = {
        "items": len(rows),
        "templates": sum(row.is_template for row in rows),
        **{f"behaviour.{name}": number for name, number in Counter(row.behaviour for row in rows).items()},
        **{f"language.{name}": number for name, number in Counter(row.language for row in rows).items()},
    }
    return Outcome("gold", counts=counts, links=links)
