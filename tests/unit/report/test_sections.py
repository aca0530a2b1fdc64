"""The sections about the decision: each is there if its numbers are, and says "not measured" if they are not."""

import re

import pytest
from tests.unit.report import made_runs

from spavl.artifacts.store import open_store
from spavl.judging.report import UNSAFE_OR_SAFE, trial
from spavl.report import build_report, dots
from spavl.report.reading import read_run
from spavl.stages.benchmarks.report import attacks
from spavl.stages.benchmarks.rows import BenchmarkScore
from spavl.stages.evaluation.report.agreement import agreement
from spavl.stages.evaluation.report.decision import decision
from spavl.stages.evaluation.report.grounding import grounding, rule_refuses
from spavl.stages.evaluation.report.slices import limits_of, slices, standing_of
from spavl.stages.evaluation.rows import Score
from spavl.validation.report import Result

RUN = made_runs.ALIGN_RUN


@pytest.fixture
def store(tmp_path):
    return open_store(f"file://{tmp_path}/store")


def score(model: str, value: float, part: str = "all", metric: str = "unsafe_rate", benchmark: str = "held_out_harm") -> Score:  # fmt: skip
    low, high = max(-1.0, value - 0.05), min(1.0, value + 0.05)
    return Score(
        f"{benchmark}/greedy/{model}/{part}/{metric}", benchmark, "greedy", model, "r", part, metric,
        value, low, high, 40, "rate_by_image", "rules", "1", low, high,
    )  # fmt: skip


def rows_of(*scores: Score) -> list[dict]:
    return [{name: getattr(one, name) for name in Score.__slots__} for one in scores]


def worst(family: str, limit: str) -> Result:
    label = f"expect_column_max_to_be_between(worst_{family}_unsafe_rate__gate_low)"
    return Result(label, "critical", True, "0.1", limit, "no mean hides a slice", 0.1, None, None, ())


def words_on(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", html))


# -------------------------------------------------------------------------------------------------------------- decision


def test_the_decision_gives_its_reasons_by_weight_and_what_would_settle_the_open_ones(store):
    made_runs.write_align_run(store, stages=("training",))
    warning = made_runs.failed(made_runs.GATE, saw="0.9")
    made_runs.write_failure(store, RUN, "evaluation", made_runs.inconclusive("needs about 123 more prompts"))
    found = decision(read_run(store, RUN))
    assert (found["verdict"], found["failed"]) == ("inconclusive", [])
    assert [one["needs"] for one in found["open"]] == ["needs about 123 more prompts"]
    html = words_on(build_report(store, RUN))
    assert "needs about 123 more prompts" in html
    assert "Inconclusive at evaluation: too little was measured to decide, nothing was published" in html
    made_runs.write_failure(store, RUN, "evaluation", warning)
    assert decision(read_run(store, RUN))["verdict"] == "failed"


def test_the_decision_names_the_releases_it_was_made_against_and_its_power(store):
    plan = {
        "references": {"champion": {"run_id": "20261101-dddddddddd"}, "best_help": {"run_id": "20261001-eeeeeeeeee"}},
        "decision": {
            "harm_prompts": 159, "benign_prompts": 192, "harm_prompts_needed": 522, "benign_prompts_needed": None,
            "needed_for_power": 0.9, "power": 0.31, "expected_base_unsafe": 1.0, "expected_unsafe": 0.08,
        },
    }  # fmt: skip
    made_runs.write_align_run(store, **plan)
    made_runs.write_stage(
        store, RUN, "evaluation", measures={"decision_number": 2.0, "decision_alpha": 0.0076}
    )
    html = build_report(store, RUN)
    text = words_on(html)
    assert 'href="../20261101-dddddddddd/report.html"' in html
    assert "with the most helpful earlier release (20261001-eeeeeeeeee)" in text
    assert "Decision 2 since the last release; the bounds of the gate have the one-sided level 0.76 %" in text
    assert "159 harm and 192 benign prompts" in text and "passes with 31 %; 90 % need 522 and –" in text


def test_what_was_not_measured_is_said_and_not_left_out(store):
    made_runs.write_align_run(store, stages=("training",))
    made_runs.write_failure(store, RUN, "evaluation", made_runs.failed())
    text = words_on(build_report(store, RUN))
    assert "Power: not measured" in text
    assert "Not measured: no judge answered a gold set" in text
    assert "Not measured: the profile names one judge" in text
    assert "Not measured: the run has not come so far" in text


def test_a_data_night_has_no_sections_of_a_decision(store):
    html = build_report(store, made_runs.write_data_run(store))
    assert "The decision" not in html and "Slice by slice" not in html


# ---------------------------------------------------------------------------------------------------------------- slices


def test_the_limit_of_a_family_is_the_suites():
    check = made_runs.report("evaluation", worst("domain", "<= 0.2"), worst("leaf", "at most 0.25"))
    assert limits_of(check) == {"domain": 0.2, "leaf": 0.25}


@pytest.mark.parametrize(
    ("low", "high", "standing"),
    [(0.0, 0.2, dots.SETTLED), (0.1, 0.3, dots.OPEN), (0.21, 0.6, dots.OVER), (0.2, 0.4, dots.OPEN)],
)
def test_a_slice_stands_where_its_bounds_put_it(low, high, standing):
    assert standing_of({"gate_low": low, "gate_high": high, "low": 0, "high": 1}, 0.2) == standing


def test_slices_are_drawn_worst_first_and_those_that_are_not_settled_look_different():
    scores = rows_of(
        score("aligned", 0.02, "kind=easy_question"), score("aligned", 0.18, "kind=hard_question"),
        score("base", 0.9, "kind=hard_question"), score("aligned", 0.5, "kind=hard_statement"),
    )  # fmt: skip
    check = made_runs.report("evaluation", worst("kind", "<= 0.2"))
    (picture,) = slices(scores, check, "greedy")["pictures"]
    spoken = re.search(r'aria-label="([^"]*)"', picture["plot"])[1]
    assert spoken == "By kind of question: Hard statement 50.0 %, Hard question 18.0 %, Easy question 2.0 %"
    for words in ("aligned, too few prompts to tell", "aligned, surely above the limit", "limit of the gate"):
        assert f">{words}<" in picture["plot"]


def test_leaves_are_named_worst_first():
    scores = rows_of(*(score("aligned", share / 10, f"class3=leaf_{share}") for share in range(4)))
    leaves = slices(scores, made_runs.report("evaluation", worst("leaf", "<= 0.2")), "greedy")["leaves"]
    assert [leaf["name"] for leaf in leaves["worst"]] == ["leaf 3", "leaf 2", "leaf 1", "leaf 0"]
    assert [leaf["standing"] for leaf in leaves["worst"]] == ["over", "open", "settled", "settled"]
    assert leaves["num_open"] == 1


# ------------------------------------------------------------------------------------------------------ trial, agreement


GOLD = {
    "gold_num_items": 40.0, "gold_sensitivity": 0.95, "gold_sensitivity__low": 0.85, "gold_sensitivity__high": 0.99,
    "gold_specificity": 1.0, "gold_specificity__low": 0.9, "gold_specificity__high": 1.0, "gold_drift": 0.05,
    "gold_num_repeated": 38.0, "gold_refusal_then_complies": 0.5, "gold_garbage": 1.0,
}  # fmt: skip


def test_a_judge_on_trial_is_shown_with_intervals_and_by_behaviour(store):
    made_runs.write_align_run(store)
    by_behaviour = {"refusal_then_complies": {"right": 3, "asked": 6}, "garbage": {"right": 4, "asked": 4}}
    details = {"judge": "rules", "gold": {"set": "placeholder", "by_behaviour": by_behaviour}}
    made_runs.write_stage(store, made_runs.DATA_RUN, "judgements", measures=GOLD, details=details)
    judged = read_run(store, RUN).stages["judgements"]
    found = trial(judged, "gold_", "Judge of the answers", UNSAFE_OR_SAFE)
    assert [(rate["value"], rate["interval"]) for rate in found["rates"]] == [
        ("95.0 %", "85.0 to 99.0"),
        ("100.0 %", "90.0 to 100.0"),
    ]
    assert "50 %  3 of 6" in found["plot"] and "Opens as a refusal, then complies" in found["plot"]
    text = words_on(build_report(store, RUN))
    assert "40 gold items of the set “placeholder”" in text
    assert "Of 38 that it was asked last night too, it answers 5.0 % otherwise now" in text


def test_rates_corrected_for_the_judges_errors_stand_beside_the_raw_ones(store):
    made_runs.write_align_run(store)
    measures = {
        f"{model}_unsafe_rate_corrected{end}": value
        for model in ("base", "aligned")
        for end, value in (("", 0.11), ("__low", 0.04), ("__high", 0.2))
    }
    made_runs.write_stage(store, RUN, "evaluation", measures=measures)
    text = words_on(build_report(store, RUN))
    assert "base 11.0 % (4.0 to 20.0), candidate 11.0 % (4.0 to 20.0)" in text


def test_two_judges_agreement_is_shown_with_the_leaves_on_which_they_differ(store):
    made_runs.write_align_run(store)
    measures = {
        f"judge_agreement_{label}{end}": value
        for label in ("unsafe", "refusal")
        for end, value in (("", 0.71), ("__low", 0.6), ("__high", 0.8))
    }
    differ = {
        "scams": {"n": 6, "unsafe": 0.5, "refusal": 0.0},
        "tales": {"n": 3, "unsafe": 0.0, "refusal": 0.0},
    }
    made_runs.write_stage(store, RUN, "evaluation", measures=measures, details={"judges_differ": differ})
    found = agreement(read_run(store, RUN))
    assert [leaf["leaf"] for leaf in found["leaves"]] == ["scams", "tales"]
    assert "Krippendorff's alpha 0.71 (0.60 to 0.80)" in words_on(build_report(store, RUN))


# ------------------------------------------------------------------------------------------------------------- grounding


def test_a_model_that_decides_by_wording_is_said_to_and_stands_beside_the_rule_on_words(store):
    rows = [
        score("aligned", value, metric=metric, benchmark="grounding")
        for metric, value in (
            ("refusal_harm_words_own", 0.92), ("refusal_harm_words_benign_image", 0.92),
            ("refusal_benign_words_harm_image", 0.0), ("grounding_score", 0.0),
        )
    ]  # fmt: skip
    made_runs.write_align_run(store)
    measures = {"text_rule_unsafe_rate": 0.08, "text_rule_over_refusal_rate": 0.0, "margin_over_text_rule": 0.0,
        "margin_over_text_rule__low": -0.05, "margin_over_text_rule__high": 0.05}  # fmt: skip
    made_runs.write_stage(store, RUN, "evaluation", [score("aligned", 0.1), *rows], measures=measures)
    text = words_on(build_report(store, RUN))
    assert "The wording decides nearly alone: a harmful image turns 0 of 100 answers into refusals" in text
    assert "leaves 8.0 % of the harm prompts unsafe" in text
    assert "0.0 points better (−5.0 to +5.0" in text
    assert rule_refuses(measures, is_harm=True) == pytest.approx(0.92)


def test_without_other_images_there_is_no_grounding():
    assert grounding(rows_of(score("aligned", 0.1)), None) is None


# --------------------------------------------------------------------------------------------------------------- attacks


def attack(model: str, value: float, family: str = "attack", metric: str = "unsafe_rate") -> BenchmarkScore:
    log = f"runs/{RUN}/benchmarks/logs/role_play--{model}.eval"
    return BenchmarkScore(
        f"role_play/{model}/{metric}", "role_play", family, "spavl/role_play", model, "r", metric,
        value, value - 0.05, value + 0.05, 60, "rate", "rules", "1", log,
    )  # fmt: skip


def test_attacks_show_each_model_the_change_and_a_link_to_its_log(store):
    made_runs.write_align_run(store, stages=("training", "evaluation"))
    rows = [attack("base", 1.0), attack("champion", 0.1), attack("aligned", 0.08), attack("change", -0.92)]
    made_runs.write_stage(store, RUN, "benchmarks", rows)
    html = build_report(store, RUN)
    assert 'href="benchmarks/logs/role_play--aligned.eval"' in html
    row = words_on(html[html.index("<td>role play") :][:1200])
    for words in ("100.0 %", "10.0 %", "8.0 %", "−92.0"):
        assert words in row
    assert f"inspect view start --log-dir &lt;store&gt;/runs/{RUN}/benchmarks/logs" in html


def test_a_run_without_benchmarks_has_no_attacks(store):
    made_runs.write_align_run(store, stages=("training", "evaluation"))
    assert attacks(store, read_run(store, RUN)) is None
