"""What the judge is asked about a pair on one axis, and how its reply is read. Pure.

Rubric first and varying text last, so that servers cache the common prefix; question and responses are JSON
strings in the prompt, so that they cannot close their own quotes and speak as the rubric. A reply is read
strictly: an object with exactly `winner` ("first", "second" or "tie") and `reason` (a text); anything else is
unparsable and never guessed.
"""

from __future__ import annotations

import functools
from importlib import resources
from typing import Any

from spavl.inference.reply import parse_json_reply
from spavl.inference.request import Answer, Request, Sampling
from spavl.inference.template import fill, quoted
from spavl.records import stable_hash
from spavl.stages.comparisons.rows import AXES

WINNERS = ("first", "second", "tie")
RESPONSE_SCHEMA = {
    "type": "object",
    "properties": {"winner": {"enum": list(WINNERS)}, "reason": {"type": "string"}},
    "required": ["winner", "reason"],
    "additionalProperties": False,
}
UNREAD = {"winner": None, "reason": None}


@functools.cache
def template(axis: str) -> str:
    """The prompt of one axis, with $question, $first and $second to fill in."""
    if axis not in AXES:
        raise ValueError(f"axis {axis!r} is none of {', '.join(AXES)}")
    return (resources.files("spavl.stages.comparisons") / "prompts" / f"{axis}.txt").read_text("utf-8")


@functools.cache
def prompt_hash(axis: str) -> str:
    """Version of the axis's prompt: changes with any word of it or of the schema."""
    return stable_hash("comparison", axis, template(axis), RESPONSE_SCHEMA)


def comparison_request(
    *,
    id: str,
    question: str,
    texts: tuple[str, str],
    axis: str,
    order: str,
    image: bytes,
    image_id: str,
    class3: str,
    kind: str,
    sampling: Sampling,
    chunk: int,
) -> Request:
    """The request that presents the texts of a and b in this order, under the question."""
    first, second = texts if order == "ab" else texts[::-1]
    shown = {"question": question, "first": first, "second": second}
    return Request(
        id=id,
        prompt=fill(template(axis), {name: quoted(text) for name, text in shown.items()}),
        image=image,
        image_id=image_id,
        sampling=sampling,
        response_schema=RESPONSE_SCHEMA,
        facts={
            "task": "comparison",
            "class3": class3,
            "kind": kind,
            "axis": axis,
            **shown,
        },
        chunk=chunk,
    )


def reading_of(answer: Answer, order: str) -> dict[str, Any]:
    """outcome, error, raw_reply, winner (turned back to a, b or tie) and reason of a Comparison row."""
    if answer.outcome != "ok":
        return {"outcome": "error", "error": answer.error, "raw_reply": None, **UNREAD}
    reply = parse_json_reply(answer.text)
    if reply is None or not _has_the_form(reply):
        return {
            "outcome": "unparsable",
            "error": "the reply is not the JSON asked for",
            "raw_reply": answer.text,
            **UNREAD,
        }
    winner = _turned_back(reply["winner"], order)
    return {
        "outcome": "ok",
        "error": None,
        "raw_reply": answer.text,
        "winner": winner,
        "reason": reply["reason"],
    }


def _has_the_form(reply: dict[str, Any]) -> bool:
    # a list is unhashable and 1 == True: the type is asked before the value
    if reply.keys() != RESPONSE_SCHEMA["properties"].keys() or not isinstance(reply["reason"], str):
        return False
    return isinstance(reply["winner"], str) and reply["winner"] in WINNERS


def _turned_back(winner: str, order: str) -> str:
    if winner == "tie":
        return "tie"
    return order[0] if winner == "first" else order[1]
