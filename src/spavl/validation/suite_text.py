"""A suite's YAML as Python values, with the lines for messages. Stricter than YAML: a repeated key would lose the first value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from spavl.errors import UserError


def parse(text: str, list_key: str = "expectations") -> tuple[dict[str, Any], list[int]]:
    """The mapping that a text is, and the 1-based line of each item of its list under `list_key`.

    Raises UserError for bad YAML, a key given twice in one mapping, or a text that is no mapping.
    """
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        for node in _mappings(tree):
            keys = [key.value for key, _ in node.value]
            if "<<" in keys:  # a merge brings keys from elsewhere, which no reader of this place sees
                raise UserError(
                    f"a suite has a YAML merge (<<) in line {node.start_mark.line + 1}; write the keys out."
                )
            for key in keys:
                if keys.count(key) > 1:
                    raise UserError(
                        f"a suite has the key {key!r} twice in one place (line {node.start_mark.line + 1})."
                    )
        root = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise UserError(f"a suite is not YAML{f' (line {mark.line + 1})' if mark else ''}.") from error
    if not isinstance(root, dict):
        raise UserError(
            f"a suite must be a mapping with name, description and expectations, not {type(root).__name__}."
        )
    return root, _lines(tree, list_key)


def _mappings(root: Any) -> Iterator[yaml.MappingNode]:
    """Every mapping of a YAML document, once; an alias may point back to where it is."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            yield node
            waiting += [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value


def _lines(tree: yaml.MappingNode, list_key: str) -> list[int]:
    items = next((value for key, value in tree.value if key.value == list_key), None)
    return [item.start_mark.line + 1 for item in items.value] if isinstance(items, yaml.SequenceNode) else []
