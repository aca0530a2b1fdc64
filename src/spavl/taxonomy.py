"""The harm taxonomy as data: domains, categories and leaves, with SPA-VL's literal strings.

Reads `taxonomy.yaml` (or another file of the same shape) and answers which leaf a label means. It does not decide what
is harmful: judges do. Counts are data too: nothing may rely on 6, 15 or 53.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from spavl.errors import UserError
from spavl.records import BENIGN

SOURCES = ("spa_vl", "salad_bench", "custom")
_ID = re.compile(r"^[a-z][a-z0-9_]{0,59}$")
_LEVELS = {"domain": "categories", "category": "leaves", "leaf": None}  # level -> key of its children


@dataclass(frozen=True, slots=True)
class Leaf:
    """One harm of the third level, with the names of the two levels above it."""

    id: str
    name: str
    class1: str  # domain id
    class2: str  # category id
    class1_name: str
    class2_name: str
    spa_vl_name: (
        str | None
    )  # literal string of the published metadata, typos included; None where unpublished
    spa_vl_class1: str | None
    spa_vl_class2: str | None
    source: str  # one of SOURCES


@dataclass(frozen=True)
class Taxonomy:
    """All leaves, in the file's order. Compare by value; safe to share."""

    leaves: tuple[Leaf, ...]
    labels: dict[str, str] = field(hash=False)  # folded id, name or SPA-VL string -> leaf id or "benign"

    @property
    def domains(self) -> tuple[str, ...]:
        """Domain ids, in order."""
        return tuple(dict.fromkeys(leaf.class1 for leaf in self.leaves))

    @property
    def categories(self) -> tuple[str, ...]:
        """Category ids, in order."""
        return tuple(dict.fromkeys(leaf.class2 for leaf in self.leaves))

    @functools.cached_property
    def _by_id(self) -> dict[str, Leaf]:
        return {leaf.id: leaf for leaf in self.leaves}

    def leaf(self, leaf_id: str) -> Leaf:
        """The leaf with this id; raises UserError for any other word, "benign" included."""
        if leaf_id not in self._by_id:
            raise UserError(f"{leaf_id!r} is not a leaf id of the taxonomy.", next_step=self._close(leaf_id))
        return self._by_id[leaf_id]

    def find(self, label: str) -> str | None:
        """The leaf id (or "benign") that an id, a name or an SPA-VL string means, whatever its case; None where none does."""
        return self.labels.get(fold_label(label))

    def resolve(self, label: str) -> str:
        """Like `find`, but raises UserError, naming close matches, where the label means nothing."""
        found = self.find(label)
        if found is None:
            raise UserError(f"{label!r} is not a class of the taxonomy.", next_step=self._close(label))
        return found

    def classes(self, leaf_id: str) -> tuple[str, str, str]:
        """(class1, class2, class3) of a leaf id or of "benign"; raises UserError."""
        if leaf_id == BENIGN:
            return BENIGN, BENIGN, BENIGN
        leaf = self.leaf(leaf_id)
        return leaf.class1, leaf.class2, leaf.id

    def _close(self, label: str) -> str:
        near = difflib.get_close_matches(fold_label(label), self.labels, n=5, cutoff=0.5)
        ids = list(dict.fromkeys(self.labels[word] for word in near))
        if ids:
            return f"Did you mean {' or '.join(ids)}?"
        return f"Allowed are {BENIGN!r} and the {len(self.leaves)} leaf ids of taxonomy.yaml, such as {self.leaves[0].id}."


# libyaml's, if PyYAML was built with it: ten times as fast, and every process that asks a judge reads the taxonomy
SAFE_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@functools.cache
def load_taxonomy(path: str | Path | None = None) -> Taxonomy:
    """The shipped taxonomy, or the one in a YAML file of the same shape.

    Raises UserError for a missing file, bad YAML, a missing or unknown key, a bad or repeated id, an ambiguous label.
    """
    where = str(path) if path else "taxonomy.yaml"
    tree = _read(Path(path) if path else resources.files("spavl") / "taxonomy.yaml", where)
    leaves = tuple(_leaves(tree, where))
    if not leaves:
        raise UserError(
            f"{where} has no leaves.", next_step="It needs domains, their categories and their leaves."
        )
    return Taxonomy(leaves, _labels(leaves, where))


def _read(file: Any, where: str) -> Any:
    try:
        return yaml.load(file.read_text("utf-8"), Loader=SAFE_LOADER)
    except OSError as error:
        raise UserError(f"the taxonomy {where} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"the taxonomy {where} is not YAML.") from error


def _leaves(tree: Any, where: str) -> Iterator[Leaf]:
    if not isinstance(tree, dict) or set(tree) != {"domains"}:
        raise UserError(f"the taxonomy {where} must be a mapping with the one key 'domains'.")
    seen: set[str] = {BENIGN}
    for domain in _entries(tree["domains"], "domain", where, seen):
        for category in _entries(domain["categories"], "category", where, seen):
            for leaf in _entries(category["leaves"], "leaf", where, seen):
                yield Leaf(
                    id=leaf["id"],
                    name=leaf["name"],
                    class1=domain["id"],
                    class2=category["id"],
                    class1_name=domain["name"],
                    class2_name=category["name"],
                    spa_vl_name=leaf.get("spa_vl_name"),
                    spa_vl_class1=domain.get("spa_vl_name"),
                    spa_vl_class2=category.get("spa_vl_name"),
                    source=leaf["source"],
                )


def _entries(entries: Any, level: str, where: str, seen: set[str]) -> Iterator[dict[str, Any]]:
    """The checked entries of one level; `seen` collects every id of the whole tree."""
    if not isinstance(entries, list) or not entries:
        raise UserError(f"the taxonomy {where} has a {level} list that is empty or not a list.")
    required = {"id", "name", _LEVELS[level] or "source"}
    for entry in entries:
        keys = set(entry) if isinstance(entry, dict) else set()
        if not required <= keys or keys - required - {"spa_vl_name"}:
            raise UserError(
                f"the taxonomy {where} has a {level} with the keys {sorted(map(str, keys))}.",
                next_step=f"A {level} has {', '.join(sorted(required))} and may have spa_vl_name.",
            )
        _check_entry(entry, level, where, seen)
        seen.add(entry["id"])
        yield entry


def _check_entry(entry: dict[str, Any], level: str, where: str, seen: set[str]) -> None:
    if not isinstance(entry["id"], str) or not _ID.match(entry["id"]):
        raise UserError(
            f"the taxonomy {where} has the {level} id {entry['id']!r}.",
            next_step="Small letters, digits, '_'.",
        )
    if entry["id"] in seen:
        raise UserError(
            f"the taxonomy {where} has the id {entry['id']!r} twice; ids are unique over all levels."
        )
    for key in ("name", "spa_vl_name"):
        value = entry.get(key)
        if not (isinstance(value, str) and value.strip()) and (key == "name" or value is not None):
            raise UserError(f"the taxonomy {where}: {key} of {entry['id']} is {value!r}, not a text.")
    if level == "leaf" and entry["source"] not in SOURCES:
        raise UserError(
            f"the taxonomy {where}: source of {entry['id']} is {entry['source']!r}.",
            next_step=f"One of {SOURCES}.",
        )


def _labels(leaves: tuple[Leaf, ...], where: str) -> dict[str, str]:
    """Every word that means a leaf; an id beats nothing: a word that means two leaves is an error."""
    labels = {BENIGN: BENIGN}
    for leaf in leaves:
        for word in (leaf.id, leaf.name, leaf.spa_vl_name):
            if word is not None and labels.setdefault(fold_label(word), leaf.id) != leaf.id:
                raise UserError(
                    f"the taxonomy {where}: {word!r} means both {labels[fold_label(word)]} and {leaf.id}."
                )
    return labels


def fold_label(label: str) -> str:
    """A label without differences of case and spacing: what lookups compare."""
    return " ".join(label.casefold().split())
