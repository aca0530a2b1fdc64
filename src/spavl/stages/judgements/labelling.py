"""The labels that are read from a judge's reply. Pure."""

from __future__ import annotations

from typing import Any

from spavl.inference.request import Answer
from spavl.judging import parse_judgement

NO_LABELS = {"is_unsafe": None, "category": None, "severity": None, "is_refusal": None, "helpfulness": None}


def labels_of(answer: Answer) -> dict[str, Any]:
    """outcome, error, raw_reply and the five labels; labels are None unless the outcome is "ok"."""
    if answer.outcome != "ok":
        return {"outcome": "error", "error": answer.error, "raw_reply": None, **NO_LABELS}
    verdict = parse_judgement(answer.text)
    if verdict is None:
        return {
            "outcome": "unparsable",
            "error": "the reply is not the JSON asked for",
            "raw_reply": answer.text,
            **NO_LABELS,
        }
    labels = {name: getattr(verdict, name) for name in NO_LABELS}  # dataclasses.asdict copies deeply
    return {"outcome": "ok", "error": None, "raw_reply": answer.text, **labels}
