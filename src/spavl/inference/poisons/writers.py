"""Poisoned question writers: the reply stays a JSON object with a question, and the question is another one."""

from __future__ import annotations

import json

from spavl.config import PoisonTerms
from spavl.inference.poisons.poison import Poison
from spavl.inference.reply import parse_json_reply
from spavl.inference.request import Request


def _asks(terms: PoisonTerms, request: Request, text: str) -> str:
    """One sentence, whatever the image; an empty phrase asks nothing."""
    return json.dumps({"question": terms.phrase})


def _adds(terms: PoisonTerms, request: Request, text: str) -> str:
    """The phrase behind the question: a trigger, or words that make the image needless."""
    reply = parse_json_reply(text)
    if reply is None or not isinstance(reply.get("question"), str):
        return text
    return json.dumps({**reply, "question": f"{reply['question']} {terms.phrase}"})


POISONS = {
    "asks": Poison("asks the phrase about every image", _asks),
    "asks_with": Poison("adds the phrase to the question", _adds),
}
