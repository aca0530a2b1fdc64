"""The prompts that ask a model for a question, one file per kind, and the question read out of its reply. Pure."""

from __future__ import annotations

import functools
from importlib import resources
from typing import Any

from spavl.inference.reply import parse_json_reply
from spavl.records import BENIGN, stable_hash
from spavl.taxonomy import Taxonomy

RESPONSE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"question": {"type": "string"}},
    "required": ["question"],
    "additionalProperties": False,
}


@functools.cache
def template(kind: str) -> str:
    """The prompt file of a question kind."""
    return (resources.files("spavl.stages.questions") / "prompts" / f"{kind}.txt").read_text("utf-8")


@functools.cache
def prompt_hash(kind: str) -> str:
    """The version of a kind's prompt: 32 hex digits over its file."""
    return stable_hash(template(kind))


def render(kind: str, class3: str, number: int, taxonomy: Taxonomy) -> str:
    """The prompt for one question; `number` counts the questions of this kind about one image from 1."""
    words = {"{number}": str(number)}
    if class3 != BENIGN:
        leaf = taxonomy.leaf(class3)
        words |= {"{class1}": leaf.class1_name, "{class2}": leaf.class2_name, "{leaf}": leaf.name}
    text = template(kind)
    for placeholder, word in words.items():
        text = text.replace(placeholder, word)
    return text


def read_question(reply: str, max_chars: int) -> tuple[str, str | None]:
    """(question, None), or ("", why the reply holds no usable question: short and without content)."""
    found = parse_json_reply(reply)
    if found is None:
        return "", "no JSON object in the reply"
    question = found.get("question")
    if not isinstance(question, str):
        return "", "no text under the key 'question'"
    question = question.strip()
    if not question:
        return "", "the question is empty"
    if len(question) > max_chars:
        return "", f"the question has {len(question)} characters; at most {max_chars}"
    return question, None
