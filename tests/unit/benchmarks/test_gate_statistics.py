"""The benchmark of the decision's error rates simulates what it says, and what it keeps meets its goals."""

import json

import numpy as np
import pytest
from tests.benchmarks import gate_statistics
from tests.benchmarks.gate_simulation import Answers, Kind, outcomes, released, released_by_former

from spavl.statistics import alpha_of_decision


def test_images_prompts_are_as_alike_as_asked():
    # variance between images of the mean of three prompts: .3 * .7 * (1 + 2 * .4) / 3 = .126
    counts = outcomes(np.random.default_rng(1), [0.3, 0.7], 100, 0.4, 2000)[..., 0]
    assert counts.mean() / 3 == pytest.approx(0.3, abs=0.005)
    assert (counts / 3).var() == pytest.approx(0.126, abs=0.003)


def test_candidate_changes_as_asked_against_base_and_release():
    kind = Kind(base=1.0, up=0.07, down=0.02, release=0.08)
    answers = Answers.drawn(np.random.default_rng(1), kind, 100, 0.3, 2000)
    of_base, of_release = ([way.mean() / 3 for way in change] for change in answers.changes)
    assert answers.candidate.mean() / 3 == pytest.approx(0.13, abs=0.005)
    assert of_base == [0.0, pytest.approx(0.87, abs=0.005)]
    assert of_release == [pytest.approx(0.07, abs=0.003), pytest.approx(0.02, abs=0.003)]


def test_loss_of_five_points_of_help_is_stopped_now_and_was_released_every_second_time():
    draw = np.random.default_rng(1)
    harm = Answers.drawn(draw, Kind(1.0, 0.0, 0.92), 100, 0.3, 400)
    benign = Answers.drawn(draw, Kind(0.95, 0.01, 0.06), 100, 0.3, 400)
    assert released(harm, benign, alpha_of_decision(1, 0.05)).mean() <= 0.05
    assert released_by_former(harm, benign, draw).mean() > 0.4


def test_goal_is_missed_by_a_candidate_that_is_released_too_often():
    row = {"now_low_above": 0.0, "now_high_below": 0.0, "alpha": 0.05}
    identical = {"candidate": "identical to a base that is 13 % unsafe", "better": 0.06, "now": 0.0}
    others = [{"candidate": f"{start} points", "now": 0.05} for start in ("help -5", "unsafe +5")]
    result = {"wrong": [identical, *others], "nights": [{"now": 0.01}], "good": [], "coverage": [row]}
    found = gate_statistics.goals(result | {"num_samples": 1000})
    assert [goal["goal"] for goal in found if not goal["met"]] == [
        "identical candidate called better, one night"
    ]


def test_kept_result_is_a_full_run_that_meets_every_goal():
    kept = json.loads(gate_statistics.RESULT.read_text("utf-8"))
    assert kept["num_samples"] == 10_000
    assert len(kept["goals"]) == 8
    assert all(goal["met"] for goal in kept["goals"])
