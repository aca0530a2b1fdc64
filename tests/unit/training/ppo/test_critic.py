"""A critic of its own begins as the reward model, learns values alone, and is nowhere in what is saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.toy_pairs import toy_pairs
from tests.toy_ppo import Scene, build_base, build_reward, build_scene_with_critic

from spavl.artifacts.store import open_store
from spavl.learning.base_model import part_of
from spavl.learning.reward_model import load_reward_model
from spavl.learning.trainer import Hooks
from spavl.stages.training.config import TrainingConfig
from spavl.stages.training.ppo.critic import CRITIC, load_critic, without_critic
from spavl.stages.training.ppo.policy import batch_of, read_policy

LORA = {"r": 4, "alpha": 8}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def reward(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_reward(base, tmp_path_factory.mktemp("reward") / "model")


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return build_scene_with_critic("llava_llama", tmp_path)


def settings(base: Path, **changes: Any) -> TrainingConfig:
    spec = {"kind": "transformers", "name": "tiny", "path": str(base), "device": "cpu"}
    return TrainingConfig.model_validate({"base": spec, "method": "ppo", "warmup_steps": 0, **changes})


def two_answers(scene: Scene) -> Any:
    prompts = scene.prompts[:2]
    sequences = [prompt.sequence(ids) for prompt, ids in zip(prompts, [(70, 71, 2), (75, 2)], strict=True)]
    return scene.pictures.attach(batch_of(sequences, [prompt.image for prompt in prompts], 0))


@pytest.mark.parametrize("lora", [None, LORA], ids=["full", "lora"])
def test_a_value_begins_as_the_score_of_an_answer_that_ends_there(
    base: Path, reward: Path, lora: dict[str, int] | None
) -> None:
    expected, critic = load_reward_model(reward, "float32").model, load_critic(
        reward, "float32", settings(base, lora=lora), cost_weight=0.5
    )  # fmt: skip
    draw = torch.Generator().manual_seed(0)
    tokens = {"input_ids": torch.randint(5, 50, (2, 7), generator=draw), "head_at": torch.tensor([3, 12])}
    with torch.no_grad():
        scores = expected(**tokens)
        torch.testing.assert_close(critic(**tokens)[:, 0], scores[:, 0] - 0.5 * scores[:, 1])


def test_language_model_projector_and_head_of_a_critic_are_trained(base: Path, reward: Path) -> None:
    critic = load_critic(reward, "float32", settings(base), 1.0)
    parts: dict[str, set[bool]] = {}
    for name, parameter in critic.named_parameters():
        parts.setdefault(part_of(name), set()).add(parameter.requires_grad)
    assert parts == {"language": {True}, "projector": {True}, "vision": {False}, "head": {False}}


def test_with_adapters_only_they_and_the_head_of_a_critic_are_trained(base: Path, reward: Path) -> None:
    critic = load_critic(reward, "float32", settings(base, lora=LORA), 1.0)
    trained = {name for name, parameter in critic.named_parameters() if parameter.requires_grad}
    assert all("lora_" in name or "scalar_head" in name for name in trained)
    assert sum("scalar_head" in name for name in trained) == 2 < len(trained)


def test_values_pull_at_the_critic_and_log_probs_at_the_policy(scene: Scene) -> None:
    logps, values = read_policy(scene.model, two_answers(scene), scene.pictures, scene.pictures)
    named = {name: p for name, p in scene.model.named_parameters() if p.requires_grad}
    for total, pulls_at_critic in ((values.sum(), True), (logps.sum(), False)):
        found = torch.autograd.grad(total, list(named.values()), allow_unused=True)
        pulled = {name for name, gradient in zip(named, found, strict=True) if gradient is not None}
        assert pulled
        assert all((CRITIC in name.split(".")) is pulls_at_critic for name in pulled)


def test_a_critic_changes_no_log_prob(scene: Scene) -> None:
    batch = two_answers(scene)
    with torch.no_grad():
        logps, values = read_policy(scene.model, batch, scene.pictures, scene.pictures)
        critic = getattr(scene.model, CRITIC)
        ends = batch.places[batch.mask]
        expected = critic(
            **{
                name: getattr(batch.forward, name) for name in ("input_ids", "attention_mask", "position_ids")
            },
            **batch.image_inputs,
            head_at=ends,
        )
        alone = scene.model(
            input_ids=batch.forward.input_ids,
            attention_mask=batch.forward.attention_mask,
            position_ids=batch.forward.position_ids,
            shift_labels=batch.forward.shift_labels,
            scored=True,
            **batch.image_inputs,
        )
    assert torch.equal(values[batch.mask], expected[:, 0])
    assert torch.equal(logps[batch.mask], alone.flatten()[ends])


def test_what_is_saved_knows_no_critic(scene: Scene) -> None:
    state = {name: p for name, p in scene.model.named_parameters() if p.requires_grad}
    kept = without_critic(scene.model, state)
    assert 0 < len(kept) < len(state)
    assert kept.keys() == {name for name, p in scene.model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("lora", [None, LORA], ids=["full", "lora"])
def test_a_whole_run_with_a_critic_leaves_a_policy(
    base: Path, reward: Path, tmp_path: Path, lora: dict[str, int] | None
) -> None:
    from safetensors.torch import load_file
    from transformers import AutoModelForImageTextToText

    from spavl.stages.training.made import Source
    from spavl.stages.training.ppo.run import train_ppo

    ppo = {"critic": "separate", "prompts_per_iteration": 4, "minibatch_size": 4, "max_new_tokens": 4}
    source = Source(base, "toy", open_store(f"file://{tmp_path / 'store'}"), reward)
    hooks = Hooks(lambda *_: None, lambda *_: None, lambda: False)
    made = train_ppo(
        toy_pairs(tmp_path / "images", 8), [], source, settings(base, lora=lora, ppo=ppo, learning_rate=1e-3),
        tmp_path / "ppo", None, hooks,
    )  # fmt: skip
    assert made.model is not None
    _, report = AutoModelForImageTextToText.from_pretrained(made.model, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    if lora:
        assert made.adapter is not None
        assert not [name for name in load_file(made.adapter / "adapter_model.safetensors") if CRITIC in name]
    assert {row.name for row in made.rows} >= {"value/loss", "reward"}
