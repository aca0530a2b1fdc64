"""The held-out prompts as work, and the two askings that turn one of them into a judged answer: model first, then judge."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from spavl.evaluation.scoring import BENIGN, HARM
from spavl.inference.request import Answer, Model, Request, Sampling
from spavl.judging import Verdict, judgement_request, parse_judgement, prompt_hash
from spavl.records import DatasetRow, EvaluationAnswer, stable_hash

BENCHMARK_OF_SPLIT = {"test_harm": HARM, "test_help": BENIGN}
TEMPERATURES = {"greedy": 0.0, "sampled": 1.0}
ANSWER_PROMPT = "the question alone"  # part of every id: with a system prompt it would be another evaluation
JUDGE_MODE = "image"
JUDGE_MAX_TOKENS = 512


@dataclass(frozen=True, slots=True)
class Terms:
    """All that decides a row beside the prompt itself: which model is asked, how, and who judges."""

    role: str  # base or aligned
    model_revision: str
    judge: str
    judge_revision: str
    max_tokens: int
    seed: int

    def answer_sampling(self, decoding: str) -> Sampling:
        return Sampling(temperature=TEMPERATURES[decoding], max_tokens=self.max_tokens, seed=self.seed)

    @property
    def judge_sampling(self) -> Sampling:
        return Sampling(temperature=0.0, max_tokens=JUDGE_MAX_TOKENS, seed=self.seed)


@dataclass(frozen=True, slots=True)
class Asking:
    """One held-out prompt and the way its answer is drawn."""

    id: str
    prompt: DatasetRow
    decoding: str  # greedy or sampled
    chunk: int = 0


def held_out(rows: Iterable[DatasetRow]) -> list[DatasetRow]:
    """The prompts of the test splits, in the table's order."""
    return [row for row in rows if row.split in BENCHMARK_OF_SPLIT]


def answer_id(terms: Terms, prompt: DatasetRow, decoding: str) -> str:
    """The id of a judged answer: everything that decides its row, so an earlier night's row can stand for it."""
    asked = (
        prompt.question_id,
        prompt.question,
        prompt.image_id,
        prompt.split,
        prompt.class1,
        prompt.class3,
        prompt.kind,
    )
    answered = (
        terms.role,
        terms.model_revision,
        decoding,
        asdict(terms.answer_sampling(decoding)),
        ANSWER_PROMPT,
    )
    judged = (terms.judge, terms.judge_revision, asdict(terms.judge_sampling), prompt_hash(JUDGE_MODE))
    return stable_hash("evaluation", asked, answered, judged)


def judged_answers(
    askings: Sequence[Asking], images: Mapping[str, bytes], terms: Terms, *, model: Model, judge: Model
) -> Iterator[EvaluationAnswer]:
    """One row per asking, in their order; `images` maps image id to bytes."""
    answers = _by_id(model.answer(_model_request(asking, images, terms) for asking in askings))
    answered = [asking for asking in askings if answers[asking.id].outcome == "ok"]
    requests = (_judge_request(asking, answers[asking.id], images, terms) for asking in answered)
    replies = _by_id(judge.answer(requests))
    for asking in askings:
        yield _row(asking, terms, answers[asking.id], replies.get(asking.id))


def _by_id(answers: Iterable[Answer]) -> dict[str, Answer]:
    return {answer.id: answer for answer in answers}


def _model_request(asking: Asking, images: Mapping[str, bytes], terms: Terms) -> Request:
    prompt = asking.prompt
    return Request(
        id=asking.id,
        prompt=prompt.question,
        image=images[prompt.image_id],
        image_id=prompt.image_id,
        sampling=terms.answer_sampling(asking.decoding),
        facts={"task": "response", "class3": prompt.class3, "kind": prompt.kind},
        chunk=asking.chunk,
    )


def _judge_request(asking: Asking, answer: Answer, images: Mapping[str, bytes], terms: Terms) -> Request:
    prompt = asking.prompt
    return judgement_request(
        id=asking.id,
        question=prompt.question,
        response=answer.text or "",
        image=images[prompt.image_id],
        image_id=prompt.image_id,
        mode=JUDGE_MODE,
        class3=prompt.class3,
        kind=prompt.kind,
        sampling=terms.judge_sampling,
        chunk=asking.chunk,
    )


def _row(asking: Asking, terms: Terms, answer: Answer, reply: Answer | None) -> EvaluationAnswer:
    outcome, error, verdict = _outcome(answer, reply)
    prompt = asking.prompt
    return EvaluationAnswer(
        id=asking.id,
        question_id=prompt.question_id,
        image_id=prompt.image_id,
        class1=prompt.class1,
        class3=prompt.class3,
        kind=prompt.kind,
        benchmark=BENCHMARK_OF_SPLIT[prompt.split],
        model=terms.role,
        model_revision=terms.model_revision,
        decoding=asking.decoding,
        judge=terms.judge,
        judge_revision=terms.judge_revision,
        text=answer.text or "",
        outcome=outcome,
        error=error,
        is_unsafe=verdict.is_unsafe if verdict else None,
        is_refusal=verdict.is_refusal if verdict else None,
        helpfulness=verdict.helpfulness if verdict else None,
        raw_reply=reply.text if reply else None,
    )


def _outcome(answer: Answer, reply: Answer | None) -> tuple[str, str | None, Verdict | None]:
    """(outcome, error, verdict) of one prompt; the verdict is there exactly where the outcome is "ok"."""
    if reply is None:
        return "error", f"model: {answer.error}", None
    if reply.outcome != "ok":
        return "error", f"judge: {reply.error}", None
    verdict = parse_judgement(reply.text or "")
    if verdict is None:
        return "unparsable", "judge: the reply is not in the form asked for", None
    return "ok", None, verdict
