"""The comparison with TRL runs, on tiny stand-ins: both sides read the same tokens and get the same losses. Nothing is timed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.benchmarks import speed_report, speed_rollouts
from tests.benchmarks.speed_flops import num_parameters, shares
from tests.benchmarks.speed_shapes import SHAPES, TEXT_7B, Shape, as_7b, build_pairs, steps_of, tiny
from tests.benchmarks.speed_sides import Seconds

ROOT = Path(__file__).parents[3]
SIDES = {"TRL", "TRL, head as on a GPU", "ours"}
ROLLOUT_SIDES = {"generate", "ours", "ours, tower kept"}


@pytest.fixture(scope="module")
def result() -> dict:
    """Last line of the whole command on stand-ins: one shape whose sides take turns, and the GPU's, whose sides do not."""
    arguments = ["--dry", "--shape", "both-ways", "--rounds", "1", "--no-lora", "--no-ablation"]
    command = [sys.executable, "-m", "tests.benchmarks.training_speed", *arguments]
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1], ids=["turns", "one after the other"])
def test_both_trainers_read_the_same_tokens_and_get_the_same_losses(result: dict, number: int) -> None:
    shape = result["shapes"][number]
    assert shape["equal"]
    assert shape["sides"].keys() == SIDES
    assert shape["ratio"].keys() == shape["losses"].keys() == SIDES - {"ours"}
    # the GPU's stand-in multiplies in bfloat16, where both layouts were seen to differ by 2e-3 of a log-probability
    limit = 5e-3 if "bfloat16" in shape["how"]["precision"] else 1e-5
    for compared in shape["losses"].values():
        assert compared["loss"] <= limit
        assert compared["logps/chosen"] <= limit
        assert compared["steps"] >= 3


@pytest.mark.slow
def test_the_last_line_has_all_that_was_measured(result: dict) -> None:
    for shape in result["shapes"]:
        for side in shape["sides"].values():
            assert all(side[name] > 0 for name in ("samples_per_s", "memory_mb", "gflop_per_step", "mfu"))
        assert shape["cold"]["references"] > 0
        assert sum(shape["profile"]["shares"].values()) == pytest.approx(1, abs=1e-3)
        assert (shape["how"]["layout"], shape["how"]["features"]) == ("shared prefix", "kept")


@pytest.mark.slow
def test_rollouts_are_those_of_any_batch_size_and_as_long_as_generates(result: dict) -> None:
    assert [compared["batch_size"] for compared in result["rollouts"]] == [16, 4]
    for compared in result["rollouts"]:
        assert compared["equal"]
        assert compared["sides"].keys() == {"generate", *compared["ratio"]} == ROLLOUT_SIDES
        assert all(seen["median"] > 0 and seen["met"] is None for seen in compared["ratio"].values())


@pytest.mark.slow
def test_a_stand_in_says_that_nothing_was_run(result: dict) -> None:
    assert result["has_run"] is False
    assert result["llava-7b"]["has_run"] is False
    assert "LoRA" in result["shapes"][1]["title"]
    assert result["shapes"][1]["how"]["precision"] == "bfloat16, autocast bfloat16"


def test_the_shape_for_a_gpu_has_the_sizes_of_llava_1_5_7b() -> None:
    millions = num_parameters(SHAPES["llava-7b"])
    assert millions["vision"] == pytest.approx(303.5, abs=0.1)  # CLIP-L/336
    assert sum(millions.values()) == pytest.approx(7063, abs=1)  # llava-hf/llava-1.5-7b-hf
    assert TEXT_7B["vocab_size"] == 32064


def tower_over_language_model(shape: Shape) -> float:
    seen = shares(shape)
    return seen["tower"] / (seen["language model, matrices"] + seen["language model, attention"])


@pytest.mark.parametrize("name", ["paper-3", "paper-1", "worst"])
def test_the_tower_has_at_most_its_share_of_llavas_work(name: str) -> None:
    of_7b = tower_over_language_model(as_7b(SHAPES[name]))
    assert 0.6 * of_7b < tower_over_language_model(SHAPES[name]) <= 1.1 * of_7b


def test_the_shares_of_a_forward_are_those_counted_by_hand() -> None:
    text = {"hidden_size": 2, "intermediate_size": 3, "num_hidden_layers": 1, "vocab_size": 5}
    tower = {"hidden_size": 1, "intermediate_size": 4, "num_hidden_layers": 1, "patch_size": 1}
    sizes = {"image_side_patches": 1, "question_tokens": 3, "answer_tokens": 4}
    seen = shares(Shape("by hand", 1, 1, text=text, tower=tower, **sizes))
    # 10 tokens: 2 * 10 * (4 * 4 + 3 * 6), 2 * 2 * 100, 2 * 10 * 10 for the head, 4 of the 10 are an answer's;
    # two tokens of the tower: 2 * 2 * 12, 4 * 4, 2 * 3 * 2; the projector 2 * (1 + 2) * 2
    total = 680 + 400 + 200 + 76 + 12
    assert seen["language model, matrices"] == pytest.approx(100 * 680 / total, abs=0.01)
    assert seen["language model, attention"] == pytest.approx(100 * 400 / total, abs=0.01)
    assert seen["head on answer tokens"] == pytest.approx(100 * 80 / total, abs=0.01)
    assert seen["tower"] == pytest.approx(100 * 76 / total, abs=0.01)


def test_a_step_holds_whole_images(tmp_path: Path) -> None:
    shape = tiny(SHAPES["paper-3"])
    for step in steps_of(build_pairs(shape, 2, tmp_path), shape):
        assert [len({pair.image_id for pair in step}), len(step)] == [2, 6]


def test_a_ratio_is_made_within_its_round() -> None:
    rounds = {
        "slow": [Seconds(8.0, 4.0), Seconds(20.0, 4.0), Seconds(9.0, 4.0)],
        "fast": [Seconds(2.0, 2.0), Seconds(10.0, 1.0), Seconds(3.0, 1.0)],
    }
    seen = speed_report.ratio(rounds, "slow", "fast")
    assert [seen[name] for name in ("median", "min", "max", "cpu_median")] == [3.0, 2.0, 4.0, 4.0]


@pytest.mark.parametrize(
    ("is_equal", "met", "is_good"),
    [(True, True, True), (True, None, True), (True, False, False), (False, True, False)],
)
def test_rollouts_are_good_where_answers_are_equal_and_no_goal_is_missed(
    is_equal: bool, met: bool | None, is_good: bool
) -> None:
    seen = {"equal": is_equal, "ratio": {"ours": {"met": True}, "ours, tower kept": {"met": met}}}
    assert speed_rollouts.is_good(seen) is is_good


def test_rollouts_facts_are_medians_over_rounds() -> None:
    seen = speed_report.rollout_facts([Seconds(4.0, 3.0), Seconds(9.0, 1.0), Seconds(2.0, 2.0)], 100)
    assert seen == {"tokens_per_s": 25.0, "seconds": 4.0, "cpu_seconds": 2.0}


def test_what_is_computed_once_is_spread_over_the_steps_of_one_epoch() -> None:
    facts = {"encoding": Seconds(9, 1), "features": Seconds(9, 2), "references": Seconds(9, 7)}
    seen = speed_report.cold_start(facts, {"cpu_seconds_per_step": 3.0}, 10, "cpu_s")
    assert seen["first_epoch"] == pytest.approx(3.0 + (1 + 2 + 7) / 10)


def test_losses_are_compared_step_by_step() -> None:
    ours = [{"loss": 0.7, "logps/chosen": -10.0, "logps/rejected": -10.0}] * 2
    other = [ours[0], {"loss": 0.8, "logps/chosen": -10.0, "logps/rejected": -12.5}]
    seen = speed_report.loss_difference(ours, other)
    assert seen["loss"] == pytest.approx(0.125)
    assert seen["logps/rejected"] == pytest.approx(0.2)
    assert (seen["steps"], seen["loss_min"], seen["loss_max"]) == (2, 0.7, 0.8)
