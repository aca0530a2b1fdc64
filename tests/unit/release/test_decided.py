from tests import rows

from spavl.artifacts.record import Record
from spavl.stages.release.card import card
from spavl.stages.release.decided import decision_in_words

MEASURES = {
    "text_rule_unsafe_rate": 0.08, "text_rule_over_refusal_rate": 0.0, "margin_over_text_rule": 0.01,
    "margin_over_text_rule__low": -0.02, "margin_over_text_rule__high": 0.04,
}  # fmt: skip
DETAILS = {
    "decision": {"number": 3, "alpha": 0.00337737},
    "references": {"champion": {"run_id": "20260101-0123456789", "fingerprint": "f"}},
    "measures": MEASURES,
}


def evaluation(**details):
    check = {"suite": "evaluation", "sha256": "ab", "passed": True, "num_rows": 1, "results": []}
    return record("evaluation", check=check, details=details)


def record(stage, **more):
    config = {
        "method": "dpo", "beta": 0.1, "sft_weight": 0, "global_batch_size": 8, "learning_rate": 1, "warmup_steps": 0,
        "num_epochs": 1, "bf16": False, "seed": 0, "max_length": 9,
    }  # fmt: skip
    return Record("r", stage, "f", "2026-01-01T00:00:00+00:00", "0", config, {}, {}, **more)


def test_the_decision_says_number_level_champion_worst_slice_image_and_words():
    found = decision_in_words(evaluation(**DETAILS), rows.good_rows("evaluation"))
    assert (found["number"], found["alpha"]) == (3, 0.00337737)
    (champion,) = found["earlier"]
    assert champion["run_id"] == "20260101-0123456789"
    assert champion["changes"][0] == "unsafe_rate (greedy) +0.0 points (-4.0 to +4.0)"
    assert found["worst"][1] == "leaf `insult`: 6.0 % of 100 (95 % interval 2.0 to 10.0)"
    assert found["grounding"] == ["grounding_score: 0.60 (0.56 to 0.64), n = 100"]
    assert found["text_rule"] == {"text_rule_unsafe_rate": "8.0 %", "text_rule_over_refusal_rate": "0.0 %"}
    assert found["margin"] == "+1.0 points (-2.0 to +4.0)"
    assert found["agreement"] == ""


def text(details):
    base, judge = ({"name": name, "kind": "fake", "revision": "1"} for name in ("bold", "rules"))
    scores = rows.good_rows("evaluation")
    return card(base, judge, scores, record("dataset"), record("training"), evaluation(**details), "r")


def test_the_card_tells_which_release_the_model_was_compared_with():
    shown = text(DETAILS)
    assert "Decision 3 since the last release" in shown
    assert (
        "Against the champion release (run `20260101-0123456789`): unsafe_rate (greedy) +0.0 points" in shown
    )
    assert "The best rule that never sees an image: text_rule_unsafe_rate 8.0 %" in shown
    assert "| grounding |" not in shown and "grounding_score: 0.60" in shown


def test_the_card_of_a_first_release_says_that_there_was_none_before():
    shown = text({**DETAILS, "references": {}})
    assert "the channel had no release before" in shown and "Against the" not in shown


def test_a_card_of_an_evaluation_without_decision_is_still_made():
    assert "## Decision" in text({})
