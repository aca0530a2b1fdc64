"""The terminal says what was decided, why, against whom, and whether the image had to do with it."""

import io
import json

from rich.console import Console
from tests.rows import good_rows
from tests.unit.report import made_runs

from spavl.artifacts.store import open_store
from spavl.config.root import Config
from spavl.demo.deciding import gold_line, grounding_lines
from spavl.demo.summary import ALIGN, rate_lines, summarise, verdict_lines
from spavl.stages.evaluation.rows import Score

CONFIG = Config(profile="demo")
RUN = made_runs.ALIGN_RUN


def summary_of(store) -> dict:
    return summarise(store, CONFIG, {ALIGN: RUN})


def score(model: str, value: float, metric: str = "unsafe_rate", benchmark: str = "held_out_harm") -> Score:
    low, high = value - 0.05, value + 0.05
    return Score(
        f"{benchmark}/greedy/{model}/all/{metric}", benchmark, "greedy", model, "r", "all", metric,
        value, low, high, 159, "rate_by_image", "rules", "1", low, high,
    )  # fmt: skip


def test_the_released_model_has_a_column_and_the_changes_are_against_both(spavl_home):
    store = open_store()
    scores = [
        score("base", 0.95), score("champion", 0.1), score("aligned", 0.08),
        score("change", -0.87), score("change_champion", -0.02),
    ]  # fmt: skip
    made_runs.write_align_run(store, stages=("training",))
    made_runs.write_stage(store, RUN, "evaluation", scores)
    written = io.StringIO()
    Console(file=written, width=100).print(rate_lines(summary_of(store), "greedy"))
    text = written.getvalue()
    head = next(line for line in text.splitlines() if "Δ released" in line)
    assert head.split() == ["base", "released", "aligned", "Δ", "base", "Δ", "released"]
    unsafe = next(line for line in text.splitlines() if line.startswith("harm: unsafe"))
    assert unsafe.split("  ")[0] == "harm: unsafe" and "95.0" in unsafe and "10.0" in unsafe
    assert "8.0 [3.0, 13.0]" in unsafe
    assert "-87.0 [-92.0, -82.0]" in unsafe and "-2.0 [-7.0, +3.0]" in unsafe
    assert "…" not in text


def test_an_inconclusive_gate_says_what_it_needs(spavl_home):
    store = open_store()
    made_runs.write_align_run(store, stages=("training",))
    made_runs.write_failure(store, RUN, "evaluation", made_runs.inconclusive("about 140 more prompts"))
    summary = summary_of(store)
    assert summary["gate"]["verdict"] == "inconclusive"
    lines = verdict_lines(summary)
    assert "gate      inconclusive" in lines
    assert any("evaluation: inconclusive: " in line and "about 140 more prompts" in line for line in lines)


def test_benchmarks_that_fail_are_the_verdict_of_the_gate(spavl_home):
    store = open_store()
    made_runs.write_align_run(store, stages=("training", "evaluation"))
    made_runs.write_failure(store, RUN, "benchmarks", made_runs.failed())
    gate = summary_of(store)["gate"]
    assert (gate["verdict"], gate["stage"]) == ("blocked", "benchmarks")


def test_a_passed_gate_names_its_decision_its_references_and_its_power(spavl_home):
    store = open_store()
    decision = {
        "harm_prompts": 159, "benign_prompts": 192, "harm_prompts_needed": 140, "benign_prompts_needed": 1200,
        "needed_for_power": 0.9, "power": 0.42, "expected_base_unsafe": 1.0, "expected_unsafe": 0.08,
    }  # fmt: skip
    references = {"champion": {"run_id": "20261101-dddddddddd", "fingerprint": "f"}}
    made_runs.write_align_run(store, decision=decision, references=references)
    made_runs.write_stage(store, RUN, "evaluation", measures={"decision_number": 3.0})
    lines = verdict_lines(summary_of(store))
    assert "gate      passed" in lines
    told = " ".join(lines)
    assert "decision 3 since the last release, against base, champion 20261101-dddddddddd" in told
    assert "159 harm and 192 benign prompts: a good candidate passes with 42 %" in told
    assert "90 % need 140 and 1\u202f200" in told


def test_a_rejection_is_told_with_who_and_why(spavl_home):
    store = open_store()
    made_runs.write_align_run(store, stages=("training", "evaluation", "benchmarks"))
    decision = {"decision": "rejected", "by": "mira", "reason": "jailbreak found"}
    store.write(f"runs/{RUN}/approval.json", json.dumps(decision).encode())
    assert "approval  mira rejected the release: jailbreak found" in verdict_lines(summary_of(store))


def test_a_model_that_decides_by_wording_is_said_to():
    found = {
        "score": {"value": 0.003, "low": -0.01, "high": 0.02, "n": 96},
        "text_rule_unsafe_rate": 0.082,
        "margin_over_text_rule": -0.001,
    }
    first, second, third = grounding_lines(found)
    assert first == "image     grounding score +0.3 points [−1.0 to +2.0] of 100"
    assert second.strip().startswith("The wording decides nearly alone: a harmful image turns 0 of 100")
    assert third.strip() == "a rule on words alone leaves 8.2 % unsafe; aligned is −0.1 points better"
    assert grounding_lines({}) == []


def test_an_image_that_matters_is_said_to_matter():
    found = {"score": {"value": 0.61, "low": 0.5, "high": 0.7, "n": 96}}
    assert "The image matters: a harmful image turns 61 of 100" in grounding_lines(found)[1]


def test_the_gold_set_is_one_line():
    found = {
        "num_items": 126.0, "sensitivity": 0.98, "sensitivity__low": 0.95, "sensitivity__high": 0.99,
        "specificity": 1.0, "specificity__low": 0.96, "specificity__high": 1.0, "drift": 0.0,
    }  # fmt: skip
    assert gold_line(found) == [
        "gold      126 items: sensitivity 98.0 % [95.0 to 99.0], specificity 100.0 % [96.0 to 100.0], drift 0.0 %"
    ]
    assert gold_line({}) == []


def test_rows_of_the_contract_tables_give_a_table_of_rates(spavl_home):
    store = open_store()
    made_runs.write_align_run(store)
    assert rate_lines(summary_of(store), good_rows("evaluation")[0].decoding) is not None
