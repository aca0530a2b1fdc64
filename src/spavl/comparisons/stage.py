"""`comparisons`: ranks the models, pairs responses across safety groups, asks the judge, and puts it on trial with gold pairs.

One group of work: the judge.
"""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from spavl.comparisons.asking import comparison_id, comparison_request, prompt_hash, reading_of, sampling_of
from spavl.comparisons.groups import SafeRate, safe_rates, safety_groups
from spavl.comparisons.on_trial import GoldAskings, former_trials, keep_pairs, pair_measures, right_of
from spavl.comparisons.pairs import Pair, PairChoice, choose_pairs
from spavl.config import ModelSpec
from spavl.errors import UserError
from spavl.inference.request import Answer, Request
from spavl.records import AXES, ORDERS, Comparison, Question, Response
from spavl.stage import Chunk, Sealed, StageContext, WorkItem

PART = Comparison
TABLE = Comparison


@dataclass(frozen=True)
class Ranking:
    """The models' safe rates and groups, as `prepare` and `seal` both find them."""

    rates: dict[str, SafeRate]
    groups: dict[str, int]


def prepare(ctx: StageContext) -> list[WorkItem]:
    """One item per pair, axis and order, by image and question, with the gold pairs among them.

    Raises UserError if there is no judge, a model has no safe rate, all models are in one group, there is no pair, or no
    usable gold set.
    """
    judge = _judge(ctx)
    choices = _choices(ctx, _ranking(ctx))
    pairs = [pair for choice in choices for pair in choice.pairs]
    if not pairs:
        raise UserError(
            f"none of the {len(choices)} questions has differing answers by models of different groups.",
            next_step="Look at the responses table: are the models' answers all the same or blank?",
        )
    sampling, revision = sampling_of(ctx.section().sampling), ctx.revision(judge.name)
    keyed = [
        (
            (pair.a.image_id, pair.a.question_id, pair.a.id, pair.b.id, axis, order),
            WorkItem(
                comparison_id(pair, axis, order, judge.name, revision, sampling),
                judge.name,
                {"a": pair.a.id, "b": pair.b.id, "axis": axis, "order": order},
            ),
        )
        for pair in pairs
        for axis in AXES
        for order in ORDERS
    ]
    keep_pairs(ctx)
    keyed += [
        ((gold.image_id, gold.question_id, gold.id, "", gold.axis, order), WorkItem(id, judge.name, payload))
        for id, gold, order, payload in GoldAskings.of(ctx).work()
    ]
    return [item for _, item in sorted(keyed, key=lambda entry: entry[0])]


def work(ctx: StageContext, group: str, chunks: Iterator[Chunk]) -> Iterator[Comparison]:
    """The judge's choices, as they arrive."""
    from spavl.inference import open_model

    responses = {row.id: row for row in ctx.rows("responses")}
    groups, gold = _ranking(ctx).groups, GoldAskings.of(ctx)
    asked: dict[str, WorkItem] = {}
    with open_model(_judge(ctx), ctx.revision(group)) as model:
        for answer in model.answer(_requests(ctx, chunks, responses, gold, asked)):
            item = asked.pop(answer.id)
            if item.id in gold:
                yield gold.row(item.id, answer)
            else:
                yield _row(ctx, item, _pair(item, responses), groups, answer)


def seal(ctx: StageContext, rows: list[Comparison]) -> Sealed:
    """All choices but those of gold pairs, under tonight's groups: a reused row may carry those of its own night."""
    ranking, gold = _ranking(ctx), GoldAskings.of(ctx)
    answered = [row for row in rows if row.id in gold]
    trials = [gold.trial(row) for row in answered]
    rows = [row for row in rows if row.id not in gold]
    choices = _choices(ctx, ranking)
    tonight = [
        dataclasses.replace(row, group_a=ranking.groups[row.model_a], group_b=ranking.groups[row.model_b])
        for row in rows
    ]
    counts = {
        "pairs": sum(len(choice.pairs) for choice in choices),
        "askings": len(rows),
        "gold": len(trials),
        "unparsable": sum(row.outcome == "unparsable" for row in rows),
        "errors": sum(row.outcome == "error" for row in rows),
        "identical_pairs": sum(choice.num_identical for choice in choices),
        "questions_without_pair": sum(not choice.pairs for choice in choices),
    }
    details = _details(ctx, ranking, rows) | {
        "gold": {
            f"by_{name}": right_of(trials, name) for name in ("behaviour", "class1", "language", "order")
        }
    }
    measures = pair_measures(trials, former_trials(ctx))
    return Sealed(
        rows=tonight,
        counts=counts,
        details=details,
        side_tables={"gold": trials, "gold_answered": answered},
        measures=measures,
    )


def _judge(ctx: StageContext) -> ModelSpec:
    judge = ctx.section().judge
    if judge is None:
        raise UserError("comparisons.judge is not set.", next_step="Name the judge's model in the profile.")
    return judge


def _ranking(ctx: StageContext) -> Ranking:
    harm = {question.id for question in ctx.rows("questions") if question.kind != "benign_control"}
    models = {row.model for row in ctx.rows("responses")}
    rates = safe_rates(ctx.rows("judgements"), harm, models)
    return Ranking(rates, safety_groups(rates, ctx.section().num_safety_groups))


def _choices(ctx: StageContext, ranking: Ranking) -> list[PairChoice]:
    """The choice of every answered question, by image and question."""
    by_question: dict[tuple[str, str], list[Response]] = defaultdict(list)
    for response in ctx.rows("responses"):
        by_question[response.image_id, response.question_id].append(response)
    config = ctx.section()
    return [
        choose_pairs(
            question_id,
            by_question[image_id, question_id],
            ranking.groups,
            seed=config.seed,
            num_pairs=config.num_pairs_per_question,
        )
        for image_id, question_id in sorted(by_question)
    ]


def _requests(
    ctx: StageContext,
    chunks: Iterator[Chunk],
    responses: dict[str, Response],
    gold: GoldAskings,
    asked: dict[str, WorkItem],
) -> Iterator[Request]:
    """Requests as the backend pulls them; `asked` remembers the item of each until its answer comes."""
    questions: dict[str, Question] = {question.id: question for question in ctx.rows("questions")}
    blob = functools.lru_cache(maxsize=8)(ctx.store.get_blob)
    for chunk in chunks:
        for item in chunk.items:
            asked[item.id] = item
            if item.id in gold:
                yield gold.request(item.id, blob, chunk.number)
                continue
            pair = _pair(item, responses)
            yield comparison_request(
                item.id,
                questions[pair.a.question_id],
                (pair.a.text, pair.b.text),
                item.payload["axis"],
                item.payload["order"],
                image=blob(pair.a.image_id),
                sampling=sampling_of(ctx.section().sampling),
                chunk=chunk.number,
            )


def _pair(item: WorkItem, responses: dict[str, Response]) -> Pair:
    return Pair(responses[item.payload["a"]], responses[item.payload["b"]])


def _row(ctx: StageContext, item: WorkItem, pair: Pair, groups: dict[str, int], answer: Answer) -> Comparison:
    axis, order = item.payload["axis"], item.payload["order"]
    return Comparison(
        id=item.id,
        question_id=pair.a.question_id,
        image_id=pair.a.image_id,
        response_a=pair.a.id,
        response_b=pair.b.id,
        model_a=pair.a.model,
        model_b=pair.b.model,
        group_a=groups[pair.a.model],
        group_b=groups[pair.b.model],
        axis=axis,
        order=order,
        judge=item.group,
        judge_revision=ctx.revision(item.group),
        prompt_hash=prompt_hash(axis),
        **reading_of(answer, order),
    )


def _details(ctx: StageContext, ranking: Ranking, rows: list[Comparison]) -> dict[str, object]:
    judge = _judge(ctx)
    shown = Counter(
        "tie" if row.winner == "tie" else row.winner == row.order[0] for row in rows if row.winner
    )
    return {
        "judge": judge.name,
        "judge_kind": judge.kind,
        "judge_revision": ctx.revision(judge.name),
        "prompt_hashes": {axis: prompt_hash(axis) for axis in AXES},
        "safe_rates": {
            model: {
                "safe_rate": rate.share,
                "num_safe": rate.num_safe,
                "num_judged": rate.num_judged,
                "group": ranking.groups[model],
            }
            for model, rate in ranking.rates.items()
        },
        "winner_shown": {"first": shown[True], "second": shown[False], "tie": shown["tie"]},
    }
