"""The fake model is the same every time, and misbehaves in the shares it was told."""

from __future__ import annotations

import pytest

from spavl.config import FakeModel
from spavl.inference import Request, open_model, resolve_revision
from spavl.inference.fake import GARBAGE
from spavl.inference.reply import parse_json_reply

REQUESTS = [Request(f"r{number}", "what is shown?") for number in range(2000)]


def answers_of(**changes: object) -> dict[str, object]:
    spec = FakeModel(kind="fake", name="fake", **changes)
    with open_model(spec, resolve_revision(spec)) as model:
        return {answer.id: answer for answer in model.answer(REQUESTS)}


def test_the_same_id_gets_the_same_answer_in_any_order() -> None:
    spec = FakeModel(kind="fake", name="fake", replies=("a", "b", "c"), error_share=0.2)
    with open_model(spec, "fake-1") as model:
        forwards = {answer.id: answer for answer in model.answer(REQUESTS)}
        backwards = {answer.id: answer for answer in model.answer(reversed(REQUESTS))}
    assert forwards == backwards
    assert {answer.text for answer in forwards.values()} == {"a", "b", "c", None}


def test_a_text_in_the_prompt_chooses_the_replies() -> None:
    spec = FakeModel(
        kind="fake", name="fake", replies=("other",), replies_to={"red": ("a",), "shown": ("b",)}
    )
    with open_model(spec, "fake-1") as model:
        prompts = ("is red shown?", "what is shown?", "nothing")
        answers = model.answer(Request(f"r{number}", prompt) for number, prompt in enumerate(prompts))
        assert [answer.text for answer in answers] == ["a", "b", "other"]


def test_errors_and_garbage_come_in_their_shares() -> None:
    answers = answers_of(error_share=0.1, garbage_share=0.3).values()
    assert len(answers) == 2000
    assert sum(answer.outcome == "error" for answer in answers) == pytest.approx(200, abs=60)
    assert sum(answer.text == GARBAGE for answer in answers) == pytest.approx(600, abs=90)
    assert all((answer.text is None) == (answer.outcome == "error") for answer in answers)


def test_garbage_is_no_reply_that_a_judge_could_have_given() -> None:
    assert parse_json_reply(GARBAGE) is None


def test_a_fake_that_always_fails_answers_every_request() -> None:
    assert {answer.outcome for answer in answers_of(error_share=1.0).values()} == {"error"}
