"""Every setting that a message names is one that the config has."""

from __future__ import annotations

import ast
import re
import types
import typing
from pathlib import Path

import pytest

from spavl.config import Section
from spavl.config.root import Config
from spavl.errors import CheckFailed
from spavl.learning.limits import Limits, refuse_divergence

SOURCES = Path(__file__).resolve().parents[2] / "src" / "spavl"
# a setting by its whole name, not a module of ours or a file
NAMED = re.compile(r"(?<![\w./])(?:reward|training)(?:\.[a-z]\w*)+(?![\w/]|\.(?:json|py))")


def is_setting(name: str) -> bool:
    kinds: list[type[Section]] = [Config]
    for word in name.split("."):
        found = [kind.model_fields[word].annotation for kind in kinds if word in kind.model_fields]
        if not found:
            return False
        kinds = [kind for annotation in found for kind in sections_in(annotation)]
    return True


def sections_in(annotation: object) -> list[type[Section]]:
    """The sections that a field of this type may hold."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return [annotation] if issubclass(annotation, Section) else []
    return [kind for argument in typing.get_args(annotation) for kind in sections_in(argument)]


def named_in(path: Path) -> set[str]:
    """The settings named in a module's texts, docstrings too."""
    constants = (
        node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Constant)
    )
    return {name for node in constants if isinstance(node.value, str) for name in NAMED.findall(node.value)}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("training.ppo.max_kl", True),
        ("training.base.device", True),
        ("training.lora.dropout", True),
        ("training.max_kl_nats", False),
        ("training.ppo.beta", False),
        ("training.beta.value", False),
    ],
)
def test_a_setting_is_known_by_its_whole_name(name: str, expected: bool) -> None:
    assert is_setting(name) is expected


def test_every_setting_named_in_the_sources_exists() -> None:
    named = {(path.name, name) for path in SOURCES.rglob("*.py") for name in named_in(path)}
    assert len(named) > 15
    assert [where for where in sorted(named) if not is_setting(where[1])] == []


@pytest.mark.parametrize("section", ["training", "reward"])
@pytest.mark.parametrize(
    ("logs", "setting"),
    [
        ({"loss": 5.0}, "{section}.max_loss"),
        ({"loss": 0.1, "logps/chosen_change": -5.0}, "training.max_chosen_fall_nats"),
        ({"loss": 0.1, "kl": 5.0}, "training.ppo.max_kl"),
        ({"loss": float("nan")}, "{section}.warmup_steps"),
        ({"loss": 1.0, "grad_norm": float("inf")}, "{section}.learning_rate"),
    ],
)
def test_a_training_that_leaves_its_bounds_names_the_setting(
    section: str, logs: dict[str, float], setting: str
) -> None:
    limits = Limits(max_loss=4.0, max_chosen_fall=4.0, max_kl=4.0, section=section)
    with pytest.raises(CheckFailed) as raised:
        refuse_divergence(logs, 7, limits)
    named = NAMED.findall(str(raised.value) + str(raised.value.next_step))
    assert setting.format(section=section) in named
    assert all(is_setting(name) for name in named)


def test_values_within_their_bounds_are_no_matter() -> None:
    logs = {"loss": 4.0, "logps/chosen_change": -4.0, "kl": 4.0, "grad_norm": 1e9}
    refuse_divergence(logs, 7, Limits(max_loss=4.0, max_chosen_fall=4.0, max_kl=4.0))
    refuse_divergence(logs, 7, Limits())
