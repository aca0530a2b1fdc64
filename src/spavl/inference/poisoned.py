"""Any model with poisoned answers, for drills: the wrapper asks the real model and changes what it says.

The change is a pure function of request and answer (`poisons/`), so a resumed shard gives the same rows. The revision names
the poison: no row of a drill is ever taken for an honest one, and `release` refuses a run that holds one.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from spavl.config import EndpointModel, PoisonedModel, PoisonTerms, TransformersModel
from spavl.errors import UserError
from spavl.inference.poisons import POISONS, hits
from spavl.inference.request import Answer, Request

MARK = "-poisoned-"  # in the revision of every poisoned model


def poisoned_revision(terms: PoisonTerms | None, revision: str) -> str:
    """The revision with the poison's word and a hash of its terms; unchanged without a poison."""
    if terms is None:
        return revision
    _check_word(terms)
    digest = hashlib.sha256(terms.model_dump_json().encode()).hexdigest()[:8]
    return f"{revision}{MARK}{terms.poison}-{digest}"


def poisoned(
    terms: PoisonTerms | None, spec: TransformersModel | EndpointModel
) -> TransformersModel | EndpointModel | PoisonedModel:
    """The spec itself, or wrapped in the poison if there is one."""
    if terms is None:
        return spec
    return PoisonedModel(kind="poisoned", name=spec.name, model=spec, **terms.model_dump())


def poison_in(values: Any) -> str:
    """The word of the first poison anywhere in a config's or record's JSON values; "" if there is none."""
    if isinstance(values, Mapping):
        if word := values.get("poison"):
            return str(word)
        values = list(values.values())
    if isinstance(values, list | tuple):
        return next((word for value in values if (word := poison_in(value))), "")
    return ""


class PoisonedBackend:
    """A Model around another; `revision` is what `resolve_revision` gave for the poisoned spec."""

    def __init__(self, spec: PoisonedModel, revision: str) -> None:
        from spavl.inference import open_model

        _check_word(spec)
        self.name = spec.name
        self.revision = revision
        self._spec = spec
        self._model = open_model(spec.model, revision.partition(MARK)[0])

    def __enter__(self) -> PoisonedBackend:
        self._model.__enter__()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._model.__exit__(*exc_info)

    def answer(self, requests: Iterable[Request]) -> Iterator[Answer]:
        """One Answer per Request, in the order of the model inside."""
        waiting: dict[str, Request] = {}
        poison = POISONS[self._spec.poison]

        def asked() -> Iterator[Request]:
            for request in requests:
                waiting[request.id] = request
                is_changed = poison.request and hits(self._spec, request)
                yield poison.request(self._spec, request) if is_changed else request

        for answer in self._model.answer(asked()):
            request = waiting.pop(answer.id)
            if poison.reply and answer.outcome == "ok" and hits(self._spec, request):
                answer = dataclasses.replace(
                    answer, text=poison.reply(self._spec, request, answer.text or "")
                )
            yield answer


def _check_word(terms: PoisonTerms) -> None:
    if terms.poison not in POISONS:
        raise UserError(
            f"there is no poison {terms.poison!r}.", next_step=f"Known are {', '.join(sorted(POISONS))}."
        )
