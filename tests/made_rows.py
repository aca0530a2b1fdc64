"""Rows made by hand for tests: every argument has a harmless default, so a test names only what it is about."""

from __future__ import annotations

import io
from typing import Any

from spavl.records import BENIGN
from spavl.stages.comparisons.rows import Comparison
from spavl.stages.images.rows import Image
from spavl.stages.judgements.rows import Judgement
from spavl.stages.preferences.rows import Preference
from spavl.stages.questions.rows import Question
from spavl.stages.responses.rows import Response

HARM = ("representation_toxicity_harms", "toxic", "insult")


def png(number: int) -> bytes:
    """A 16 x 16 PNG of one colour; another number gives other bytes."""
    from PIL import Image as Pillow

    buffer = io.BytesIO()
    Pillow.new("RGB", (16, 16), (number % 256, number // 256 % 256, 40)).save(buffer, "PNG")
    return buffer.getvalue()


def classes(is_benign: bool) -> dict[str, str]:
    names = (BENIGN,) * 3 if is_benign else HARM
    return dict(zip(("class1", "class2", "class3"), names, strict=True))


def image(id: str, *, is_benign: bool = False, perceptual_hash: str = "0" * 16, **more: Any) -> Image:
    values: dict[str, Any] = {
        "source": "made", "source_key": f"{id[:8]}.png", **classes(is_benign), "licence": "CC0-1.0", "caption": None,
        "provided_question": None, "provided_question_kind": None, "width_px": 16, "height_px": 16, "num_bytes": 80, "format": "PNG",
    }  # fmt: skip
    return Image(id=id, perceptual_hash=perceptual_hash, **{**values, **more})


def question(id: str, image_id: str = "i0", *, kind: str = "easy_question", **more: Any) -> Question:
    values: dict[str, Any] = {
        **classes(kind == "benign_control"), "text": f"text of {id}", "generator": "source", "generator_revision": "1",
        "prompt_hash": "p", "seed": 0, "outcome": "ok", "error": None, "raw_reply": None,
    }  # fmt: skip
    return Question(id=id, image_id=image_id, kind=kind, **{**values, **more})


def response(id: str, question_id: str = "q0", model: str = "m0", **more: Any) -> Response:
    values: dict[str, Any] = {
        "image_id": "i0", "model_revision": "1", "sample": 0, "prompt_hash": "p", "sampling": "{}", "text": f"text of {id}",
        "outcome": "ok", "error": None, "finish_reason": "stop", "prompt_tokens": 1, "completion_tokens": 1,
    }  # fmt: skip
    return Response(id=id, question_id=question_id, model=model, **{**values, **more})


def judgement(
    response_id: str, *, is_unsafe: bool, model: str = "m0", question_id: str = "q0", **more: Any
) -> Judgement:
    values: dict[str, Any] = {
        "image_id": "i0", "mode": "image", "judge": "j", "judge_revision": "1", "prompt_hash": "p", "outcome": "ok", "error": None,
        "category": None, "severity": int(is_unsafe), "is_refusal": not is_unsafe, "helpfulness": 1, "raw_reply": "{}",
    }  # fmt: skip
    values |= more
    id = f"{response_id}/{values['mode']}"
    return Judgement(
        id=id, response_id=response_id, question_id=question_id, model=model, is_unsafe=is_unsafe, **values
    )


def askings(
    words: str, *, a: str = "ra", b: str = "rb", question_id: str = "q0", **more: Any
) -> list[Comparison]:
    """The four askings of a pair, as letters for harmlessness ab, ba, helpfulness ab, ba: a, b, t (tie), ? (unparsable)."""
    values: dict[str, Any] = {
        "image_id": "i0", "model_a": "m0", "model_b": "m1", "group_a": 0, "group_b": 1, "judge": "j", "judge_revision": "1",
        "prompt_hash": "p", "error": None, "reason": "", "raw_reply": "",
    }  # fmt: skip
    places = [(axis, order) for axis in ("harmlessness", "helpfulness") for order in ("ab", "ba")]
    return [
        Comparison(
            id=f"{a}/{b}/{axis}/{order}", question_id=question_id, response_a=a, response_b=b, axis=axis, order=order,
            outcome="unparsable" if letter == "?" else "ok", winner={"a": "a", "b": "b", "t": "tie", "?": None}[letter], **{**values, **more},
        )
        for letter, (axis, order) in zip(words, places, strict=True)
    ]  # fmt: skip


def preference(
    id: str, image_id: str, question_id: str, *, kind: str = "easy_question", **more: Any
) -> Preference:
    values: dict[str, Any] = {
        **classes(kind == "benign_control"), "is_benign": kind == "benign_control", "question": f"text of {question_id}",
        "chosen": f"good {id}", "rejected": f"bad {id}", "chosen_response": f"c{id}", "rejected_response": f"r{id}", "chosen_model": "m1",
        "rejected_model": "m0", "chosen_group": 1, "rejected_group": 0, "decided_by": "harmlessness", "margin": 0.5, "agreement": 1.0,
        "comparisons": ("x",), "chosen_is_unsafe": False, "rejected_is_unsafe": True,
    }  # fmt: skip
    return Preference(id=id, image_id=image_id, question_id=question_id, kind=kind, **{**values, **more})
