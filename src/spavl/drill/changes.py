"""What a poison changes, and the first stage that feels it: models, image sources, settings, recorded rows, weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spavl.drill.impossible import Impossible
from spavl.drill.pictures import Pictures
from spavl.pipeline import BY_NAME

CANDIDATE, CHAMPION = "aligned", "champion"  # roles of an evaluation
Rows = Sequence[Any]
Read = Callable[[str], Rows]  # the recorded rows of a stage of the honest night


@dataclass(frozen=True)
class Model:
    """A model of the night whose answers are poisoned.

    `place` is a config path that holds one model or a list of them (`judgements.judge`, `responses.models`), or a role of
    the evaluation. `per_night` is what the share grows by each night, from night `1 + lag` on; then `terms` has no share.
    """

    place: str
    terms: Mapping[str, Any]  # of config.PoisonTerms
    only: str = ""  # of a list: the model of this name or position; unset: all
    per_night: float = 0.0
    lag: int = 0

    @property
    def stage(self) -> str:
        return "evaluation" if self.place in (CANDIDATE, CHAMPION) else self.place.partition(".")[0]

    def terms_on(self, night: int) -> dict[str, Any] | None:
        """The terms on the 1-based night; None if nothing is poisoned yet."""
        if not self.per_night:
            return dict(self.terms)
        share = self.per_night * (night - self.lag)
        return {**self.terms, "share": round(share, 6)} if share > 0 else None


@dataclass(frozen=True)
class Source:
    """The image sources as `change` leaves them: a copy of the folder and its table."""

    change: Callable[[Pictures], Pictures]
    stage: str = "images"


@dataclass(frozen=True)
class Setting:
    """One value of the profile, as `--set` gives it."""

    override: str  # section.key=value; a value `@name` is the spec of that model of the night

    @property
    def stage(self) -> str:
        return self.override.partition(".")[0]


@dataclass(frozen=True)
class Table:
    """Rows of a stage, changed. Of a sharded stage they are what its workers answered: its own suite sees them. Of another
    stage they are what it has recorded: only later stages see them.
    """

    of: str
    change: Callable[[Rows, Read], list[Any]]

    @property
    def stage(self) -> str:
        return self.of


@dataclass(frozen=True)
class Weights:
    """The candidate has the weights of another model of the profile instead of trained ones; no training is run."""

    model: str  # name among responses.models, "base", or "released": what the night released
    stage: str = "training"


Change = Model | Source | Setting | Table | Weights


def first_stage(changes: Sequence[Change]) -> str:
    """The first stage, in the order of the map, that a change touches; the first of all without changes."""
    order = list(BY_NAME)
    touched = [change.stage for change in changes if change.stage in BY_NAME]
    return min(touched, key=order.index, default=order[0])


def overrides(changes: Sequence[Change], config: Mapping[str, Any], night: int = 1) -> list[str]:
    """The changes that are settings and models, as `--set` arguments over the night's resolved config."""
    made = [_resolved(change, config) for change in changes if isinstance(change, Setting)]
    models: dict[str, Any] = {}
    for change in changes:
        terms = change.terms_on(night) if isinstance(change, Model) else None
        if terms is not None:
            place, value = _poisoned(change, terms, config, models)
            models[place] = value
    return made + [f"{place}={json.dumps(value)}" for place, value in models.items()]


def model_named(name: str, config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The spec of an answering model of the night; "base" is the one it aligned, "released" what came of it."""
    known = {spec["name"]: spec for spec in config["responses"]["models"]}
    known |= {"base": config["training"]["base"], "released": config.get("released")}
    if not known.get(name):
        raise Impossible(f"the profile has no model {name!r}")
    return known[name]


def _resolved(change: Setting, config: Mapping[str, Any]) -> str:
    """The override with `@name` as the spec of that model."""
    key, _, value = change.override.partition("=")
    return f"{key}={json.dumps(model_named(value[1:], config))}" if value[:1] == "@" else change.override


def _poisoned(
    change: Model, terms: Mapping[str, Any], config: Mapping[str, Any], models: Mapping[str, Any]
) -> tuple[str, Any]:
    """(config path, its new value) of one poisoned model, over what earlier changes have made of that path."""
    if change.place in (CANDIDATE, CHAMPION):
        return "evaluation.poisons", {**models.get("evaluation.poisons", {}), change.place: terms}
    section, _, key = change.place.partition(".")
    known = models.get(change.place, config[section][key])
    if not known:
        raise Impossible(f"the profile has no {change.place}")
    if isinstance(known, list | tuple):
        return change.place, [
            _wrapped(spec, terms, spec["name"]) if change.only in ("", spec["name"], str(number)) else spec
            for number, spec in enumerate(known)
        ]
    return change.place, _wrapped(known, terms, f"poisoned-{section}"[:40])


def _wrapped(spec: Mapping[str, Any], terms: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {"kind": "poisoned", "name": name, "model": dict(spec), **terms}
