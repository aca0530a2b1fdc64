"""PPO through the project's own trainer: it learns, it is resumed bitwise, and two ranks are one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.toy_ppo import SHORT_RUN, WITH_LORA, build_base, build_reward, toy_trainer

from spavl.learning.trainer import Hooks, trained_weights

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def reward(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_reward(base, tmp_path_factory.mktemp("reward") / "model")


def values(history: list[dict[str, Any]], name: str) -> list[float]:
    return [entry[name] for entry in history if name in entry]


@pytest.mark.parametrize(
    ("training", "ppo", "has_critic"),
    # a target so far away that the coefficient moves
    [
        ({}, {}, False),
        (WITH_LORA, {}, False),
        ({}, {"kl_target": 50.0}, False),
        ({}, {}, True),
        (WITH_LORA, {}, True),
    ],
    ids=["full", "lora", "adaptive-kl", "critic", "critic-lora"],
)
def test_a_run_that_was_stopped_goes_on_bitwise(
    base: Path, reward: Path, tmp_path: Path, training: dict[str, Any], ppo: dict[str, Any], has_critic: bool
) -> None:
    settings = SHORT_RUN | ppo | ({"reward": reward} if has_critic else {})
    # 16 prompts x 1.5 in iterations of 12: two iterations of four steps
    whole = toy_trainer(tmp_path / "whole", base, training=training, **settings)
    whole.train()
    saved: list[Path] = []
    hooks = Hooks(lambda folder, _: saved.append(folder), lambda *_: None, lambda: True)
    stopped = toy_trainer(tmp_path / "cut", base, hooks=hooks, training=training, **settings)
    stopped.train()
    assert (
        stopped.state.global_step == 4
    )  # asked to stop after the first step, and stopped between iterations
    resumed = toy_trainer(tmp_path / "cut", base, training=training, **settings)
    resumed.train(resume_from_checkpoint=str(saved[-1]))
    assert resumed.state.global_step == whole.state.global_step == 8
    expected = trained_weights(whole.model)
    assert any("scalar_head" in name for name in expected)
    assert any("critic" in name.split(".") for name in expected) is has_critic
    for name, weight in trained_weights(resumed.model).items():
        assert torch.equal(weight, expected[name]), name
    for name in ("loss", "reward", "kl", "kl/coef", "entropy", "value/loss"):
        assert values(resumed.state.log_history, name)[-4:] == values(whole.state.log_history, name)[-4:]
    coefficients = set(values(whole.state.log_history, "kl/coef"))
    assert len(coefficients) == (2 if ppo else 1)


def test_the_reward_rises(base: Path, tmp_path: Path) -> None:
    running = toy_trainer(
        tmp_path, base, training={"learning_rate": 4e-3}, num_epochs=20, prompts_per_iteration=32, passes_per_iteration=2, minibatch_size=32,
        micro_batch_size=32, sampling_batch_size=32, max_new_tokens=8, kl_coef=0.01, cost_weight=0.0,
    )  # fmt: skip
    running.train()
    rewards = values(running.state.log_history, "reward")
    assert len(rewards) == 20
    # the share of even tokens, which begins near a half
    assert sum(rewards[-2:]) / 2 > sum(rewards[:2]) / 2 + 0.15


@pytest.mark.slow
@pytest.mark.parametrize(
    ("training", "has_critic"),
    [(WITH_LORA, False), ({"zero_stage": 3}, False), ({"zero_stage": 3}, True)],
    ids=["ddp-lora", "zero3-full", "zero3-critic"],
)
def test_two_ranks_are_one(
    base: Path, reward: Path, tmp_path: Path, training: dict[str, Any], has_critic: bool
) -> None:
    training = training | ({"critic": str(reward)} if has_critic else {})
    alone, together = tmp_path / "alone", tmp_path / "together"
    run_ranks(1, alone, base, training | {"zero_stage": 0})
    run_ranks(2, together, base, training)
    expected, seen = (json.loads((folder / "history.json").read_text()) for folder in (alone, together))
    for name in ("reward", "cost", "answer/tokens", "answer/unstopped"):
        assert values(seen, name) == pytest.approx(values(expected, name), rel=1e-6)
    for name in ("loss", "kl", "entropy", "policy/kl_of_update", "value/loss", "grad_norm"):
        assert values(seen, name) == pytest.approx(values(expected, name), rel=1e-4, abs=1e-5)
    weights = [torch.load(folder / "weights.pt") for folder in (alone, together)]
    assert weights[0].keys() == weights[1].keys()
    for name, weight in weights[0].items():
        assert float((weights[1][name] - weight).norm() / weight.norm()) <= 1e-3, name


def run_ranks(num_ranks: int, folder: Path, base: Path, training: dict[str, Any]) -> None:
    """`python -m tests.toy_ppo` as so many processes."""
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tests.toy_ppo", str(folder), str(base), json.dumps(training)]
    common = {"WORLD_SIZE": str(num_ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    ranks = [
        subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **common, "RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(num_ranks)
    ]
    errors = [rank.communicate(timeout=200)[1] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0] * num_ranks, errors[0][-3000:]
