"""`comparisons`: ranks the models, pairs responses across safety groups, asks the judge, and puts it on trial with gold pairs.

One group of work: the judge.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spavl.errors import UserError
from spavl.inference.asking import ask
from spavl.inference.request import Answer, Request
from spavl.judging.asker import Asker
from spavl.judging.gold import Gold
from spavl.judging.on_trial import ANSWERED, Askings, former_trials, keep_tonights
from spavl.judging.pair_trial import is_pair_right, pair_measures, pair_trial, pair_trial_id
from spavl.judging.shares import right_of
from spavl.sql import refuse_strays
from spavl.stage import Answered, Chunk, Items, Sealed, StageContext, Tables, WorkItem
from spavl.stages.comparisons.asking import comparison_request, prompt_hash, reading_of
from spavl.stages.comparisons.groups import SafeRate, safe_rates, safety_groups
from spavl.stages.comparisons.listing import gold_table, items
from spavl.stages.comparisons.pairs import choose_pairs, num_identical
from spavl.stages.comparisons.rows import AXES, ORDERS, Comparison, ComparisonTrial, GoldPair

if TYPE_CHECKING:
    import pyarrow as pa

    from spavl.artifacts.engine import Relation

PART = Comparison
STAGE = "comparisons"


@dataclass(frozen=True)
class Ranking:
    """The models' safe rates and groups, as `prepare` and `seal` both find them."""

    rates: dict[str, SafeRate]
    groups: dict[str, int]

    @classmethod
    def tonights(cls, ctx: StageContext) -> Ranking:
        """Opens the views `questions`, `responses` and `judgements`, and makes the view `groups` (model, safety_group)."""
        for stage in ("questions", "responses", "judgements"):
            ctx.tables.open(stage)
        rates = safe_rates(ctx.tables)
        ranking = cls(rates, safety_groups(rates, ctx.section().num_safety_groups))
        ctx.tables.view("groups", ranking.table())
        return ranking

    def table(self) -> pa.Table:
        import pyarrow as pa

        return pa.table({"model": list(self.groups), "safety_group": list(self.groups.values())})

    def details(self) -> dict[str, Any]:
        """Per model."""
        return {
            model: {
                "safe_rate": rate.share,
                "num_safe": rate.num_safe,
                "num_judged": rate.num_judged,
                "group": self.groups[model],
            }
            for model, rate in self.rates.items()
        }


def prepare(ctx: StageContext) -> Items:
    """One item per pair, axis and order, by image and question, with the gold pairs among them.

    Raises UserError if there is no judge, a model has no safe rate, all models are in one group, there is no pair, no
    usable gold set, or a response lacks its question or a judgement its response.
    """
    asker, tables, config = Asker.of(ctx, STAGE), ctx.tables, ctx.section()
    Ranking.tonights(ctx)
    refuse_strays(tables, "responses", "question_id", "questions")
    refuse_strays(tables, "judgements", "response_id", "responses")
    pairs = choose_pairs(tables, ctx.scratch, seed=config.seed, num_pairs=config.num_pairs_per_question)
    if not pairs.num_rows:
        raise UserError(
            f"none of the {_num_answered(tables)} questions has differing answers by models of different groups.",
            next_step="Look at the responses table: are the models' answers all the same or blank?",
        )
    tables.view("pairs", pairs)
    tables.open("images")
    keep_tonights(ctx, STAGE, GoldPair, Gold.pairs)
    tables.view("gold", gold_table(_gold(ctx, asker)))
    return items(tables, ctx.scratch, asker)


def work(ctx: StageContext, group: str, chunks: Iterator[Chunk]) -> Iterator[Comparison]:
    """The judge's choices, as they arrive."""
    asker = Asker.of(ctx, STAGE)
    blob = functools.lru_cache(maxsize=8)(ctx.store.get_blob)

    def request_of(item: WorkItem, chunk: int) -> Request:
        asked = item.payload
        return comparison_request(
            id=item.id,
            texts=(asked["text_a"], asked["text_b"]),
            image=blob(asked["image_id"]),
            **{name: asked[name] for name in ("question", "axis", "order", "image_id", "class3", "kind")},
            sampling=asker.sampling,
            chunk=chunk,
        )

    return ask(asker.spec, asker.revision, chunks, request_of, functools.partial(_row, asker))


def seal(ctx: StageContext, answered: Answered) -> Sealed:
    """All choices but those of gold pairs, under tonight's groups: a reused row may carry those of its own night."""
    ranking, asker, tables = Ranking.tonights(ctx), Asker.of(ctx, STAGE), ctx.tables
    gold = _gold(ctx, asker).by_id
    trials = [pair_trial(*gold[row.id], row) for row in answered.rows(ANSWERED)]
    tables.view("answered", answered.relation())
    details = {
        **asker.details(),
        "prompt_hashes": {axis: prompt_hash(axis) for axis in AXES},
        "safe_rates": ranking.details(),
        "winner_shown": _winner_shown(tables),
        "gold": _trial_details(trials),
    }
    return Sealed(
        rows=_under_tonights_groups(tables),
        counts=_counts(tables, len(trials)),
        details=details,
        side_tables={"gold": trials},
        measures=pair_measures(trials, former_trials(ctx, STAGE, ComparisonTrial)),
    )


def _gold(ctx: StageContext, asker: Asker) -> Askings[GoldPair]:
    """Tonight's gold pairs in both orders, by the id under which the judge is asked."""

    def id_of(pair: GoldPair, order: str) -> str:
        return pair_trial_id(pair, order, ctx.run_id, asker.id_parts(prompt_hash(pair.axis)))

    return Askings.kept(ctx, STAGE, GoldPair, ORDERS, id_of)


def _row(asker: Asker, item: WorkItem, answer: Answer) -> Comparison:
    asked = item.payload
    names = (
        "question_id",
        "image_id",
        "response_a",
        "response_b",
        "model_a",
        "model_b",
        "group_a",
        "group_b",
    )
    return Comparison(
        id=item.id,
        **{name: asked[name] for name in (*names, "axis", "order")},
        judge=asker.name,
        judge_revision=asker.revision,
        prompt_hash=prompt_hash(asked["axis"]),
        **reading_of(answer, asked["order"]),
    )


def _under_tonights_groups(tables: Tables) -> Relation | None:
    """The answered rows with tonight's groups; None if they have them already."""
    both = """FROM answered JOIN groups a ON a.model = answered.model_a JOIN groups b ON b.model = answered.model_b"""
    differing = "(answered.group_a, answered.group_b) <> (a.safety_group, b.safety_group)"
    if not tables.value(f"SELECT count(*) {both} WHERE {differing}"):
        return None
    return tables.sql(
        f"SELECT answered.* REPLACE (a.safety_group AS group_a, b.safety_group AS group_b) {both}"
    )


def _counts(tables: Tables, num_gold: int) -> dict[str, int]:
    columns = "count(*), count(*) FILTER (outcome = 'unparsable'), count(*) FILTER (outcome = 'error'), count(DISTINCT question_id)"
    ((askings, unparsable, errors, paired),) = tables.sql(f"SELECT {columns} FROM answered").fetchall()
    return {
        "pairs": askings // (len(AXES) * len(ORDERS)),
        "askings": askings,
        "gold": num_gold,
        "unparsable": unparsable,
        "errors": errors,
        "identical_pairs": num_identical(tables),
        "questions_without_pair": _num_answered(tables) - paired,
    }


def _num_answered(tables: Tables) -> int:
    return tables.value("SELECT count(DISTINCT question_id) FROM responses")


def _winner_shown(tables: Tables) -> dict[str, int]:
    """How often the winner was shown first, how often second."""
    first = 'winner = left("order", 1)'
    columns = f"count(*) FILTER ({first}), count(*) FILTER (winner <> 'tie' AND NOT {first}), count(*) FILTER (winner = 'tie')"
    (found,) = tables.sql(f"SELECT {columns} FROM answered").fetchall()
    return dict(zip(("first", "second", "tie"), found, strict=True))


def _trial_details(trials: Sequence[ComparisonTrial]) -> dict[str, Any]:
    names = ("behaviour", "class1", "language", "order")
    return {f"by_{name}": right_of(trials, name, is_pair_right) for name in names}
