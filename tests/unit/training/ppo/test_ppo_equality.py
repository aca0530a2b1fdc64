"""PPO at any batch size, padding side and layout: the same log-probs, values, advantages and gradients.

The reference code of SPA-VL is right at batch 1 only. Here the same stored answers, of unequal prompts and lengths, are read
at micro-batch 1 and 8. Measured largest errors on three architectures, relative
by norm: log-probs 2e-7, values 7e-7, advantages 8e-7, gradients 4e-6.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from tests.toy_ppo import Scene, build_scene, build_scene_with_critic

from spavl.learning.objective import StepLoss
from spavl.stages.training.ppo.critic import CRITIC
from spavl.stages.training.ppo.objective import PpoObjective
from spavl.stages.training.ppo.policy import AnswerBatch, as_batch
from spavl.stages.training.ppo.rollouts import Experience

EXACT = 1e-5  # relative, float32
SIZES = {"prompts_per_iteration": 8, "minibatch_size": 8, "max_new_tokens": 40, "sampling_batch_size": 3}
STOPS = range(260, 300)  # a tenth of the words


@pytest.fixture(
    scope="module",
    params=[
        ("llava_llama", False),
        ("qwen2_vl", False),
        ("idefics3", False),
        ("llava_llama", True),
        ("qwen2_vl", True),
    ],
    ids=lambda param: param[0] + ("-critic" if param[1] else ""),
)
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    name, has_critic = request.param
    build = build_scene_with_critic if has_critic else build_scene
    return build(name, tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def frozen(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return build_scene(scene.vlm.name, tmp_path_factory.mktemp("frozen"), seed=1).model


@dataclass
class Made:
    """What one way of cutting and padding gives."""

    experience: Experience
    loss: float
    gradients: dict[str, torch.Tensor]
    sums: dict[str, tuple[float, float]]


def on_the_left(batch: AnswerBatch) -> AnswerBatch:
    """The same rows with their padding on the other side."""
    forward = batch.forward
    shifts = (forward.attention_mask.shape[1] - forward.attention_mask.sum(dim=1)).tolist()

    def moved(tensor: torch.Tensor) -> torch.Tensor:
        rows = [tensor[..., row, :].roll(shift, dims=-1) for row, shift in enumerate(shifts)]
        return torch.stack(rows, dim=-2)

    names = ("input_ids", "attention_mask", "position_ids", "shift_labels", "answers")
    turned = replace(forward, **{name: moved(getattr(forward, name)) for name in names})
    return replace(as_batch(turned, len(batch.mask)), image_inputs=batch.image_inputs)


def make(scene: Scene, frozen: Any, micro_batch_size: int, *, is_left: bool = False) -> Made:
    """The first step of a run; its policy has moved after sampling, so that ratios are not 1."""
    sampler = scene.sampler(frozen=frozen, more_stops=STOPS, micro_batch_size=micro_batch_size, **SIZES)
    if hasattr(scene.model, CRITIC):
        sampler = replace(sampler, critic_pictures=scene.pictures)
    objective = PpoObjective(scene.prompts, sampler)
    objective.before_step(scene.model, 0)
    moved_by(scene.model, 0.02)
    scene.model.zero_grad()
    found: list[StepLoss] = []
    for forward in objective.forwards(0, 0, 1):
        batch = objective.batch(forward.numbers)
        found.append(objective.loss_of(scene.model, forward, on_the_left(batch) if is_left else batch))
        found[-1].loss.backward()
    moved_by(scene.model, -0.02)
    gradients = {n: p.grad.clone() for n, p in scene.model.named_parameters() if p.requires_grad}
    sums = {
        name: tuple(sum(float(of.sums[name][k]) for of in found) for k in (0, 1)) for name in found[0].sums
    }
    return Made(objective.experience, sum(of.loss.item() for of in found), gradients, sums)


def moved_by(model: Any, much: float) -> None:
    drawn = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=drawn), alpha=much)


@pytest.fixture(scope="module")
def alone(scene: Scene, frozen: Any) -> Made:
    return make(scene, frozen, 1)


def relative(mine: torch.Tensor, theirs: torch.Tensor) -> float:
    return float((mine - theirs).norm() / theirs.norm())


def test_the_answers_are_of_unequal_length_and_the_policy_has_moved(alone: Made) -> None:
    lengths = [len(rollout.answer.ids) for rollout in alone.experience.rollouts]
    assert len(set(lengths)) > 3
    assert 0 < alone.sums["policy/clip_fraction"][0] < alone.sums["policy/clip_fraction"][1]
    assert all(gradient.norm() > 0 for gradient in alone.gradients.values())


def test_micro_batch_8_stores_what_micro_batch_1_does(scene: Scene, frozen: Any, alone: Made) -> None:
    together = make(scene, frozen, 8).experience
    assert [of.answer.ids for of in together.rollouts] == [of.answer.ids for of in alone.experience.rollouts]
    assert torch.equal(together.mask, alone.experience.mask)
    for name in ("logps", "ref_logps", "values", "advantages", "returns"):
        assert relative(getattr(together, name), getattr(alone.experience, name)) <= EXACT


@pytest.mark.parametrize("micro_batch_size,is_left", [(8, False), (8, True), (3, False), (1, True)])
def test_the_gradient_is_the_same(
    scene: Scene, frozen: Any, alone: Made, micro_batch_size: int, is_left: bool
) -> None:
    made = make(scene, frozen, micro_batch_size, is_left=is_left)
    assert made.loss == pytest.approx(alone.loss, rel=1e-4)
    errors = [relative(made.gradients[name], gradient) for name, gradient in alone.gradients.items()]
    assert max(errors) <= EXACT
    assert {name: pytest.approx(of, rel=1e-4, abs=1e-5) for name, of in alone.sums.items()} == made.sums


def test_advantages_are_white_over_all_answers_not_within_one(alone: Made) -> None:
    experience = alone.experience
    kept = experience.advantages[experience.mask].double()
    assert float(kept.mean()) == pytest.approx(0.0, abs=1e-6)
    assert float(kept.var(correction=0)) == pytest.approx(1.0, rel=1e-5)
    of_answers = [row[mask].mean() for row, mask in zip(experience.advantages, experience.mask, strict=True)]
    assert max(abs(float(mean)) for mean in of_answers) > 0.1
