"""A gold set: rows of (behaviour, response, labels), read from a shipped file or the user's CSV and checked for contradictions.

Columns of a CSV: id, behaviour, response, is_unsafe, is_refusal, helpful (yes, no or empty: either is right; is_unsafe must
be given) and, each optional, language ("en"), class3 (a leaf, "benign", or empty: any that the behaviour fits), question and
image (a file beside the CSV). A row without a question is a template: it is put to tonight's own images and questions.
`{caption}` in its response is the image's caption, `{caption_words}` the caption without "a drawing of a".
"""

from __future__ import annotations

import csv
import hashlib
import io
import string
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import yaml

from spavl.errors import UserError
from spavl.judging.behaviours import BEHAVIOURS, PAIRED
from spavl.judging.gold_files import GoldFolder
from spavl.records import BENIGN
from spavl.stages.judgements.config import GoldConfig
from spavl.taxonomy import SAFE_LOADER, load_taxonomy

REQUIRED = ("id", "behaviour", "response", "is_unsafe", "is_refusal", "helpful")
OPTIONAL = ("language", "class3", "question", "image")
COLUMNS = (*REQUIRED, *OPTIONAL)
SHIPPED = ("placeholder", "demo")
FIELDS = ("caption", "caption_words")
_ANSWERS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False, "": None}


@dataclass(frozen=True, slots=True)
class GoldRow:
    """One row of a set."""

    id: str
    behaviour: str  # one of BEHAVIOURS
    response: str
    is_unsafe: bool
    is_refusal: bool | None  # None: either is right
    helpful: bool | None
    language: str = "en"
    class3: str = ""  # a leaf, "benign", or "": any that the behaviour fits
    question: str = ""  # "": a template for tonight's own questions
    image: str = ""  # file beside the set; "": one of tonight's own images

    @property
    def is_template(self) -> bool:
        return not self.question

    @property
    def labels(self) -> tuple[bool, bool | None, bool | None]:
        return self.is_unsafe, self.is_refusal, self.helpful


@dataclass(frozen=True)
class GoldSet:
    """Checked rows, in the file's order, and the hash of the file."""

    name: str
    rows: tuple[GoldRow, ...]
    sha256: str

    @property
    def is_shipped(self) -> bool:
        return self.name in SHIPPED


def load_gold_set(config: GoldConfig) -> GoldSet:
    """The set that the profile names, with the behaviours and languages that it asks for.

    Raises UserError, in one line, if the set cannot be read, contradicts itself, or lacks a behaviour, a language or a pair.
    """
    found = read_gold_set(config.set)
    for behaviour in config.behaviours:
        if behaviour not in BEHAVIOURS:
            raise UserError(
                f"judgements.gold.behaviours has {behaviour!r}.",
                next_step=f"Known are {', '.join(BEHAVIOURS)}.",
            )
        for language in config.languages:
            if not any(row.behaviour == behaviour and row.language == language for row in found.rows):
                raise UserError(
                    f"the gold set {found.name!r} has no item of {behaviour!r} in the language {language!r}.",
                    next_step="Add such rows, or take the word out of judgements.gold.behaviours or .languages.",
                )
    asked = tuple(
        row for row in found.rows if row.behaviour in config.behaviours and row.language in config.languages
    )
    return GoldSet(found.name, asked, found.sha256)


def read_gold_set(name: str) -> GoldSet:
    """All rows of a shipped set or of a CSV; raises UserError."""
    if name in SHIPPED:
        content = (resources.files("spavl.judging") / "gold_sets" / f"{name}.yaml").read_bytes()
        cells = yaml.load(content, Loader=SAFE_LOADER)["items"]
    else:
        if not name.lower().endswith(".csv"):
            raise UserError(
                f"judgements.gold.set is {name!r}.",
                next_step=f"Allowed are {', '.join(SHIPPED)} and the address of a .csv; `spavl gold import` makes one.",
            )
        content = GoldFolder.of_set(name).read_set()
        cells = csv_cells(content, name)
    rows = check_rows([row_of(entry, name) for entry in cells], name)
    return GoldSet(name, rows, hashlib.sha256(content).hexdigest())


def check_gold_set(config: GoldConfig, gated: Collection[str] = ()) -> GoldSet:
    """`load_gold_set`, and every image that its rows name is there and opens; what a plan asks before the night begins.

    `gated` are the columns that the suite of judgements limits: a behaviour that one of them is about must be asked.
    """
    found = load_gold_set(config)
    for behaviour in BEHAVIOURS:
        if f"gold_{behaviour}" in gated and behaviour not in config.behaviours:
            raise UserError(
                f"expectations/judgements.yaml limits gold_{behaviour}, and judgements.gold.behaviours leaves it out.",
                next_step="Add the behaviour, or take the expectation out.",
            )
    check_images(found)
    check_pairs(found)
    return found


def csv_cells(content: bytes, where: str) -> list[dict[str, str]]:
    """The lines of a CSV as dictionaries; raises UserError for another layout."""
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        columns, lines = list(reader.fieldnames or []), list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"the gold set {where} is not a CSV in UTF-8 ({type(error).__name__}).",
            next_step="Save it as UTF-8, with cells that hold commas or line breaks in quotes.",
        ) from None
    if (missing := set(REQUIRED) - set(columns)) or (set(columns) - set(COLUMNS)):
        seen = (
            f"lacks {sorted(missing)[0]!r}" if missing else f"has {sorted(set(columns) - set(COLUMNS))[0]!r}"
        )
        raise UserError(
            f"the gold set {where} {seen} in its first line.",
            next_step=f"Its columns are {', '.join(REQUIRED)} and, each optional, {', '.join(OPTIONAL)}.",
        )
    if wrong := next((n for n, line in enumerate(lines, 2) if None in line or None in line.values()), None):
        raise UserError(
            f"the gold set {where}: row {wrong} has another number of cells than the first line.",
            next_step="Put cells that hold commas in quotes.",
        )
    return lines


def row_of(cells: Mapping[str, Any], where: str) -> GoldRow:
    """One row from its cells; raises UserError for a label that is not yes, no or empty."""
    texts = {name: _text(cells.get(name)) for name in COLUMNS}
    labels = {}
    for name in ("is_unsafe", "is_refusal", "helpful"):
        word = texts.pop(name).lower()
        if word not in _ANSWERS or (name == "is_unsafe" and not word):
            raise UserError(
                f"the gold set {where}: {name} of item {texts['id']!r} is {word!r}.",
                next_step="Write yes or no"
                + ("." if name == "is_unsafe" else ", or nothing if either is right."),
            )
        labels[name] = _ANSWERS[word]
    return GoldRow(**{**texts, "language": texts["language"] or "en"}, **labels)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value).strip()


def check_rows(rows: Iterable[GoldRow], where: str) -> tuple[GoldRow, ...]:
    """The rows themselves; raises UserError for the first that contradicts its behaviour, its class or another row."""
    rows = tuple(rows)
    if not rows:
        raise UserError(f"the gold set {where} has no items.", next_step="Add rows, or use a shipped set.")
    seen: set[str] = set()
    labelled: dict[tuple[object, ...], GoldRow] = {}
    for row in rows:
        place = f"the gold set {where}: item {row.id!r}"
        if not row.id or row.id in seen:
            raise UserError(
                f"{place} has an id that is empty or there twice.", next_step="Give each its own."
            )
        seen.add(row.id)
        _check_row(row, place)
        # the same words decline a harmful request rightly and a harmless one wrongly: a template's class is its behaviour's
        asked = row.class3 or BEHAVIOURS[row.behaviour].is_on_benign
        same = labelled.setdefault((row.question, row.response, asked, row.image), row)
        if same.labels != row.labels:
            raise UserError(
                f"{place} has the question, response and image of item {same.id!r} and other labels.",
                next_step="Decide which is right, and remove the other.",
            )
    return rows


def _check_row(row: GoldRow, place: str) -> None:
    if row.behaviour not in BEHAVIOURS:
        raise UserError(
            f"{place} has the behaviour {row.behaviour!r}.", next_step=f"Known are {', '.join(BEHAVIOURS)}."
        )
    if not row.response:
        raise UserError(f"{place} has no response.", next_step="Write the answer that the judge is shown.")
    _check_class(row, place)
    _check_fields(row, place)
    behaviour = BEHAVIOURS[row.behaviour]
    for name in ("is_unsafe", "is_refusal", "helpful"):
        demanded, said = getattr(behaviour, name), getattr(row, name)
        if demanded is not None and said is not demanded and not (said is None and name != "is_unsafe"):
            raise UserError(
                f"{place} is {row.behaviour} and says {name}: {_word(said)}.",
                next_step=f"An answer that {behaviour.says} has {name}: {_word(demanded)}; mend the label or the behaviour.",
            )


def _check_class(row: GoldRow, place: str) -> None:
    if row.class3 not in ("", BENIGN):
        load_taxonomy().leaf(row.class3)  # raises UserError with the close matches
    is_on_benign = BEHAVIOURS[row.behaviour].is_on_benign
    if row.class3 and is_on_benign is not None and (row.class3 == BENIGN) != is_on_benign:
        raise UserError(
            f"{place} is {row.behaviour} and of class {row.class3!r}.",
            next_step=f"Its class3 is {repr(BENIGN) if is_on_benign else 'a harmful leaf'}, or empty.",
        )
    if row.image and not row.question:
        raise UserError(
            f"{place} has an image and no question.", next_step="Write the question that goes with it."
        )
    if row.question and not row.class3 and not is_on_benign:
        raise UserError(
            f"{place} has a question of its own and no class3.", next_step=f"Write a leaf id, or {BENIGN!r}."
        )


def _check_fields(row: GoldRow, place: str) -> None:
    try:
        named = {field for _, field, _, _ in string.Formatter().parse(row.response) if field is not None}
    except ValueError:
        named = {"?"}
    if row.is_template and named - set(FIELDS):
        raise UserError(
            f"{place} is a template with braces that mean nothing here.",
            next_step=f"A response may hold {{{'}, {'.join(FIELDS)}}}; write other braces twice.",
        )


def check_images(found: GoldSet) -> None:
    """Raise UserError if an image that a row names is not beside the set, or does not open."""
    named = [row for row in found.rows if row.image]
    folder = GoldFolder.of_set(found.name) if named else None
    for row in named:
        folder.read_image(row.image, row.id)


def check_pairs(found: GoldSet) -> None:
    """Raise UserError if the set's own rows give no pair for an axis whose behaviours it has."""
    by_prompt: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for row in found.rows:
        by_prompt[row.question, row.image, row.language].add(row.behaviour)
    here = {row.behaviour for row in found.rows}
    for axis, (winners, losers) in PAIRED.items():
        if not (here & set(winners) and here & set(losers)):
            continue
        if not any(named & set(winners) and named & set(losers) for named in by_prompt.values()):
            raise UserError(
                f"the gold set {found.name!r} gives no pair for {axis}: no question has both {winners[0]!r} and one of"
                f" {', '.join(losers)}.",
                next_step="Give one question and image an item of each, or leave the question empty in both.",
            )


def _word(flag: bool | None) -> str:
    return {True: "yes", False: "no", None: "empty"}[flag]
