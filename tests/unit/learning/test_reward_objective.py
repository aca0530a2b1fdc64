"""The reward objective: a step's loss is the mean over its pairs, however it is cut into forwards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests import tiny_vlms

from spavl.learning.objective import StepLoss
from spavl.learning.pair_steps import Course, PairSteps
from spavl.learning.pictures import Pictures
from spavl.learning.reward_model import answer_scores, prepare_reward_model
from spavl.learning.reward_objective import RewardObjective, RewardTerms
from spavl.learning.steps import EncodedPair, Layout, PairForward

# image, chosen, rejected, margin, class1, labels of chosen and rejected
PAIRS = [
    ("star", "sorry I cannot", "a red square", 1.0, "weapon", False, True),
    ("moon", "a blue square", "sorry", 0.25, "benign", False, None),
    ("sun", "no", "sure a circle", 0.5, "weapon", None, None),
]


class Scene:
    """A tiny model and its three pairs."""

    def __init__(self, folder: Path) -> None:
        self.vlm = tiny_vlms.build("llava_llama")
        prepare_reward_model(self.vlm.model, ("reward", "cost"), seed=1)
        self.model = self.vlm.model
        for image in tiny_vlms.SIDES_PX:
            tiny_vlms.draw_image(image).save(folder / image, "PNG")
        files = {image: folder / image for image in tiny_vlms.SIDES_PX}
        self.pictures = Pictures(self.vlm.processor, self.vlm.prompt("what"), files)
        self.pairs = [self._encoded(*pair) for pair in PAIRS]

    def _encoded(self, image: str, chosen: str, rejected: str, *known: object) -> EncodedPair:
        answers = {"what is shown here": [chosen, rejected]}
        made = self.vlm.sequences(tiny_vlms.draw_image(image), answers)
        num_prompt = made[0].num_prompt
        ids = [np.array(sequence.input_ids) for sequence in made]
        positions = np.array(made[0].positions)[:, :num_prompt]
        return EncodedPair(
            image, image, ids[0][:num_prompt], positions, *(of[num_prompt:] for of in ids), *known
        )

    def steps(self, *, is_tree: bool = False, max_forward_tokens: int = 10_000) -> PairSteps:
        """One step of all pairs."""
        layout = Layout(is_tree, self.vlm.pad_id, self.vlm.image_token_id, max_forward_tokens, "sdpa")
        return PairSteps(self.pairs, Course(1, len(PAIRS), 0, True), layout, self.pictures)

    def objective(self, steps: PairSteps, **terms: float) -> RewardObjective:
        return RewardObjective(steps, self.pictures, ("reward", "cost"), RewardTerms(**terms))

    def losses(self, made: RewardObjective, num_ranks: int = 1) -> list[StepLoss]:
        """Of all forwards on all ranks."""
        return [
            made.loss(self.model, forward)
            for rank in range(num_ranks)
            for forward in made.forwards(0, rank, num_ranks)
        ]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(tmp_path_factory.mktemp("pictures"))


def gradients(model: torch.nn.Module, losses: Sequence[StepLoss]) -> dict[str, torch.Tensor]:
    model.zero_grad()
    torch.stack([found.loss for found in losses]).sum().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.requires_grad}


def added(losses: Sequence[StepLoss]) -> dict[str, tuple[float, float]]:
    names = losses[0].sums.keys()
    return {
        name: (sum(float(of.sums[name][0]) for of in losses), sum(float(of.sums[name][1]) for of in losses))
        for name in names
    }


def scores_of(scene: Scene, forward: PairForward) -> tuple[list[list[float]], list[EncodedPair]]:
    """Scores of every answer, chosen and rejected in turn, and the pairs in that order."""
    arguments = scene.pictures.arguments(scene.model, forward)
    return answer_scores(scene.model, forward.forward, arguments, 6).tolist(), forward.pairs


def test_loss_and_metrics_are_those_computed_by_hand_from_the_scores(scene: Scene) -> None:
    made = scene.objective(scene.steps(), margin_weight=2.0, centering_weight=0.1, cost_weight=0.5)
    (forward,) = made.forwards(0, 0, 1)
    found = made.loss(scene.model, forward)
    scores, pairs = scores_of(scene, forward)
    place = {pair.image: number for number, pair in enumerate(pairs)}
    rewards, costs = [score[0] for score in scores], [score[1] for score in scores]
    chosen, rejected = rewards[0::2], rewards[1::2]
    of_pairs = [
        math.log(1 + math.exp(-(c - r - 2.0 * pair.margin))) + 0.1 * (c + r) ** 2
        for c, r, pair in zip(chosen, rejected, pairs, strict=True)
    ]
    # the star's chosen answer is safe and its rejected one unsafe, the moon's chosen one is safe; no other labels
    safe_star, unsafe_star, safe_moon = (
        costs[2 * place["star"]],
        costs[2 * place["star"] + 1],
        costs[2 * place["moon"]],
    )
    of_costs = sum(math.log(1 + math.exp(x)) for x in (safe_star, -unsafe_star, safe_moon))
    assert found.loss.item() == pytest.approx(sum(of_pairs) / 3 + 0.5 * of_costs / 6, rel=1e-5)
    sums = added([found])
    is_right = {pair.image: float(c > r) for c, r, pair in zip(chosen, rejected, pairs, strict=True)}
    assert sums["rewards/chosen"] == pytest.approx((sum(chosen), 3), rel=1e-5)
    assert sums["rewards/margins"] == pytest.approx((sum(chosen) - sum(rejected), 3), rel=1e-5)
    assert sums["rewards/accuracies"] == (sum(is_right.values()), 3)
    assert sums["rewards/accuracies/weapon"] == (is_right["star"] + is_right["sun"], 2)
    assert sums["rewards/accuracies/benign"] == (is_right["moon"], 1)
    assert sums["cost/loss"] == pytest.approx((of_costs, 3), rel=1e-5)
    assert sums["cost/accuracies"] == ((safe_star <= 0) + (unsafe_star > 0) + (safe_moon <= 0), 3)


@pytest.mark.parametrize("is_tree", [False, True])
@pytest.mark.parametrize("num_ranks", [1, 2, 4])
def test_however_a_step_is_cut_its_gradient_and_metrics_are_the_same(
    scene: Scene, num_ranks: int, is_tree: bool
) -> None:
    terms = {"margin_weight": 1.0, "centering_weight": 0.1}
    whole = scene.losses(scene.objective(scene.steps(), **terms))
    cut = scene.losses(
        scene.objective(scene.steps(is_tree=is_tree, max_forward_tokens=1), **terms), num_ranks
    )
    assert len(whole) == 1 and len(cut) >= 3
    expected, seen = gradients(scene.model, whole), gradients(scene.model, cut)
    assert max(float((seen[n] - g).norm() / g.norm()) for n, g in expected.items()) <= 1e-5
    assert {n: pytest.approx(v, rel=1e-5) for n, v in added(whole).items()} == added(cut)


def test_a_filler_adds_nothing(scene: Scene) -> None:
    made = scene.objective(scene.steps())
    (forward,) = made.forwards(0, 0, 1)
    filler = made.loss(scene.model, replace(forward, weight=0.0))
    assert filler.loss.item() == 0.0
    assert all(not grad.any() for grad in gradients(scene.model, [filler]).values())
    assert all(weight == 0 for _, weight in added([filler]).values())


def test_a_few_steps_teach_the_order_of_the_pairs_and_the_labels(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    made = scene.objective(scene.steps())
    untrained = added(scene.losses(made))
    assert untrained["rewards/accuracies"][0] < 3 and untrained["cost/accuracies"][0] < 3
    optimizer = torch.optim.AdamW([p for p in scene.model.parameters() if p.requires_grad], lr=1e-3)
    for _ in range(12):
        optimizer.zero_grad()
        for found in scene.losses(made):
            found.loss.backward()
        optimizer.step()
    sums = added(scene.losses(made))
    assert sums["rewards/accuracies"] == (3, 3)
    assert sums["cost/accuracies"] == (3, 3)
