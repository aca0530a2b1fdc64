"""A source's CSV: its rows as dictionaries, and the file path that a template gives for each. Pure: text in, rows out."""

from __future__ import annotations

import csv
import io
import string
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spavl.errors import UserError
from spavl.stages.images.config import Columns

Cells = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Table:
    """A CSV with its header; a row whose number of cells is not the header's is None."""

    columns: tuple[str, ...]
    rows: tuple[Cells | None, ...]


def parse_table(content: bytes, where: str) -> Table:
    """The CSV (UTF-8, first line is the header); raises UserError naming the line where it is not one."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{where} is not UTF-8 (line {line}).", next_step="Save it as UTF-8.") from None
    records = _records(text, where)
    if not records:
        raise UserError(f"{where} is empty; its first line must name the columns.")
    header = tuple(name.strip() for name in records[0])
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise UserError(
            f"{where} has the column {repeated[0]!r} twice.", next_step="Each column needs its own name."
        )
    rows = (
        dict(zip(header, cells, strict=True)) if len(cells) == len(header) else None for cells in records[1:]
    )
    return Table(header, tuple(rows))


def _records(text: str, where: str) -> list[list[str]]:
    """All non-blank lines as lists of cells."""
    former_limit = csv.field_size_limit(
        sys.maxsize
    )  # an over-long cell is one row's fault, not the whole table's
    # strict: a quote that never closes would else swallow the rest of the table into one cell
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        return [cells for cells in reader if cells]
    except csv.Error as error:
        raise UserError(
            f"{where} is not CSV (line {reader.line_num}: {error}).", next_step="Quote cells with commas."
        ) from None
    finally:
        csv.field_size_limit(former_limit)


def check_columns(columns: Columns, present: Sequence[str], where: str) -> None:
    """Raise UserError where the mapping names a column that the table lacks, or a template that cannot be filled."""
    needed = [(f"columns.file {columns.file!r}", key) for key in _template_keys(columns.file, where)]
    for name in ("label", "caption", "question"):
        if getattr(columns, name) is not None:
            needed.append((f"columns.{name}", getattr(columns, name)))
    for what, key in needed:
        if key not in present:
            raise UserError(
                f"{where} has no column {key!r}, which {what} names.",
                next_step=f"Its columns are {', '.join(present)}.",
            )


def _template_keys(template: str, where: str) -> list[str]:
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise UserError(f"{where}: columns.file {template!r} is not a template: {error}.") from None
    if any(spec or conversion for _, _, spec, conversion in parts):
        raise UserError(f"{where}: columns.file {template!r} has a format; write plain {{column}} names.")
    keys = [key for _, key, _, _ in parts if key is not None]
    if not keys:
        raise UserError(
            f"{where}: columns.file {template!r} names no column, so that every row would mean one file.",
            next_step="Write the column in braces, for instance '{file}'.",
        )
    return keys


def fill_template(template: str, cells: Cells) -> str:
    """The template with each {column} replaced by the row's cell, stripped. `check_columns` must have passed."""
    parts = string.Formatter().parse(template)
    return "".join(text + (cells[key].strip() if key is not None else "") for text, key, _, _ in parts)
