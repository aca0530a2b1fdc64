"""A judge may not be of the family of what it judges: models prefer their own family's answers (arXiv 2404.13076)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from spavl.config.root import Config
from spavl.errors import UserError
from spavl.pipeline import BY_NAME

JUDGE_FIELDS = ("judge", "second_judge")


def refuse_kinship(config: Config) -> None:
    """Raise UserError if a judge has the family of an answering model or the base, or the second judge that of the first.

    Only families that the profile gives are compared: one without `family` is not known, and passes.
    """
    answering = list(_answering(config))
    for place, judge in _judges(config):
        for other_place, model in answering:
            if _is_kin(judge, model):
                raise _kin(place, judge, other_place, model)
    first, second = config.evaluation.judge, config.evaluation.second_judge
    if second is not None and (_is_kin(first, second) or first is None or first.name == second.name):
        raise _kin("evaluation.second_judge", second, "evaluation.judge", first)


def _answering(config: Config) -> Iterator[tuple[str, Any]]:
    yield from (("responses.models", model) for model in config.responses.models)
    if config.training.base is not None:
        yield "training.base", config.training.base


def _judges(config: Config) -> Iterator[tuple[str, Any]]:
    """Every field of a stage's section that is called a judge."""
    for stage in BY_NAME:
        section = config.section(stage)
        for name in type(section).model_fields:
            if name in JUDGE_FIELDS and getattr(section, name) is not None:
                yield f"{stage}.{name}", getattr(section, name)


def _is_kin(one: Any, other: Any) -> bool:
    """Both families are given, and the same."""
    family = getattr(one, "family", None)
    return family is not None and family == getattr(other, "family", None)


def _kin(place: str, judge: Any, other_place: str, other: Any) -> UserError:
    if other is None:
        return UserError(f"{place} is set and {other_place} is not.", next_step=f"Set {other_place} first.")
    shared = (
        f"of the family {judge.family!r}" if _is_kin(judge, other) else f"one and the same, {judge.name!r}"
    )
    return UserError(
        f"{place} ({judge.name!r}) and {other_place} ({other.name!r}) are {shared}.",
        next_step=f"Name a judge of another family in {place}: a judge prefers answers of its own family.",
    )
