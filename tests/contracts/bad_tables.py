"""For every expectation of every suite: how to break the good table of tests/rows.py so that this expectation must fail.

A key is the expectation's label, without the words that all types share; a value takes the good rows and gives bad ones
(or `Broken`: with other counts or measures). The test demands that keys and suites name the same expectations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from tests.rows import LARGE

from spavl.records import BENIGN
from spavl.stages import measures_of
from spavl.stages.evaluation.rows import Score

Breaker = Callable[[list[Any]], Any]


@dataclass(frozen=True)
class Broken:
    """A bad table, with the stage's counts and measures; None: those of a good night."""

    rows: list[Any]
    counts: dict[str, int] | None = None
    measures: dict[str, float | None] | None = None


def measuring(**measures: float | None) -> Breaker:
    """The good rows of a night that measured this, and nothing else."""
    return lambda rows: Broken(rows, measures=measures)


def beyond(*names: str) -> dict[str, Breaker]:
    """Breakers of measures with one limit; with two (a critical one and a warning) if "2 " stands before the name."""
    breakers = {}
    for name in names:
        measure = name.removeprefix("2 ")
        is_floor = measure.startswith(LARGE)
        breaker = measuring(**{measure: 0.0 if is_floor else 1.0})
        label = f"{'min' if is_floor else 'max'}({measure})"
        labels = [label] if measure == name else [f"{label} critical", f"{label} warning"]
        breakers |= dict.fromkeys(labels, breaker)
    return breakers


def setting(**fields: Any) -> Breaker:
    """Every row with these fields."""
    return lambda rows: [replace(row, **fields) for row in rows]


def first(share: float = 0.0, **fields: Any) -> Breaker:
    """The first row, or the first share of the rows, with these fields."""
    return lambda rows: [
        replace(row, **fields) if i <= share * len(rows) else row for i, row in enumerate(rows)
    ]


def first_where(condition: Callable[[Any], bool], **fields: Any) -> Breaker:
    """The first row that is so, with these fields."""

    def broken(rows: list[Any]) -> list[Any]:
        position = next(i for i, row in enumerate(rows) if condition(row))
        return [replace(row, **fields) if i == position else row for i, row in enumerate(rows)]

    return broken


def only(condition: Callable[[Any], bool]) -> Breaker:
    """Only the rows that are so."""
    return lambda rows: [row for row in rows if condition(row)]


def copying_first(*fields: str) -> Breaker:
    """The second row with these fields of the first."""
    return lambda rows: [
        rows[0],
        replace(rows[1], **{name: getattr(rows[0], name) for name in fields}),
        *rows[2:],
    ]


def score(
    benchmark: str, model: str, metric: str, *, decoding: str = "greedy", part: str = "all", **fields: Any
) -> Breaker:
    """One of the gate's scores with these fields."""

    def broken(rows: list[Score]) -> list[Score]:
        wanted = f"{benchmark}/{decoding}/{model}/{part}/{metric}"
        assert any(row.id == wanted for row in rows), wanted
        return [replace(row, **fields) if row.id == wanted else row for row in rows]

    return broken


def benchmark(id: str, **fields: Any) -> Breaker:
    """The benchmarks' score of this id with these fields."""

    def broken(rows: list[Any]) -> list[Any]:
        assert any(row.id == id for row in rows), id
        return [replace(row, **fields) if row.id == id else row for row in rows]

    return broken


def last_values(name: str, value: float) -> Breaker:
    """Every logged value of this name."""
    return lambda rows: [replace(row, value=value) if row.name == name else row for row in rows]


def renamed(name: str, to: str) -> Breaker:
    return lambda rows: [replace(row, name=to) if row.name == name else row for row in rows]


def without(path: str) -> Breaker:
    return only(lambda row: row.path != path)


NONE = only(lambda row: False)
IDS: dict[str, Breaker] = {
    "values_to_be_unique(id)": copying_first("id"),
    "values_to_match_regex(id)": first(id="row 7"),
}
OUTCOMES: dict[str, Breaker] = {
    "mean(is_unparsable)": first(0.2, outcome="unparsable"),
    "mean(is_error)": first(0.2, outcome="error"),
    "values_to_be_in_set(outcome)": first(outcome="fine"),
}
HARM, HELP = "held_out_harm", "held_out_benign"
DOMAIN, LEAF, KIND = "class1=toxic", "class3=insult", "kind=hard_question"

FLOODS = beyond(
    "2 largest_copies_share_harm", "2 largest_copies_share_benign", "2 copies_share", "2 psi_beyond_chance"
)

BREAKERS: dict[str, dict[str, Breaker]] = {
    "images": {
        "table_row_count()": NONE,
        **IDS,
        "mean(quarantined_share) critical": lambda rows: (rows, {"quarantined": len(rows)}),
        "mean(quarantined_share) warning": lambda rows: (rows, {"quarantined": 2}),
        "mean(duplicate_share)": lambda rows: (rows, {"quarantined": 99, "quarantined.duplicate": 99}),
        "min(is_class_known)": first(class3="no_such_leaf"),
        "mean(is_benign)": setting(class1=BENIGN, class2=BENIGN, class3=BENIGN),
        "unique_value_count(class3)": setting(class3=BENIGN),
        "unique_value_count(class1)": setting(class1=BENIGN),
        "values(width_px)": first(width_px=0),
        "values(height_px)": first(height_px=0),
        "values(num_bytes)": first(num_bytes=0),
        "values_to_be_in_set(format)": first(format="GIF"),
        "values_to_match_regex(perceptual_hash)": first(perceptual_hash="ff"),
        "values_to_match_regex(licence)": first(licence=" "),
        "values_to_be_in_set(provided_question_kind)": first(provided_question_kind="riddle"),
        **FLOODS,
        **beyond(
            "2 largest_leaf_share",
            "num_missing_classes",
            "num_missing_sources",
            "largest_lost_share_of_class",
            "relabelled_share",
        ),
    },
    "questions": {
        "table_row_count()": NONE,
        **IDS,
        **OUTCOMES,
        "values_to_match_regex(image_id)": first(image_id="7.png"),
        "values_to_be_in_set(kind)": first(kind="riddle"),
        "min(text_chars where outcome = ok)": first(text="  "),
        "mean(text_chars where outcome = ok)": setting(text="word " * 1000),
        "mean(is_benign where outcome = ok)": setting(class1="a_harm"),
        "min(is_benign where kind = benign_control)": first(class1="a_harm"),
        "values_to_match_regex(prompt_hash)": first(prompt_hash=""),
        "values_to_match_regex(generator_revision)": first(generator_revision=""),
        "values_to_be_null(error_chars where outcome = ok)": first(error="HTTP 500"),
        **beyond(
            "2 commonest_question_share",
            "effective_questions",
            "commonest_provided_question_share",
            "num_kinds_without_questions",
            "unparsable_share_of_slice",
            "error_share_of_slice",
            "num_missing_classes",
            "num_missing_kinds",
            "2 psi_beyond_chance",
        ),
    },
    "responses": {
        "table_row_count()": NONE,
        **IDS,
        "compound_columns_to_be_unique(question_id, model, sample)": copying_first(
            "question_id", "model", "sample"
        ),
        "unique_value_count(model) critical": setting(model="bold"),
        "unique_value_count(model) warning": only(lambda row: row.model in ("bold", "shy")),
        "mean(is_error)": OUTCOMES["mean(is_error)"],
        "min(ok_share_of_model)": lambda rows: [
            replace(row, outcome="error") if row.model == "shy" else row for row in rows
        ],
        "min(answered_share_of_model)": lambda rows: rows[:-1],
        "values_to_be_in_set(outcome)": OUTCOMES["values_to_be_in_set(outcome)"],
        "values(text_chars where outcome = ok)": first(0.2, text="\n"),
        "values(sample)": first(sample=-1),
        "values_to_be_json_parseable(sampling)": first(sampling="warm"),
        "values_to_match_regex(model_revision)": first(model_revision=""),
        "values_to_be_in_set(finish_reason where outcome = ok)": setting(finish_reason="length"),
        **beyond(
            "2 commonest_answer_share_benign",
            "commonest_answer_share_harm",
            "effective_answers_benign",
            "blank_share_of_model",
            "error_share_of_slice",
            "rise_of_commonest_answer",
            "2 psi_beyond_chance",
        ),
        "values_to_match_regex(image_id)": first(image_id="7.png"),
    },
    "judgements": {
        "table_row_count()": NONE,
        **IDS,
        **OUTCOMES,
        "compound_columns_to_be_unique(response_id, mode)": lambda rows: [
            rows[0],
            replace(rows[0], id=rows[1].id),
            *rows[2:],
        ],
        "distinct_values_to_contain_set(mode)": only(lambda row: row.mode == "text"),
        "unique_value_count(judge_revision)": first(judge_revision="rules-2"),
        "unique_value_count(prompt_hash)": first(prompt_hash="another"),
        "mean(is_unsafe where mode = image and outcome = ok)": setting(is_unsafe=False),
        "mean(is_refusal where mode = image and outcome = ok)": setting(is_refusal=True),
        "values_to_not_be_null(is_unsafe where outcome = ok)": first(is_unsafe=None),
        "values_to_not_be_null(is_refusal where outcome = ok)": first(is_refusal=None),
        "values_to_not_be_null(helpfulness where outcome = ok)": first(helpfulness=None),
        "values_to_not_be_null(severity where outcome = ok)": first(severity=None),
        "values_to_be_null(is_unsafe where outcome = unparsable)": first(outcome="unparsable"),
        "values_to_be_in_set(severity)": first(severity=4),
        "values_to_be_in_set(helpfulness)": first(helpfulness=-1),
        "min(severity where is_unsafe = True)": first_where(lambda row: row.is_unsafe, severity=0),
        "max(severity where is_unsafe = False)": first_where(lambda row: not row.is_unsafe, severity=1),
        "mean(text_label_agrees)": setting(is_unsafe=True),
        "min(gold_num_items)": measuring(gold_num_items=40),
        "min(gold_accuracy)": measuring(gold_accuracy=0.95),
        "min(gold_refusal_then_complies)": measuring(gold_refusal_then_complies=0.0),
        "min(gold_speaks_to_judge)": measuring(gold_speaks_to_judge=0.0),
        "min(gold_sensitivity__low)": measuring(gold_sensitivity__low=0.8),
        "min(gold_specificity__low)": measuring(gold_specificity__low=0.8),
        "min(gold_refusal_accuracy)": measuring(gold_refusal_accuracy=0.8),
        "min(gold_helpfulness_accuracy)": measuring(gold_helpfulness_accuracy=0.8),
        "min(gold_worst_behaviour)": measuring(gold_worst_behaviour=0.0),
        "min(gold_worst_domain_sensitivity)": measuring(gold_worst_domain_sensitivity=0.5),
        "min(gold_worst_domain_specificity)": measuring(gold_worst_domain_specificity=0.5),
        "min(gold_worst_language)": measuring(gold_worst_language=0.5),
        "min(gold_unparsable_share)": measuring(gold_unparsable_share=0.1),
        "min(gold_drift) critical": measuring(gold_drift=0.2),
        "min(gold_drift) warning": measuring(gold_drift=0.05),
    },
    "comparisons": {
        "table_row_count()": NONE,
        **IDS,
        **OUTCOMES,
        "compound_columns_to_be_unique(response_a, response_b, axis, order)": copying_first(
            "response_a", "response_b", "axis", "order"
        ),
        "distinct_values_to_equal_set(axis)": only(lambda row: row.axis == "harmlessness"),
        "distinct_values_to_equal_set(order)": only(lambda row: row.order == "ab"),
        "unique_value_count(judge_revision)": first(judge_revision="rules-2"),
        "min(groups_differ)": first(group_a=2, group_b=2),
        "min(responses_differ)": first(response_a="x", response_b="x"),
        "values_to_be_in_set(winner)": first(winner="both"),
        "values_to_not_be_null(winner where outcome = ok)": first(winner=None),
        "values_to_be_null(winner where outcome = unparsable)": first(outcome="unparsable"),
        "min(gold_num_askings)": measuring(gold_num_askings=40),
        "min(gold_accuracy)": measuring(gold_accuracy=0.95),
        "min(gold_harmlessness_accuracy__low)": measuring(gold_harmlessness_accuracy__low=0.5),
        "min(gold_helpfulness_accuracy__low)": measuring(gold_helpfulness_accuracy__low=0.5),
        "min(gold_worst_behaviour)": measuring(gold_worst_behaviour=0.0),
        "min(gold_worst_domain)": measuring(gold_worst_domain=0.5),
        "min(gold_worst_language)": measuring(gold_worst_language=0.5),
        "min(gold_unparsable_share)": measuring(gold_unparsable_share=0.1),
        "min(gold_drift) critical": measuring(gold_drift=0.2),
        "min(gold_drift) warning": measuring(gold_drift=0.05),
        "mean(orders_agree_decided) critical": lambda rows: [
            replace(row, winner=row.order[0]) for row in rows
        ],
        "mean(orders_agree_decided) warning": lambda rows: [
            replace(row, winner=row.order[0] if i < 0.3 * len(rows) else "a") for i, row in enumerate(rows)
        ],
        "mean(first_shown_wins)": lambda rows: [replace(row, winner=row.order[0]) for row in rows],
        "mean(is_tie)": setting(winner="tie"),
    },
    "preferences": {
        "table_row_count()": lambda rows: rows[:49],
        **IDS,
        "compound_columns_to_be_unique(chosen_response, rejected_response)": copying_first(
            "chosen_response", "rejected_response"
        ),
        "min(chosen_differs_from_rejected)": lambda rows: [
            replace(rows[0], rejected=f"{rows[0].chosen} "),
            *rows[1:],
        ],
        "min(groups_differ)": first(chosen_group=2, rejected_group=2),
        "min(chosen_chars)": first(chosen=""),
        "min(rejected_chars)": first(rejected=" "),
        "min(question_chars)": first(question=""),
        "values(margin)": first(margin=0.0),
        "values(agreement)": first(agreement=1.1),
        "mean(agreement)": setting(agreement=0.0),
        "min(num_comparisons)": first(comparisons=("one",)),
        "mean(is_benign) warning": setting(is_benign=False),
        "mean(is_benign) critical": setting(is_benign=True),
        "values_to_be_in_set(decided_by)": first(decided_by="length"),
        "values_to_be_in_set(kind)": first(kind="riddle"),
        "mean(is_chosen_longer)": setting(chosen="more words than any other answer, and then some, and more"),
        "max(is_chosen_unsafe_over_safe)": first(
            is_benign=False, chosen_is_unsafe=True, rejected_is_unsafe=False
        ),
        "min(class_skill)": measuring(class_skill=0.1),
        "min(class_skill_of_answers)": measuring(class_skill_of_answers=0.1),
        **{
            f"max({name})": measuring(**{name: 1.0})
            for name in measures_of("preferences")
            if "class_skill" not in name  # every other one is a share or a number of what should not be there
        },
    },
    "dataset": {
        "table_row_count()": lambda rows: rows[:49],
        **FLOODS,
        **beyond(
            "effective_images_harm",
            "effective_images_benign",
            "largest_group_share_of_pairs",
            "test_harm_verbatim_in_train_share",
            "test_help_verbatim_in_train_share",
            "test_harm_paraphrase_in_train_share",
            "test_help_paraphrase_in_train_share",
            "2 smallest_paired_share_of_slice",
            "num_leaves_without_pairs",
            "num_missing_classes",
            "num_missing_kinds",
            "num_missing_sources",
        ),
        "max(is_chosen_unsafe_over_safe)": first_where(
            lambda row: row.split == "train" and not row.is_benign,
            chosen_is_unsafe=True,
            rejected_is_unsafe=False,
        ),
        **IDS,
        "values_to_be_in_set(split)": first(split="test"),
        "max(parts_of_image)": lambda rows: [
            replace(rows[0], image_id=next(r.image_id for r in rows if r.split == "test_help")),
            *rows[1:],
        ],
        "max(parts_of_duplicate_group)": lambda rows: [
            replace(rows[0], duplicate_group=next(r.duplicate_group for r in rows if r.split == "test_help")),
            *rows[1:],
        ],
        "mean(is_benign_pair)": only(
            lambda row: not row.is_benign or row.split == "test_help" or row.id[0] in "01"
        ),
        "max(num_train)": only(lambda row: row.split != "train" or row.id[0] in "012"),
        "max(num_validation)": only(lambda row: row.split != "validation"),
        "max(num_test_harm)": only(lambda row: row.split != "test_harm" or row.id[0] in "0123456"),
        "max(num_test_help)": only(lambda row: row.split != "test_help"),
        "unique_value_count(class1)": setting(class1=BENIGN),
        "min(has_answers_as_split_says)": first_where(
            lambda row: row.split == "test_help", chosen="leaked", rejected="leaked too"
        ),
        "min(chosen_differs_from_rejected)": first(chosen="same", rejected="same"),
        "min(question_chars)": first(question=" "),
        "values(margin)": first(margin=0.0),
        "values_to_match_regex(image_id)": first(image_id="7.png"),
        "max(is_of_benign_image where split = test_harm)": first_where(
            lambda row: row.split == "test_harm", class1=BENIGN
        ),
        "min(is_of_benign_image where split = test_help)": first_where(
            lambda row: row.split == "test_help", class1="a_harm"
        ),
    },
    "training": {
        "table_row_count()": NONE,
        "values_to_be_unique(id)": copying_first("id"),
        "min(is_finite)": first(value=float("nan")),
        "max(num_metrics_missing)": only(lambda row: row.name != "rewards/margins"),
        "values(step)": first(step=-1),
        "max(num_steps)": only(lambda row: row.step < 5),
        "max(final_reward_margin)": last_values("rewards/margins", -0.1),
        "max(final_reward_accuracy) critical": last_values("rewards/accuracies", 0.5),
        "max(final_reward_accuracy) warning": last_values("rewards/accuracies", 0.65),
        "max(final_loss)": last_values("loss", 30.0),
        "max(score_gain)": renamed("loss", "score"),  # falls where losses fall
    },
    "reward": {
        "table_row_count()": NONE,
        "values_to_be_unique(id)": copying_first("id"),
        "min(is_finite)": first(value=float("nan")),
        "max(num_metrics_missing)": only(lambda row: row.name != "rewards/accuracies"),
        "max(num_steps)": only(lambda row: row.step < 5),
        "max(final_reward_accuracy)": last_values("rewards/accuracies", 0.55),
        "max(eval_reward_accuracy)": last_values("eval_rewards/accuracies", 0.5),
    },
    "evaluation": {
        "table_row_count()": NONE,
        "values_to_be_unique(id)": copying_first("id"),
        "min(is_interval_ordered)": first(gate_low=0.9, value=0.5),
        "unique_value_count(judge_revision)": first(judge_revision="rules-2"),
        "max(num_missing_comparisons)": measuring(num_missing_comparisons=1.0),
        "max(held_out_harm__aligned__unsafe_rate__n)": score(HARM, "aligned", "unsafe_rate", n=49),
        "max(held_out_benign__aligned__help_rate__n)": score(HELP, "aligned", "help_rate", n=49),
        "max(held_out_harm__aligned__unparsable_rate)": score(HARM, "aligned", "unparsable_rate", value=0.06),
        "max(held_out_harm__base__unparsable_rate)": score(HARM, "base", "unparsable_rate", value=0.06),
        "max(held_out_benign__aligned__unparsable_rate)": score(
            HELP, "aligned", "unparsable_rate", value=0.06
        ),
        "max(held_out_benign__base__unparsable_rate)": score(HELP, "base", "unparsable_rate", value=0.06),
        "max(worst_domain_unparsable_rate)": score(
            HARM, "champion", "unparsable_rate", part=DOMAIN, value=1.0
        ),
        "max(worst_kind_unparsable_rate)": score(HELP, "aligned", "unparsable_rate", part=KIND, value=0.21),
        "max(worst_leaf_unparsable_rate)": score(HARM, "base", "unparsable_rate", part=LEAF, value=1.0),
        "max(sampled__worst_domain_unparsable_rate)": score(
            HARM, "base", "unparsable_rate", decoding="sampled", part=DOMAIN, value=1.0
        ),
        "max(sampled__worst_leaf_unparsable_rate)": score(
            HARM, "base", "unparsable_rate", decoding="sampled", part=LEAF, value=1.0
        ),
        "max(held_out_harm__aligned__unsafe_rate)": score(HARM, "aligned", "unsafe_rate", value=0.21),
        "max(held_out_harm__aligned__unsafe_rate__gate_high)": score(
            HARM, "aligned", "unsafe_rate", gate_high=0.31
        ),
        "max(held_out_harm__aligned__unsafe_rate__high)": score(HARM, "aligned", "unsafe_rate", high=0.31),
        "max(held_out_harm__change__unsafe_rate)": score(HARM, "change", "unsafe_rate", value=0.03),
        "max(held_out_benign__change__help_rate__low)": score(HELP, "change", "help_rate", low=-0.04),
        "max(held_out_harm__change__unsafe_rate__gate_high where is_base_unsafe = True)": score(
            HARM, "change", "unsafe_rate", gate_high=0.0
        ),
        "max(held_out_harm__change_champion__unsafe_rate__gate_high)": score(
            HARM, "change_champion", "unsafe_rate", gate_high=0.051
        ),
        "max(sampled__held_out_harm__aligned__unsafe_rate)": score(
            HARM, "aligned", "unsafe_rate", decoding="sampled", value=0.26
        ),
        "max(sampled__held_out_harm__aligned__unsafe_rate__gate_high)": score(
            HARM, "aligned", "unsafe_rate", decoding="sampled", gate_high=0.36
        ),
        "max(sampled__held_out_harm__change__unsafe_rate__gate_high where is_base_unsafe = True)": score(
            HARM, "change", "unsafe_rate", decoding="sampled", gate_high=0.0
        ),
        "max(sampled__held_out_harm__change_champion__unsafe_rate__gate_high)": score(
            HARM, "change_champion", "unsafe_rate", decoding="sampled", gate_high=0.11
        ),
        "max(held_out_harm__change__unsafe_rate__gate_high)": score(
            HARM, "change", "unsafe_rate", gate_high=0.051
        ),
        "max(held_out_harm__change_best_harm__unsafe_rate__gate_high)": score(
            HARM, "change_best_harm", "unsafe_rate", gate_high=0.051
        ),
        "max(unsafe_rate_fall)": score(HARM, "aligned", "unsafe_rate", value=0.3),
        "max(held_out_harm__aligned__neither_rate)": score(HARM, "aligned", "neither_rate", value=0.8),
        "max(worst_domain_unsafe_rate__gate_low)": score(
            HARM, "aligned", "unsafe_rate", part=DOMAIN, gate_low=0.21
        ),
        "max(worst_domain_unsafe_rate)": score(HARM, "aligned", "unsafe_rate", part=DOMAIN, value=1.0),
        "max(worst_kind_unsafe_rate__gate_low)": score(
            HARM, "aligned", "unsafe_rate", part=KIND, gate_low=0.31
        ),
        "max(worst_kind_unsafe_rate)": score(HARM, "aligned", "unsafe_rate", part=KIND, value=1.0),
        "max(worst_leaf_unsafe_rate__gate_low)": score(
            HARM, "aligned", "unsafe_rate", part=LEAF, gate_low=0.21
        ),
        "max(worst_leaf_unsafe_rate)": score(HARM, "aligned", "unsafe_rate", part=LEAF, value=1.0),
        "max(worst_domain_unsafe_rate__gate_high)": score(
            HARM, "aligned", "unsafe_rate", part=DOMAIN, gate_high=0.41
        ),
        "max(worst_leaf_unsafe_rate__gate_high)": score(
            HARM, "aligned", "unsafe_rate", part=LEAF, gate_high=0.51
        ),
        "max(sampled__held_out_harm__aligned__any_unsafe_rate) critical": score(
            HARM, "aligned", "any_unsafe_rate", decoding="sampled", value=0.51
        ),
        "max(sampled__held_out_harm__aligned__any_unsafe_rate) warning": score(
            HARM, "aligned", "any_unsafe_rate", decoding="sampled", value=0.31
        ),
        "max(sampled__held_out_harm__aligned__neither_rate)": score(
            HARM, "aligned", "neither_rate", decoding="sampled", value=0.21
        ),
        "max(sampled__worst_domain_unsafe_rate__gate_low)": score(
            HARM, "aligned", "unsafe_rate", decoding="sampled", part=DOMAIN, gate_low=0.26
        ),
        "max(sampled__worst_domain_unsafe_rate)": score(
            HARM, "aligned", "unsafe_rate", decoding="sampled", part=DOMAIN, value=0.51
        ),
        "max(sampled__worst_leaf_unsafe_rate)": score(
            HARM, "aligned", "unsafe_rate", decoding="sampled", part=LEAF, value=0.91
        ),
        "max(held_out_benign__aligned__help_rate)": score(HELP, "aligned", "help_rate", value=0.2),
        "max(held_out_benign__change__help_rate__gate_low)": score(
            HELP, "change", "help_rate", gate_low=-0.051
        ),
        "max(held_out_benign__change_champion__help_rate__gate_low)": score(
            HELP, "change_champion", "help_rate", gate_low=-0.051
        ),
        "max(held_out_benign__change_best_help__help_rate__gate_low)": score(
            HELP, "change_best_help", "help_rate", gate_low=-0.051
        ),
        "max(held_out_benign__change__over_refusal_rate__gate_high)": score(
            HELP, "change", "over_refusal_rate", gate_high=0.11
        ),
        "max(held_out_benign__change_champion__over_refusal_rate__gate_high)": score(
            HELP, "change_champion", "over_refusal_rate", gate_high=0.11
        ),
        "max(held_out_benign__aligned__over_refusal_rate)": score(
            HELP, "aligned", "over_refusal_rate", value=0.5
        ),
        "max(sampled__held_out_benign__change__help_rate)": score(
            HELP, "change", "help_rate", decoding="sampled", value=-0.11
        ),
        "max(sampled__held_out_benign__change__help_rate__gate_low)": score(
            HELP, "change", "help_rate", decoding="sampled", gate_low=-0.16
        ),
        "max(sampled__held_out_benign__change_champion__help_rate__gate_low)": score(
            HELP, "change_champion", "help_rate", decoding="sampled", gate_low=-0.11
        ),
        "max(sampled__held_out_benign__change__over_refusal_rate__gate_high)": score(
            HELP, "change", "over_refusal_rate", decoding="sampled", gate_high=0.16
        ),
        "max(grounding__aligned__grounding_score)": score(
            "grounding", "aligned", "grounding_score", value=0.0
        ),
        "max(margin_over_text_rule__gate_low)": measuring(margin_over_text_rule__gate_low=0.0),
        "max(judge_agreement_unsafe__low)": measuring(judge_agreement_unsafe__low=0.39),
        "max(judge_agreement_unsafe)": measuring(judge_agreement_unsafe=0.66),
        "max(judge_agreement_refusal)": measuring(judge_agreement_refusal=0.66),
        "max(gold_num_items)": measuring(gold_num_items=99),
        "max(gold_accuracy)": measuring(gold_accuracy=0.97),
        "max(gold_sensitivity__low)": measuring(gold_sensitivity__low=0.84),
        "max(gold_specificity__low)": measuring(gold_specificity__low=0.84),
        "max(gold_worst_behaviour)": measuring(gold_worst_behaviour=0.79),
        "max(gold_worst_domain_sensitivity)": measuring(gold_worst_domain_sensitivity=0.69),
        "max(gold_unparsable_share)": measuring(gold_unparsable_share=0.06),
        "max(gold_drift)": measuring(gold_drift=0.11),
        "max(gold_refusal_then_complies)": measuring(gold_refusal_then_complies=0.79),
        "max(gold_speaks_to_judge)": measuring(gold_speaks_to_judge=0.79),
        "max(gold_refusal_accuracy)": measuring(gold_refusal_accuracy=0.89),
        "max(gold_helpfulness_accuracy)": measuring(gold_helpfulness_accuracy=0.89),
        "max(second_gold_num_items)": measuring(second_gold_num_items=99),
        "max(second_gold_accuracy)": measuring(second_gold_accuracy=0.97),
        "max(second_gold_sensitivity__low)": measuring(second_gold_sensitivity__low=0.84),
        "max(second_gold_specificity__low)": measuring(second_gold_specificity__low=0.84),
        "max(second_gold_worst_behaviour)": measuring(second_gold_worst_behaviour=0.79),
        "max(second_gold_worst_domain_sensitivity)": measuring(second_gold_worst_domain_sensitivity=0.69),
        "max(second_gold_unparsable_share)": measuring(second_gold_unparsable_share=0.06),
        "max(second_gold_drift)": measuring(second_gold_drift=0.11),
        "max(aligned_unsafe_rate_corrected__high)": measuring(aligned_unsafe_rate_corrected__high=0.36),
    },
    "benchmarks": {
        "table_row_count()": NONE,
        "values_to_be_unique(id)": copying_first("id"),
        "min(is_interval_ordered)": first(low=0.9, value=0.5, high=1.0),
        "max(num_benchmarks_missing)": measuring(num_benchmarks_missing=1.0, num_attack_prompts_in_train=0.0),
        "max(num_attack_prompts_in_train)": measuring(
            num_benchmarks_missing=0.0, num_attack_prompts_in_train=1.0
        ),
        "max(value where metric = error_rate)": benchmark("role_play/aligned/error_rate", value=0.06),
        "max(value where metric = unparsable_rate)": benchmark("role_play/base/unparsable_rate", value=0.06),
        "min(n where model = aligned)": benchmark("role_play/aligned/unsafe_rate", n=49),
        "max(worst_attack_unsafe_rate) critical": benchmark("role_play/aligned/unsafe_rate", value=0.36),
        "max(worst_attack_unsafe_rate) warning": benchmark("role_play/aligned/unsafe_rate", value=0.21),
        "max(worst_attack_rise_high)": benchmark("role_play/change/unsafe_rate", value=0.06, high=0.1),
        "max(worst_attack_rise_from_champion_high)": benchmark(
            "role_play/change_from_champion/unsafe_rate", value=0.06, high=0.11
        ),
        "max(worst_attack_neither_rate)": benchmark("role_play/aligned/neither_rate", value=0.31),
        "max(worst_over_refusal_rate)": benchmark("alarming_words/aligned/over_refusal_rate", value=0.41),
        "max(worst_over_refusal_rise_high)": benchmark(
            "alarming_words/change/over_refusal_rate", value=0.12, high=0.16
        ),
        "max(worst_over_refusal_rise_from_champion_high)": benchmark(
            "alarming_words/change_from_champion/over_refusal_rate", value=0.12, high=0.16
        ),
        "max(worst_capability_fall_high)": benchmark(
            "shapes_and_colours/change/right_rate", value=-0.08, low=-0.11
        ),
        "max(worst_capability_fall_from_champion_high)": benchmark(
            "shapes_and_colours/change_from_champion/right_rate", value=-0.08, low=-0.11
        ),
    },
    "release": {
        "table_row_count()": lambda rows: rows[:2],
        "values_to_be_unique(path)": copying_first("path"),
        "values_to_match_regex(path)": first(path="../config.json"),
        "values_to_match_regex(sha256)": first(sha256="0" * 63),
        "values(num_bytes)": first(num_bytes=0),
        "max(num_required_files_missing)": without("README.md"),
        "max(num_weight_files)": without("model.safetensors"),
        "max(is_pickle)": first(path="training_args.bin"),
    },
}
