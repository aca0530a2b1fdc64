"""Evaluation: base and aligned answer the same held-out prompts, one judge reads both, `seal` scores them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from spavl.config import ModelSpec
from spavl.errors import UserError
from spavl.evaluation.answering import (
    BENCHMARK_OF_SPLIT,
    JUDGE_MODE,
    Asking,
    Terms,
    answer_id,
    held_out,
    judged_answers,
)
from spavl.evaluation.contestants import contestant, contestant_revision
from spavl.evaluation.scoring import ALIGNED, BASE, BENIGN, HARM, score_answers
from spavl.judging import prompt_hash
from spavl.records import DatasetRow, EvaluationAnswer, Score
from spavl.stage import Chunk, Sealed, StageContext, WorkItem

PART = EvaluationAnswer
TABLE = Score


def prepare(context: StageContext) -> list[WorkItem]:
    """One item per model, decoding and held-out prompt; raises UserError where nothing can be asked or nobody judges."""
    prompts = _held_out(context)
    items = []
    for role in (BASE, ALIGNED):
        terms = _terms(context, role)
        for decoding in context.config.evaluation.decodings:
            for prompt in prompts:
                payload = {"question_id": prompt.question_id, "decoding": decoding}
                items.append(WorkItem(answer_id(terms, prompt, decoding), role, payload))
    return items


def work(context: StageContext, group: str, chunks: Iterator[Chunk]) -> Iterator[EvaluationAnswer]:
    """The judged answers of one model, `group` being base or aligned."""
    from spavl.inference import open_model

    prompts = {prompt.question_id: prompt for prompt in _held_out(context)}
    terms = _terms(context, group)
    with (
        open_model(contestant(context, group), terms.model_revision) as model,
        open_model(_judge(context), terms.judge_revision) as judge,
    ):
        for chunk in chunks:
            askings = [_asking(item, prompts, chunk.number) for item in chunk.items]
            image_ids = {asking.prompt.image_id for asking in askings}
            images = {image_id: context.store.get_blob(image_id) for image_id in sorted(image_ids)}
            yield from judged_answers(askings, images, terms, model=model, judge=judge)


def seal(context: StageContext, rows: list[EvaluationAnswer]) -> Sealed:
    """The scores; the runner keeps the judged answers beside them."""
    section = context.config.evaluation
    scores = score_answers(rows, num_bootstrap=section.num_bootstrap, seed=section.seed)
    return Sealed(rows=scores, counts=_counts(rows), details=_details(context))


def _counts(rows: list[EvaluationAnswer]) -> dict[str, int]:
    outcomes = Counter(row.outcome for row in rows)
    prompts = Counter(benchmark for _, benchmark in {(row.question_id, row.benchmark) for row in rows})
    return {
        "answers": len(rows),
        "harm_prompts": prompts[HARM],
        "benign_prompts": prompts[BENIGN],
        "unparsable": outcomes["unparsable"],
        "errors": outcomes["error"],
    }


def _details(context: StageContext) -> dict[str, Any]:
    judge = _judge(context)
    return {
        "judge": {"name": judge.name, "kind": judge.kind, "revision": context.revision(judge.name)},
        "judge_prompt_hash": prompt_hash(JUDGE_MODE),
        "models": {role: contestant_revision(context, role) for role in (BASE, ALIGNED)},
    }


def _terms(context: StageContext, role: str) -> Terms:
    section, judge = context.config.evaluation, _judge(context)
    return Terms(
        role=role,
        model_revision=contestant_revision(context, role),
        judge=judge.name,
        judge_revision=context.revision(judge.name),
        max_tokens=section.max_tokens,
        seed=section.seed,
    )


def _judge(context: StageContext) -> ModelSpec:
    judge = context.config.evaluation.judge
    if judge is None:
        raise UserError(
            "evaluation.judge is not set, so answers cannot be scored.",
            next_step="Name a judge in the profile; the judge of judgements.judge is the usual choice.",
        )
    return judge


def _held_out(context: StageContext) -> list[DatasetRow]:
    prompts = held_out(context.rows("dataset"))
    for split, benchmark in BENCHMARK_OF_SPLIT.items():
        if not any(prompt.split == split for prompt in prompts):
            raise UserError(
                f"the dataset version has 0 prompts in split {split}, so {benchmark} cannot be measured.",
                next_step="Raise dataset.test_share, or give `images` more harmful and more benign images.",
            )
    return prompts


def _asking(item: WorkItem, prompts: dict[str, DatasetRow], chunk: int) -> Asking:
    return Asking(item.id, prompts[item.payload["question_id"]], item.payload["decoding"], chunk)
