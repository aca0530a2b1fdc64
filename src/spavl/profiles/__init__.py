"""Profiles: what differs from the defaults of `spavl.config`, as YAML, and how it becomes a Config.

Precedence: defaults < a profile shipped here < a YAML file of yours that says `extends: <name>` < `--set section.key=value`.
Sections merge key by key, lists are replaced whole. Unknown keys are refused. `${SPAVL_HOME}` is the only variable that a
profile may use.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from spavl.config import spavl_home
from spavl.config.root import Config
from spavl.errors import UserError


def shipped_profiles() -> list[str]:
    """Names of the profiles that come with spavl."""
    folder = resources.files("spavl") / "profiles"
    return sorted(
        entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")
    )


def load_config(profile: str, overrides: Sequence[str] = ()) -> Config:
    """The resolved Config of a shipped profile's name or a YAML file's path, with `section.key=value` overrides.

    Raises UserError for an unknown profile, unreadable YAML, an unknown key or a value out of range.
    """
    values = _read_profile(profile)
    for override in overrides:
        _apply_override(values, override)
    expanded = {**_expand(values), "profile": profile}
    try:
        return Config.model_validate(expanded)
    except ValidationError as error:
        raise UserError(
            f"profile {profile!r}: {_first_problem(error, expanded)}.", next_step=_how_many_more(error)
        ) from error


def _read_profile(profile: str, children: tuple[str, ...] = ()) -> dict[str, Any]:
    """The values of a profile laid over those of the profile it extends."""
    if profile in children:
        raise UserError(f"profile {profile!r} extends itself: {' → '.join([*children, profile])}.")
    values = _parse_profile(profile)
    parent = values.pop("extends", None)
    if parent is None:
        return values
    if not isinstance(parent, str):
        raise UserError(f"profile {profile!r}: extends must be the name or path of one profile.")
    return _merge(_read_profile(parent, (*children, profile)), values)


def _parse_profile(profile: str) -> dict[str, Any]:
    if profile in shipped_profiles():
        text = (resources.files("spavl") / "profiles" / f"{profile}.yaml").read_text("utf-8")
    elif profile.endswith((".yaml", ".yml")) and Path(profile).is_file():
        text = Path(profile).read_text("utf-8")
    else:
        raise UserError(
            f"there is no profile {profile!r}.",
            next_step=f"Shipped are {', '.join(shipped_profiles())}; or give the path of a .yaml file.",
        )
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        raise UserError(
            f"profile {profile!r} is not YAML{f' (line {where.line + 1})' if where else ''}."
        ) from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise UserError(f"profile {profile!r} must be a mapping of sections, not a {type(values).__name__}.")
    return values


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """`above` over `below`: mappings key by key, except a mapping with another `kind`, which replaces."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        is_section = (
            isinstance(old, dict)
            and isinstance(value, dict)
            and value.get("kind", old.get("kind")) == old.get("kind")
        )
        merged[key] = _merge(old, value) if is_section else value
    return merged


def _apply_override(values: dict[str, Any], override: str) -> None:
    path, separator, text = override.partition("=")
    if not separator or not path:
        raise UserError(f"--set {override!r} is not of the form section.key=value.")
    *parents, last = path.split(".")
    target: Any = values
    for key in parents:
        target = (
            target[_position(path, key, target)] if isinstance(target, list) else target.setdefault(key, {})
        )
        if not isinstance(target, dict | list):
            raise UserError(f"--set {path}: {key!r} is a value, not a section.")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"--set {path}: the value is not YAML.") from error
    target[_position(path, last, target) if isinstance(target, list) else last] = value


def _position(path: str, key: str, target: list[Any]) -> int:
    if not key.isdigit() or int(key) >= len(target):
        raise UserError(f"--set {path}: {key!r} is not a position in a list of {len(target)} entries.")
    return int(key)


def _expand(value: Any) -> Any:
    """Every `${SPAVL_HOME}` replaced; YAML lists stay lists."""
    if isinstance(value, str):
        return value.replace("${SPAVL_HOME}", str(spavl_home()))
    if isinstance(value, list):
        return [_expand(item) for item in value]
    if isinstance(value, dict):
        return {key: _expand(item) for key, item in value.items()}
    return value


def _first_problem(error: ValidationError, values: Any) -> str:
    problems = error.errors()  # a misspelt key first: the right one may be missing because of it
    problem = next((one for one in problems if one["type"] == "extra_forbidden"), problems[0])
    where = ".".join(_as_written(problem["loc"], values)) or "the whole"
    if problem["type"] == "extra_forbidden":
        return f"{where} is not a known key"
    message = problem["msg"].removeprefix("Value error, ")
    seen = problem.get("input")
    return f"{where}: {message}" + (
        f" (seen: {seen!r})" if isinstance(seen, str | int | float | bool) else ""
    )


def _as_written(place: tuple[str | int, ...], values: Any) -> Iterator[str]:
    """The parts of a place as the profile has them: pydantic adds the `kind` of a section that has several."""
    for part in place:
        if isinstance(values, dict):
            if part not in values and values.get("kind", "local") == part:
                continue
            values = values.get(part)
        elif isinstance(values, list) and isinstance(part, int) and part < len(values):
            values = values[part]
        yield str(part)


def _how_many_more(error: ValidationError) -> str:
    more = error.error_count() - 1
    return f"Problems beside this one: {more}." if more else ""
