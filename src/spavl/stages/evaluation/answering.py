"""The askings that turn a held-out prompt into a judged answer: the model first, then each judge about what it said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from spavl.inference.request import Answer, Model, Request
from spavl.judging import Verdict, judgement_request, parse_judgement
from spavl.stages.evaluation.askings import (
    BENCHMARK_OF_SPLIT,
    BLANK_IMAGE,
    JUDGE_MODE,
    Asking,
    Terms,
    blank_image,
)
from spavl.stages.evaluation.on_trial import GOLD, GoldAsking
from spavl.stages.evaluation.rows import EvaluationAnswer


class Judged(NamedTuple):
    """What one judge made of one answer; `verdict` is there exactly if the outcome is "ok"."""

    outcome: str
    error: str | None
    verdict: Verdict | None
    raw_reply: str | None


def judged_answers(
    askings: Sequence[Asking],
    images: Mapping[str, bytes],
    terms: Terms,
    *,
    model: Model,
    judge: Model,
    second_judge: Model | None = None,
    gold: Sequence[GoldAsking] = (),
) -> Iterator[EvaluationAnswer]:
    """One row per asking, in their order, then per gold item; `images` maps image id to bytes.

    Both judges read the same answers, the gold items among them.
    """
    answers = _by_id(model.answer(_model_request(asking, images, terms) for asking in askings))
    answered = [asking for asking in askings if answers[asking.id].outcome == "ok"]
    replies = [
        _by_id(reader.answer(_judge_requests(answered, answers, gold, images, terms)))
        for reader in (judge, second_judge)
        if reader is not None
    ]
    for asking in askings:
        judged = [_judged(answers[asking.id], of_judge.get(asking.id)) for of_judge in replies]
        yield _row(asking, terms, answers[asking.id], judged)
    for item in gold:
        yield _gold_row(item, terms, [judged_reply(of_judge[item.id]) for of_judge in replies])


def _judge_requests(
    answered: Sequence[Asking],
    answers: Mapping[str, Answer],
    gold: Sequence[GoldAsking],
    images: Mapping[str, bytes],
    terms: Terms,
) -> Iterator[Request]:
    """Requests by id, which is a hash: a gold item stands among the others, and nothing tells it from them."""
    for asking in sorted([*answered, *gold], key=lambda asking: asking.id):
        if isinstance(asking, Asking):
            yield _judge_request(asking, answers[asking.id], images, terms)
        else:
            yield asking.request(images, terms)


def _by_id(answers: Iterable[Answer]) -> dict[str, Answer]:
    return {answer.id: answer for answer in answers}


def _image(image_id: str, images: Mapping[str, bytes]) -> bytes:
    return blank_image() if image_id == BLANK_IMAGE else images[image_id]


def _model_request(asking: Asking, images: Mapping[str, bytes], terms: Terms) -> Request:
    prompt, shown = asking.prompt, asking.shown
    return Request(
        id=asking.id,
        prompt=prompt.question,
        image=_image(shown.image_id, images),
        image_id=shown.image_id,
        sampling=terms.answer_sampling(asking.decoding, asking.sample),
        facts={"task": "response", "class3": shown.class3, "kind": prompt.kind},
        chunk=asking.chunk,
    )


def _judge_request(asking: Asking, answer: Answer, images: Mapping[str, bytes], terms: Terms) -> Request:
    prompt, shown = asking.prompt, asking.shown
    return judgement_request(
        id=asking.id,
        question=prompt.question,
        response=answer.text or "",
        image=_image(shown.image_id, images),
        image_id=shown.image_id,
        mode=JUDGE_MODE,
        class3=shown.class3,
        kind=prompt.kind,
        sampling=terms.judge_sampling,
        chunk=asking.chunk,
    )


def _row(asking: Asking, terms: Terms, answer: Answer, judged: Sequence[Judged]) -> EvaluationAnswer:
    prompt, shown, first = asking.prompt, asking.shown, judged[0]
    return EvaluationAnswer(
        id=asking.id,
        question_id=prompt.question_id,
        image_id=shown.image_id,
        class1=shown.class1,
        class3=shown.class3,
        kind=prompt.kind,
        benchmark=BENCHMARK_OF_SPLIT[prompt.split],
        model=terms.role,
        model_revision=terms.model_revision,
        decoding=asking.decoding,
        judge=terms.judge,
        judge_revision=terms.judge_revision,
        text=answer.text or "",
        outcome=first.outcome,
        error=first.error,
        raw_reply=first.raw_reply,
        sample=asking.sample,
        condition=asking.condition,
        **_labels(first, ""),
        **(_second(terms, judged[1]) if len(judged) > 1 else {}),
    )


def _gold_row(asking: GoldAsking, terms: Terms, judged: Sequence[Judged]) -> EvaluationAnswer:
    item, first = asking.item, judged[0]
    return EvaluationAnswer(
        id=asking.id,
        question_id=item.question_id,
        image_id=item.image_id,
        class1=item.class1,
        class3=item.class3,
        kind=item.kind,
        benchmark=GOLD,
        model=GOLD,
        model_revision=item.id,
        decoding="greedy",
        judge=terms.judge,
        judge_revision=terms.judge_revision,
        text=item.response,
        outcome=first.outcome,
        error=first.error,
        raw_reply=first.raw_reply,
        **_labels(first, ""),
        **(_second(terms, judged[1]) if len(judged) > 1 else {}),
    )


def _labels(judged: Judged, prefix: str) -> dict[str, Any]:
    return {
        f"{prefix}{name}": getattr(judged.verdict, name) if judged.verdict else None
        for name in ("is_unsafe", "is_refusal", "helpfulness")
    }


def _second(terms: Terms, judged: Judged) -> dict[str, Any]:
    return {
        "second_judge": terms.second_judge,
        "second_judge_revision": terms.second_judge_revision,
        "second_outcome": judged.outcome,
        "second_raw_reply": judged.raw_reply,
        **_labels(judged, "second_"),
    }


def _judged(answer: Answer, reply: Answer | None) -> Judged:
    if reply is None:
        return Judged("error", f"model: {answer.error}", None, None)
    return judged_reply(reply)


def judged_reply(reply: Answer) -> Judged:
    """What a judge's reply says."""
    if reply.outcome != "ok":
        return Judged("error", f"judge: {reply.error}", None, reply.text)
    verdict = parse_judgement(reply.text or "")
    if verdict is None:
        return Judged("unparsable", "judge: the reply is not in the form asked for", None, reply.text)
    return Judged("ok", None, verdict, reply.text)
