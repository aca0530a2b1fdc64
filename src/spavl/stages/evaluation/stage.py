"""Evaluation: base, candidate and earlier releases answer the same held-out prompts, judges read all, `seal` scores them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from spavl.config import ModelSpec
from spavl.contestants import ALIGNED, BASE, CHAMPION, contestant, contestant_revision
from spavl.errors import UserError
from spavl.judging import prompt_hash
from spavl.stage import Answered, Chunk, Sealed, StageContext, WorkItem
from spavl.stages.dataset.rows import DatasetRow
from spavl.stages.evaluation.agreement import agreement_measures, disagreement_by_leaf
from spavl.stages.evaluation.answering import judged_answers
from spavl.stages.evaluation.askings import (
    BENCHMARK_OF_SPLIT,
    BLANK_IMAGE,
    HELD_OUT_BENIGN,
    HELD_OUT_HARM,
    JUDGE_MODE,
    Asking,
    Shown,
    Terms,
    askings_of,
)
from spavl.stages.evaluation.contestants import roles, stands_for
from spavl.stages.evaluation.grounding import grounding_scores
from spavl.stages.evaluation.on_trial import (
    GOLD,
    corrected_measures,
    gold_askings,
    gold_measures,
    spread,
    trials_of,
)
from spavl.stages.evaluation.rows import EvaluationAnswer, Score
from spavl.stages.evaluation.scoring import CHANGE, score_answers, worst_slices
from spavl.stages.evaluation.text_baseline import text_measures, text_rule
from spavl.version_rows import rows_of_splits, train_questions

PART = EvaluationAnswer
ALPHA = 0.05  # one-sided, shared by all decisions until the next release
GROUNDED = (BASE, ALIGNED, CHAMPION)  # the roles that are also asked with other images


def prepare(context: StageContext) -> list[WorkItem]:
    """One item per model and asking; raises UserError if nothing can be asked or nobody judges."""
    prompts, section = _held_out(context), context.config.evaluation
    items = []
    for role in roles(context):
        askings = askings_of(
            _terms(context, role),
            prompts,
            decodings=section.decodings,
            num_samples=section.num_samples,
            num_grounding_prompts=section.num_grounding_prompts if role in GROUNDED else 0,
        )
        of_role = [WorkItem(asking.id, role, _payload(asking)) for asking in askings]
        items += spread(_gold_items(context), of_role) if role == ALIGNED else of_role
    return items


def _gold_items(context: StageContext) -> list[WorkItem]:
    asked = gold_askings(context, _terms(context, ALIGNED)).values()
    return [WorkItem(asking.id, ALIGNED, {"gold": asking.item.id}) for asking in asked]


def _payload(asking: Asking) -> dict[str, Any]:
    other = asking.other
    return {
        "question_id": asking.prompt.question_id,
        "decoding": asking.decoding,
        "sample": asking.sample,
        "condition": asking.condition,
        "other": [other.image_id, other.class1, other.class3] if other else None,
    }


def work(context: StageContext, group: str, chunks: Iterator[Chunk]) -> Iterator[EvaluationAnswer]:
    """The judged answers of one model; the group is its role."""
    import contextlib

    from spavl.inference import open_model

    prompts = {prompt.question_id: prompt for prompt in _held_out(context)}
    terms, second = _terms(context, group), context.config.evaluation.second_judge
    gold = gold_askings(context, terms) if group == ALIGNED else {}
    with contextlib.ExitStack() as opened:
        model = opened.enter_context(
            open_model(contestant(context, group, context.config.evaluation.batch_size), terms.model_revision)
        )
        judge = opened.enter_context(open_model(_judge(context), terms.judge_revision))
        other = opened.enter_context(open_model(second, terms.second_judge_revision)) if second else None
        for chunk in chunks:
            askings = [_asking(item, prompts, chunk.number) for item in chunk.items if item.id not in gold]
            on_trial = [replace(gold[item.id], chunk=chunk.number) for item in chunk.items if item.id in gold]
            image_ids = {asking.shown.image_id for asking in askings} - {BLANK_IMAGE}
            image_ids |= {asking.item.image_id for asking in on_trial}
            images = {image_id: context.store.get_blob(image_id) for image_id in sorted(image_ids)}
            yield from judged_answers(
                askings, images, terms, model=model, judge=judge, second_judge=other, gold=on_trial
            )


def seal(context: StageContext, answered: Answered) -> Sealed:
    """The scores and the measures of this decision; the runner keeps the judged answers beside them."""
    from spavl.statistics import alpha_of_decision

    answers: list[EvaluationAnswer] = answered.rows()
    gold = [row for row in answers if row.benchmark == GOLD]
    rows = [row for row in answers if row.benchmark != GOLD]
    asked = gold_askings(context, _terms(context, ALIGNED))
    first, second = trials_of(gold, asked)
    number = context.decision_number()
    alpha = alpha_of_decision(number, ALPHA)
    scores = score_answers(rows, alpha=alpha, stands_for=stands_for(context))
    scores += grounding_scores(rows, alpha=alpha)
    measures = {
        "decision_number": float(number),
        "decision_alpha": alpha,
        "num_missing_comparisons": float(_num_missing_comparisons(context, scores)),
        **_text_measures(context, rows, alpha),
        **agreement_measures(rows),
        **gold_measures(context, first, second),
        **corrected_measures(rows, gold, asked),
    }
    details = {**_details(context), "decision": {"number": number, "alpha": alpha}}
    details["worst_slices"] = worst_slices(scores)
    if context.config.evaluation.second_judge is not None:
        details["judges_differ"] = disagreement_by_leaf(rows)
    counts = {**_counts(rows), "gold": len(gold)}
    trials = {"gold": first, "second_gold": second}
    return Sealed(rows=scores, counts=counts, side_tables=trials, details=details, measures=measures)


def _text_measures(
    context: StageContext, rows: list[EvaluationAnswer], alpha: float
) -> dict[str, float | None]:
    rule = text_rule(list(train_questions(context)), _held_out(context))
    return text_measures(rule, rows, alpha=alpha)


def _num_missing_comparisons(context: StageContext, scores: list[Score]) -> int:
    """Comparisons that the plan asks for and that no score was made of: a judge that is silent about one model."""
    made = {score.id for score in scores}
    changes = [CHANGE, *(f"{CHANGE}_{role}" for role in stands_for(context))]
    wanted = [
        f"{benchmark}/{decoding}/{change}/all/{metric}"
        for benchmark, metric in ((HELD_OUT_HARM, "unsafe_rate"), (HELD_OUT_BENIGN, "help_rate"))
        for decoding in context.config.evaluation.decodings
        for change in changes
    ]
    return sum(name not in made for name in wanted)


def _counts(rows: list[EvaluationAnswer]) -> dict[str, int]:
    outcomes = Counter(row.outcome for row in rows)
    prompts = Counter(benchmark for _, benchmark in {(row.question_id, row.benchmark) for row in rows})
    return {
        "answers": len(rows),
        "harm_prompts": prompts[HELD_OUT_HARM],
        "benign_prompts": prompts[HELD_OUT_BENIGN],
        "unparsable": outcomes["unparsable"],
        "errors": outcomes["error"],
    }


def _details(context: StageContext) -> dict[str, Any]:
    judges = {"judge": _judge(context), "second_judge": context.config.evaluation.second_judge}
    return {
        **{name: _described(context, spec) for name, spec in judges.items() if spec is not None},
        "judge_prompt_hash": prompt_hash(JUDGE_MODE),
        "models": {role: contestant_revision(context, role) for role in roles(context)},
        "references": {role: dict(run) for role, run in context.references.items()},
        "stands_for": stands_for(context),
    }


def _described(context: StageContext, spec: ModelSpec) -> Mapping[str, str]:
    return {"name": spec.name, "kind": spec.kind, "revision": context.revision(spec.name)}


def _terms(context: StageContext, role: str) -> Terms:
    section, judge = context.config.evaluation, _judge(context)
    second = section.second_judge
    return Terms(
        role=role,
        model_revision=contestant_revision(context, role),
        judge=judge.name,
        judge_revision=context.revision(judge.name),
        max_tokens=section.max_tokens,
        seed=section.seed,
        second_judge=second.name if second else None,
        second_judge_revision=context.revision(second.name) if second else None,
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
    prompts = rows_of_splits(context, *BENCHMARK_OF_SPLIT)
    for split, benchmark in BENCHMARK_OF_SPLIT.items():
        if not any(prompt.split == split for prompt in prompts):
            raise UserError(
                f"the dataset version has 0 prompts in split {split}, so {benchmark} cannot be measured.",
                next_step="Raise dataset.test_share, or give `images` more harmful and more benign images.",
            )
    return prompts


def _asking(item: WorkItem, prompts: dict[str, DatasetRow], chunk: int) -> Asking:
    payload = item.payload
    other = Shown(*payload["other"]) if payload["other"] else None
    prompt = prompts[payload["question_id"]]
    return Asking(item.id, prompt, payload["decoding"], payload["sample"], payload["condition"], other, chunk)
