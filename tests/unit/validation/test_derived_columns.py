"""Derived columns, with values worked out by hand."""

from __future__ import annotations

import dataclasses
import math

import pytest
from tests import rows

from spavl.pipeline import STAGES
from spavl.validation.checked_table import CheckedTable
from spavl.validation.columns import CONTENT_COLUMNS, known_columns


def frame(stage, table_rows, counts=None):
    """All columns that a suite may name."""
    row_type = rows.row_type(stage)
    counts = counts or rows.COUNTS.get(stage, {})
    return CheckedTable(rows.to_table(stage, table_rows), row_type, stage, counts, {}).frame(
        known_columns(row_type, stage)
    )


@pytest.mark.parametrize("stage", [stage.name for stage in STAGES])
def test_a_frame_has_exactly_the_known_columns_and_no_content(stage):
    made = frame(stage, rows.good_rows(stage))
    known = known_columns(rows.row_type(stage), stage)
    assert set(made.columns) == set(known)
    assert not CONTENT_COLUMNS & set(made.columns)
    assert {name for name in made.columns if made[name].dtype.kind not in "fi"} == {
        name for name, kind in known.items() if kind == "text"
    }


def test_content_becomes_its_stripped_length_and_null_stays_missing():
    first, second = rows.good_rows("questions", 2)
    made = frame(
        "questions",
        [dataclasses.replace(first, text=" abc \n", raw_reply=None), dataclasses.replace(second, text="")],
    )
    assert made["text_chars"].tolist() == [3.0, 0.0]
    assert math.isnan(made["raw_reply_chars"].iloc[0])


def test_shares_of_the_files_read_leave_duplicates_apart():
    made = frame("images", rows.good_rows("images", 6), {"quarantined": 4, "quarantined.duplicate": 3})
    assert set(made["quarantined_share"]) == {0.1} and set(made["duplicate_share"]) == {0.3}


def test_a_class_of_another_branch_of_the_taxonomy_is_not_known():
    one, *_, other = (row for row in rows.good_rows("images", 40) if row.class1 != "benign")
    assert one.class1 != other.class1
    made = frame("images", [one, dataclasses.replace(other, class1=one.class1)])
    assert made["is_class_known"].tolist() == [1.0, 0.0]


def test_orders_agree_only_where_both_orders_were_answered():
    ab, ba, ab_helpful, ba_helpful = rows.good_rows("comparisons", 1)
    made = frame(
        "comparisons",
        [
            dataclasses.replace(ab, winner="a"),
            dataclasses.replace(ba, winner="b"),
            dataclasses.replace(ab_helpful, winner="a"),
            dataclasses.replace(ba_helpful, outcome="unparsable", winner=None),
        ],
    )
    assert made["orders_agree"].tolist()[:2] == [0.0, 0.0]
    assert made["orders_agree"].isna().tolist() == [False, False, True, True]
    assert made["first_shown_wins"].tolist()[:3] == [1.0, 1.0, 1.0]
    assert math.isnan(made["first_shown_wins"].iloc[3])


def test_the_text_label_is_compared_with_the_image_label_of_the_same_response():
    seen, unseen = rows.good_rows("judgements", 2)[8:10]
    assert (seen.mode, unseen.mode, seen.response_id) == ("image", "text", unseen.response_id)
    made = frame(
        "judgements",
        [dataclasses.replace(seen, is_unsafe=True), dataclasses.replace(unseen, is_unsafe=False)],
    )
    assert math.isnan(made["text_label_agrees"].iloc[0]) and made["text_label_agrees"].iloc[1] == 0.0


def test_a_model_that_was_asked_less_shows_in_its_share():
    answers = rows.good_rows("responses", 4)
    made = frame(
        "responses",
        [row for row in answers if row.model != "shy" or row.question_id == answers[0].question_id],
    )
    shares = dict(zip(made["model"], made["answered_share_of_model"], strict=True))
    assert shares == {"bold": 1.0, "mild": 1.0, "shy": 0.25, "strict": 1.0}


def test_an_image_in_train_and_test_is_in_two_parts_and_one_in_both_test_splits_in_one():
    table = rows.good_rows("dataset", 10)
    by_split = {row.split: row for row in table}
    train, harm, help_ = by_split["train"], by_split["test_harm"], by_split["test_help"]
    leaked = frame(
        "dataset",
        [train, dataclasses.replace(harm, image_id=train.image_id, duplicate_group=train.duplicate_group)],
    )
    assert leaked["parts_of_image"].tolist() == [2.0, 2.0] == leaked["parts_of_duplicate_group"].tolist()
    apart = frame("dataset", [harm, dataclasses.replace(help_, duplicate_group=harm.duplicate_group)])
    assert apart["parts_of_duplicate_group"].tolist() == [1.0, 1.0]


def test_the_benign_share_is_over_pairs_only():
    made = frame("dataset", rows.good_rows("dataset", 10))
    assert made["is_benign_pair"].count() == 6 and made["is_benign_pair"].mean() == 0.5


def test_final_values_are_the_mean_of_the_last_five_by_step():
    history = [row for row in rows.good_rows("training", 10) if row.name == "loss"]
    made = frame("training", history[::-1])
    assert made["final_loss"].iloc[0] == pytest.approx(1.4 - (0.6 + 0.7 + 0.8 + 0.9 + 1.0) / 5)
    assert made["final_reward_margin"].isna().all()


def test_gate_columns_are_the_greedy_scores_of_the_whole_benchmark():
    made = frame("evaluation", rows.good_rows("evaluation"))
    row = made.iloc[0]
    assert row["held_out_harm__aligned__unsafe_rate"] == 0.06
    assert row["held_out_harm__aligned__unsafe_rate__n"] == 100
    assert row["held_out_benign__change__help_rate__gate_low"] == pytest.approx(-0.02)  # 2 points up, 4 wide
    assert row["sampled__held_out_harm__aligned__any_unsafe_rate"] == 0.2
    assert row["grounding__aligned__grounding_score__high"] == pytest.approx(0.64)
    assert row["unsafe_rate_fall"] == pytest.approx(0.94)
    assert row["is_base_unsafe"] == 1


def test_the_worst_slice_is_the_one_in_which_the_aligned_model_is_most_unsafe():
    scores = rows.good_rows("evaluation")
    worse = rows.score("held_out_harm", "greedy", "aligned", "class1=unfair", "unsafe_rate", 0.3, 9, half=0.2)
    small = rows.score("held_out_harm", "greedy", "aligned", "class1=rare", "unsafe_rate", 1.0, 2)
    others = rows.score("held_out_harm", "greedy", "base", "class1=unfair", "unsafe_rate", 1.0, 9)
    row = frame("evaluation", [*scores, worse, small, others]).iloc[0]
    bounds = [row[f"worst_domain_unsafe_rate{ending}"] for ending in ("", "__gate_low", "__gate_high")]
    assert bounds == pytest.approx([0.3, 0.1, 0.5])
    assert row["sampled__worst_domain_unsafe_rate"] == pytest.approx(0.06)


def test_a_base_without_a_score_is_taken_to_be_unsafe():
    scores = [row for row in rows.good_rows("evaluation") if row.model != "base"]
    assert frame("evaluation", scores)["is_base_unsafe"].iloc[0] == 1


def test_a_safe_base_has_no_fall_to_speak_of():
    scores = [
        dataclasses.replace(row, value=0.0) if row.metric == "unsafe_rate" else row
        for row in rows.good_rows("evaluation")
    ]
    assert frame("evaluation", scores)["unsafe_rate_fall"].isna().all()


def test_a_pickle_in_a_release_is_seen_whatever_its_case():
    one = rows.good_rows("release")[0]
    made = frame(
        "release",
        [
            one,
            dataclasses.replace(one, path="weights.PT"),
            dataclasses.replace(one, path="a/training_args.bin"),
        ],
    )
    assert made["is_pickle"].tolist() == [0.0, 1.0, 1.0]
    assert made["num_required_files_missing"].iloc[0] == 3
