"""A gold set in the formats of others: CSV, Label Studio's JSON and Argilla's records, each read and written. Text in, text out.

Label Studio: a list of tasks, a row's texts in `data`, its labels as `choices` in `annotations` whose `from_name` is the column.
Argilla 2: a list of `rg.Record.to_dict()`, texts in `fields` and `metadata`, labels in `responses` by people, or in `suggestions`
by the agent "spavl" (a set that this module wrote). People who disagree about one label are an error, never a vote.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from spavl.errors import UserError
from spavl.judging.gold_set import COLUMNS, GoldRow, check_rows, csv_cells, row_of

LABELS = ("is_unsafe", "is_refusal", "helpful")
EITHER = "either"  # both are right: an empty cell of the CSV
AGENT = "spavl"
_WORDS = {True: "yes", False: "no", None: EITHER}


class Format(NamedTuple):
    """How a set is read from a file's bytes (name of the file for messages), and written."""

    read: Callable[[bytes, str], list[dict[str, str]]]
    write: Callable[[Sequence[GoldRow]], bytes]


def read_rows_of(format: str, content: bytes, where: str) -> tuple[GoldRow, ...]:
    """The checked rows of a file; raises UserError for another layout, missing labels, or a contradiction."""
    cells = FORMATS[format].read(content, where)
    return check_rows([row_of(entry, where) for entry in cells], where)


def write_csv(rows: Sequence[GoldRow]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        labels = {name: _WORDS[getattr(row, name)].replace(EITHER, "") for name in LABELS}
        writer.writerow(_texts(row) | labels)
    return text.getvalue().encode()


def read_label_studio(content: bytes, where: str) -> list[dict[str, str]]:
    """The cells of each task, the annotations over the data."""
    return [_task_cells(task, where) for task in _list_of_objects(content, where, "Label Studio tasks")]


def write_label_studio(rows: Sequence[GoldRow]) -> bytes:
    """Tasks that Label Studio imports, with the labels as ground truth annotations."""
    tasks = [
        {
            "id": number,
            "data": {name: value for name, value in _texts(row).items() if value},
            "annotations": [{"result": _results(row), "was_cancelled": False, "ground_truth": True}],
        }
        for number, row in enumerate(rows, 1)
    ]
    return _json(tasks)


def read_argilla(content: bytes, where: str) -> list[dict[str, str]]:
    """The cells of each record, the responses over the suggestions of this module."""
    return [_record_cells(record, where) for record in _list_of_objects(content, where, "Argilla records")]


def write_argilla(rows: Sequence[GoldRow]) -> bytes:
    """Records that `rg.Record.from_dict` reads. Responses need a user of the server, so the labels are suggestions."""
    records = []
    for row in rows:
        texts = {name: value for name, value in _texts(row).items() if value}
        fields = {name: texts.pop(name) for name in ("question", "response", "image") if name in texts}
        labels = {
            name: {"value": _WORDS[getattr(row, name)], "score": None, "agent": AGENT} for name in LABELS
        }
        records.append(
            {
                "id": texts.pop("id"),
                "fields": fields,
                "metadata": texts,
                "suggestions": labels,
                "responses": {},
                "vectors": {},
            }
        )
    return _json(records)


FORMATS: dict[str, Format] = {
    "csv": Format(csv_cells, write_csv),
    "label-studio": Format(read_label_studio, write_label_studio),
    "argilla": Format(read_argilla, write_argilla),
}


def _task_cells(task: Mapping[str, Any], where: str) -> dict[str, str]:
    place = f"{where}: task {task.get('id')!r}"
    if not isinstance(task.get("data"), dict):
        raise UserError(
            f"{place} has no 'data'.", next_step="Export as JSON, not as JSON-MIN, from Label Studio."
        )
    given = [each for each in task.get("annotations") or [] if not each.get("was_cancelled")]
    said = [(result.get("from_name"), _choice(result, place)) for each in given for result in each["result"]]
    labels = _agreed([(str(name), word) for name, word in said if name in COLUMNS], place)
    if "is_unsafe" not in labels:
        raise UserError(
            f"{place} has no annotation of is_unsafe that was not cancelled.",
            next_step="Label it, or leave the task out; the choices are named after the columns of the CSV.",
        )
    texts = {name: value for name, value in task["data"].items() if name in COLUMNS}
    return {"id": f"task-{task.get('id')}", **texts, **labels}


def _choice(result: Mapping[str, Any], place: str) -> str:
    chosen = (result.get("value") or {}).get("choices", [])
    if result.get("from_name") in COLUMNS and len(chosen) != 1:
        raise UserError(
            f"{place} has {len(chosen)} choices for {result['from_name']!r}.",
            next_step="Make it a single choice of yes and no (and either).",
        )
    return str(chosen[0]) if chosen else ""


def _results(row: GoldRow) -> list[dict[str, Any]]:
    return [
        {
            "id": name,
            "from_name": name,
            "to_name": "response",
            "type": "choices",
            "value": {"choices": [_WORDS[getattr(row, name)]]},
        }
        for name in LABELS
    ]


def _record_cells(record: Mapping[str, Any], where: str) -> dict[str, str]:
    place = f"{where}: record {record.get('id')!r}"
    parts = {name: record.get(name) or {} for name in ("fields", "metadata", "suggestions", "responses")}
    if not parts["fields"] or not all(isinstance(part, dict) for part in parts.values()):
        raise UserError(
            f"{place} has no 'fields', or has parts that are not objects.",
            next_step="Export with dataset.records.to_json.",
        )
    said = [(name, each.get("value")) for name, given in parts["responses"].items() for each in given]
    labels = _agreed([(name, str(word)) for name, word in said if name in COLUMNS], place)
    own = {
        name: str(each.get("value"))
        for name, each in parts["suggestions"].items()
        if name in COLUMNS and each.get("agent") == AGENT
    }
    labels = {**{name: word.replace(EITHER, "") for name, word in own.items()}, **labels}
    if "is_unsafe" not in labels:
        raise UserError(
            f"{place} has no response to is_unsafe.",
            next_step="Label it, or leave the record out; a suggestion by a model is no label.",
        )
    texts = {
        name: value
        for part in ("fields", "metadata")
        for name, value in parts[part].items()
        if name in COLUMNS
    }
    return {"id": str(record.get("id") or ""), **texts, **labels}


def _agreed(said: Iterable[tuple[str, str]], place: str) -> dict[str, str]:
    """Column -> the one word that everybody said, "" for either."""
    agreed: dict[str, str] = {}
    for name, word in said:
        word = "" if word.lower() == EITHER else word
        if agreed.setdefault(name, word) != word:
            raise UserError(
                f"{place} has two labels for {name}: {agreed[name] or EITHER} and {word or EITHER}.",
                next_step="Let people agree on one, and export again.",
            )
    return agreed


def _list_of_objects(content: bytes, where: str, what: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(content)
    except (UnicodeDecodeError, json.JSONDecodeError):
        found = None
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise UserError(f"{where} is not a JSON list of {what}.", next_step="Export the project as JSON.")
    return found


def _texts(row: GoldRow) -> dict[str, str]:
    return {name: getattr(row, name) for name in COLUMNS if name not in LABELS}


def _json(value: object) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()
