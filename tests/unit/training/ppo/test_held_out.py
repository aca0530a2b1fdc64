"""A trained policy and its reference answer prompts that were held out; a whole run reports both."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.toy_pairs import toy_pairs
from tests.toy_ppo import Scene, build_base, build_scene

from spavl.artifacts.store import open_store
from spavl.learning.trainer import Hooks
from spavl.stages.reward.config import RewardConfig
from spavl.stages.training.config import TrainingConfig
from spavl.stages.training.ppo.held_out import HeldOut
from spavl.stages.training.ppo.rollouts import sample
from spavl.stages.training.ppo.sampling import prompt_key


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Scene, Scene]:
    """A policy and, as its reference, a model with other weights."""
    policy, other = (
        build_scene("llava_llama", tmp_path_factory.mktemp("pictures"), seed=seed) for seed in (0, 1)
    )
    other.model.requires_grad_(False)
    return policy, other


def metrics(made: HeldOut, model: Any, num_ranks: int = 1) -> dict[str, float]:
    """As the trainer's `evaluate` adds up."""
    totals: dict[str, np.ndarray] = {}
    for step in range(made.num_steps):
        for rank in range(num_ranks):
            for forward in made.forwards(step, rank, num_ranks):
                for name, (value, weight) in made.loss(model, forward).sums.items():
                    totals[name] = totals.get(name, np.zeros(2)) + np.array([float(value), float(weight)])
    return {name: value / weight for name, (value, weight) in totals.items()}


def test_metrics_are_means_over_the_answers_of_both(scenes: tuple[Scene, Scene]) -> None:
    policy, other = scenes
    sampler = policy.sampler(frozen=other.model)
    seen = metrics(HeldOut(policy.prompts, sampler), policy.model)
    keys = [prompt_key(0, prompt.id, "held out") for prompt in policy.prompts]
    for model, prefix in ((policy.model, ""), (other.model, "reference/")):
        answers = sample(model, policy.prompts, keys, sampler)
        shares = [np.mean([token % 2 == 0 for token in answer.ids]) for answer in answers]
        assert seen[f"{prefix}reward"] == pytest.approx(np.mean(shares))
        assert seen[f"{prefix}cost"] == pytest.approx(np.mean([len(answer.ids) / 10 for answer in answers]))
    assert seen["reward"] != seen["reference/reward"]
    assert seen["kl/per_answer"] > 0


def test_metrics_are_the_same_for_any_batch_size_and_number_of_ranks(scenes: tuple[Scene, Scene]) -> None:
    policy, other = scenes
    of_cuts = [
        metrics(
            HeldOut(policy.prompts, policy.sampler(frozen=other.model, sampling_batch_size=size)),
            policy.model,
            num_ranks,
        )
        for size, num_ranks in ((9, 1), (2, 1), (4, 2), (1, 4))
    ]
    for seen in of_cuts[1:]:
        assert seen == pytest.approx(of_cuts[0], rel=1e-4)


def test_a_policy_that_is_its_reference_gains_nothing(scenes: tuple[Scene, Scene]) -> None:
    policy, _ = scenes
    seen = metrics(HeldOut(policy.prompts, policy.sampler(frozen=policy.model)), policy.model)
    assert seen["reward"] == seen["reference/reward"]
    assert seen["kl/per_answer"] == pytest.approx(0.0, abs=1e-5)


def test_no_prompts_are_no_steps(scenes: tuple[Scene, Scene]) -> None:
    assert HeldOut([], scenes[0].sampler()).num_steps == 0


def test_a_whole_run_reports_the_reward_on_held_out_prompts(tmp_path: Path) -> None:
    from spavl.stages.reward.training import train_reward
    from spavl.stages.training.made import Source
    from spavl.stages.training.ppo.run import train_ppo

    base, pairs = build_base(tmp_path / "base"), toy_pairs(tmp_path / "images", 10)
    # two questions more than those that are trained on
    held_out = [dataclasses.replace(pair, question="what is that") for pair in pairs[8:]]
    spec = {"kind": "transformers", "name": "tiny", "path": str(base), "device": "cpu"}
    common = {"base": spec, "lora": {"r": 4, "alpha": 8}, "warmup_steps": 0, "learning_rate": 2e-3}
    hooks = Hooks(lambda *_: None, lambda *_: None, lambda: False)
    settings = RewardConfig.model_validate({**common, "global_batch_size": 8})
    made = train_reward(pairs[:8], [], base, "toy", settings, tmp_path / "reward", None, hooks)
    source = Source(base, "toy", open_store(f"file://{tmp_path / 'store'}"), made.model)
    ppo = {"prompts_per_iteration": 4, "minibatch_size": 4, "max_new_tokens": 4}
    settings = TrainingConfig.model_validate({**common, "method": "ppo", "ppo": ppo})
    aligned = train_ppo(pairs[:8], held_out, source, settings, tmp_path / "ppo", None, hooks)
    last = {row.name: row.value for row in aligned.rows if row.name.startswith("eval_")}
    assert {"eval_reward", "eval_reference/reward", "eval_kl/per_answer"} <= set(last)
    assert last["eval_kl/per_answer"] != 0.0
    assert aligned.counts["prompts"] == 8
    assert aligned.counts["validation_prompts"] == 2
    assert aligned.model is not None and (aligned.model / "model.safetensors").is_file()
