"""PPO as an objective: what its first step is by hand, when it samples, when it may be saved, what it counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.toy_ppo import ByRule, Scene, build_scene

from spavl.learning.heads import head_of
from spavl.stages.training.ppo.objective import PpoObjective
from spavl.stages.training.ppo.rollouts import keys_of, sample
from spavl.stages.training.ppo.schedule import prompts_of_iteration

SIZES = {"prompts_per_iteration": 4, "minibatch_size": 2, "micro_batch_size": 2}
STOPS = range(260, 300)  # a tenth of the words


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """The policy's value head is zero, as training begins."""
    made = build_scene("llava_llama", tmp_path_factory.mktemp("pictures"))
    head_of(made.model).weight.data.zero_()
    return made


def objective(scene: Scene, scorer: Any = None, **settings: Any) -> PpoObjective:
    """Its reference is the policy itself, as training begins."""
    sampler = scene.sampler(scorer, scene.model, STOPS, **{**SIZES, **settings})
    return PpoObjective(scene.prompts, sampler)


def step_of(made: PpoObjective, model: Any, step: int) -> tuple[float, dict[str, float]]:
    """Loss and metrics of a step; gradients stay in the model."""
    made.before_step(model, step)
    model.zero_grad()
    total, sums = 0.0, {}
    for forward in made.forwards(step, 0, 1):
        found = made.loss(model, forward)
        found.loss.backward()
        total += found.loss.item()
        for name, (value, weight) in found.sums.items():
            before = sums.get(name, (0.0, 0.0))
            sums[name] = before[0] + float(value), before[1] + float(weight)
    return total, {name: value / weight for name, (value, weight) in sums.items() if weight}


def test_the_first_step_by_hand(scene: Scene) -> None:
    # policy = reference and values are 0, so KL is 0, ratios are 1, and every token's return is its answer's score
    made = objective(scene, minibatch_size=4, cost_weight=0.5, missing_eos_penalty=2.0)
    loss, metrics = step_of(made, scene.model, 0)
    answers = [rollout.answer for rollout in made.experience.rollouts]
    rewards = [np.mean([token % 2 == 0 for token in answer.ids]) for answer in answers]
    costs = [len(answer.ids) / 10 for answer in answers]
    unstopped = [not answer.is_stopped for answer in answers]
    assert 0 < sum(unstopped) < 4
    scores = [r - 0.5 * c - 2.0 * u for r, c, u in zip(rewards, costs, unstopped, strict=True)]
    lengths = np.array([len(answer.ids) for answer in answers])
    of_tokens = np.repeat(scores, lengths)
    white = (of_tokens - of_tokens.mean()) / of_tokens.std()
    value_loss = 0.5 * np.mean(of_tokens**2)
    assert loss == pytest.approx(-white.mean() + 0.1 * value_loss, abs=1e-5)
    expected = {
        "reward": np.mean(rewards),
        "cost": np.mean(costs),
        "score": np.mean(scores),
        "answer/tokens": lengths.mean(),
        "answer/unstopped": np.mean(unstopped),
        "entropy": np.mean([entropy for answer in answers for entropy in answer.entropies]),
        "value/loss": value_loss,
        "value/explained_variance": 0.0,
        "kl/coef": 0.1,
    }
    assert {name: metrics[name] for name in expected} == pytest.approx(expected, rel=1e-5, abs=1e-6)
    nothing = ["kl", "kl/per_answer", "policy/clip_fraction", "policy/kl_of_update", "policy/loss"]
    assert [metrics[name] for name in nothing] == pytest.approx([0.0] * 5, abs=1e-6)


def test_the_first_gradient_is_that_of_the_policy_gradient(scene: Scene) -> None:
    made = objective(scene, minibatch_size=4, value_weight=0.0)
    step_of(made, scene.model, 0)
    seen = {
        n: p.grad.clone() for n, p in scene.model.named_parameters() if p.requires_grad and "scalar" not in n
    }
    # - sum over tokens of advantage * grad log p, over the number of tokens, from plain logits
    experience = made.experience
    scene.model.zero_grad()
    total = torch.zeros(())
    chosen = prompts_of_iteration(0, len(scene.prompts), made._settings)
    for row, rollout in enumerate(experience.rollouts):
        prompt = scene.prompts[chosen[row][0]]
        ids = torch.tensor([[*prompt.input_ids.tolist(), *rollout.answer.ids]])
        image = scene.pictures.attach(made.batch([row])).image_inputs
        logps = scene.model(input_ids=ids, **image).logits[0, len(prompt.input_ids) - 1 : -1].log_softmax(-1)
        of_answer = logps.gather(1, torch.tensor(rollout.answer.ids)[:, None])[:, 0]
        total = total - (experience.advantages[row, : len(of_answer)] * of_answer).sum()
    (total / experience.mask.sum()).backward()
    expected = {n: p.grad for n, p in scene.model.named_parameters() if n in seen}
    assert max(float((seen[n] - g).norm() / g.norm()) for n, g in expected.items()) <= 1e-4


def test_answers_are_sampled_once_for_all_steps_of_an_iteration(scene: Scene) -> None:
    scorer = ByRule()
    made = objective(scene, scorer, passes_per_iteration=3)
    for step in range(12):
        made.before_step(scene.model, step)
        if step % 6 == 0:
            assert sum(scorer.asked) == 4 * (step // 6 + 1)
    assert sum(scorer.asked) == 8


def test_a_prompt_that_comes_again_gets_another_answer(scene: Scene) -> None:
    made = objective(scene, num_epochs=2, prompts_per_iteration=9, minibatch_size=9)
    of_epochs = []
    for step in (0, 1):
        made.before_step(scene.model, step)
        chosen = prompts_of_iteration(step, 9, made._settings)
        of_epochs.append(
            {n: r.answer.ids for (n, _), r in zip(chosen, made.experience.rollouts, strict=True)}
        )
    assert all(of_epochs[0][number] != of_epochs[1][number] for number in range(9))


def test_an_iteration_can_be_gone_on_from_with_the_weights_alone(scene: Scene) -> None:
    going, resumed = objective(scene), objective(scene)
    for step in (0, 1, 2):
        going.before_step(scene.model, step)
    resumed.before_step(scene.model, 2)
    assert torch.equal(going.experience.logps, resumed.experience.logps)
    assert [r.answer for r in going.experience.rollouts] == [r.answer for r in resumed.experience.rollouts]
    with pytest.raises(ValueError, match="not held"):
        objective(scene).before_step(scene.model, 3)


def test_checkpoints_are_between_iterations(scene: Scene) -> None:
    # 9 prompts in iterations of 4: three iterations of two steps
    made = objective(scene)
    assert made.num_steps == 6
    assert [step for step in range(1, 7) if made.may_save_after(step)] == [2, 4, 6]
    assert made.epoch_of(2) == pytest.approx(4 / 9)


def test_an_adaptive_coefficient_moves(scene: Scene) -> None:
    made = objective(scene, kl_target=6.0)
    assert step_of(made, scene.model, 0)[1]["kl/coef"] == pytest.approx(0.1)
    # the KL was 0, far below its target
    assert step_of(made, scene.model, 2)[1]["kl/coef"] == pytest.approx(0.1 * 0.98)
    fixed = objective(scene)
    assert [step_of(fixed, scene.model, step)[1]["kl/coef"] for step in (0, 2)] == pytest.approx([0.1, 0.1])


def test_an_adaptive_coefficient_is_that_of_the_next_iteration_in_a_checkpoint(scene: Scene) -> None:
    going, resumed = objective(scene, kl_target=6.0), objective(scene, kl_target=6.0)
    assert [step for step in range(1, 7) if going.may_save_after(step)] == [2, 4, 6]
    step_of(going, scene.model, 0)
    resumed.restore(json.loads(json.dumps(going.state())))
    of_next = [step_of(made, scene.model, 2)[1]["kl/coef"] for made in (going, resumed)]
    assert of_next[0] == of_next[1] == pytest.approx(0.1 * 0.98)
    with pytest.raises(ValueError, match="no KL coefficient"):
        resumed.restore({})


def test_forwards_need_no_answers_yet_and_count_every_answer_once_on_any_number_of_ranks(
    scene: Scene,
) -> None:
    made = objective(scene, prompts_per_iteration=9, minibatch_size=9)
    for num_ranks in (1, 2, 4):
        of_ranks = [made.forwards(0, rank, num_ranks) for rank in range(num_ranks)]
        assert len({len(forwards) for forwards in of_ranks}) == 1
        counted = [
            n for forwards in of_ranks for forward in forwards if forward.weight for n in forward.numbers
        ]
        assert sorted(counted) == list(range(9))


def test_ranks_gradients_add_up_to_the_step(scene: Scene) -> None:
    made = objective(scene, prompts_per_iteration=9, minibatch_size=9)
    step_of(made, scene.model, 0)
    whole = {n: p.grad.clone() for n, p in scene.model.named_parameters() if p.requires_grad}
    scene.model.zero_grad()
    for rank in range(4):
        for forward in made.forwards(0, rank, 4):
            made.loss(scene.model, forward).loss.backward()
    for name, parameter in scene.model.named_parameters():
        if name in whole:
            assert float((parameter.grad - whole[name]).norm()) <= 1e-5 * float(whole[name].norm())


def test_sampling_leaves_the_model_in_the_mode_it_was_in(scene: Scene) -> None:
    scene.model.train()
    objective(scene).before_step(scene.model, 0)
    assert scene.model.training
    scene.model.eval()


def test_metrics_have_the_same_names_whatever_the_answers(scene: Scene) -> None:
    # explained variance has no value where all returns are alike, and then no weight
    made = objective(scene, ByRule(("reward",)), max_new_tokens=1, kl_coef=0.0)
    made.before_step(scene.model, 0)
    names = {frozenset(made.loss(scene.model, forward).sums) for forward in made.forwards(0, 0, 1)}
    assert len(names) == 1
    assert {"value/explained_variance", "reward", "kl"} <= next(iter(names))
    assert "cost" not in next(iter(names))


def test_sampling_is_by_the_policy_as_it_is_now(scene: Scene) -> None:
    made = objective(scene)
    made.before_step(scene.model, 0)
    chosen = prompts_of_iteration(0, 9, made._settings)
    prompts = [scene.prompts[number] for number, _ in chosen]
    keys = keys_of(prompts, [0] * 4, seed=0)
    again = sample(scene.model, prompts, keys, made._sampler)
    assert [rollout.answer.ids for rollout in made.experience.rollouts] == [answer.ids for answer in again]


def test_a_reward_model_scores_the_tokens_that_the_policy_gave(scene: Scene, tmp_path: Path) -> None:
    from spavl.learning.reward_model import RewardModel, answer_scores, prepare_reward_model
    from spavl.stages.training.ppo.scoring import ByRewardModel

    other = build_scene("llava_llama", tmp_path, seed=4, has_values=False)
    prepare_reward_model(other.model, ("reward", "cost"), seed=2)
    reward_model = RewardModel(other.model.eval(), other.vlm.processor, ("reward", "cost"))
    made = objective(scene, ByRewardModel(reward_model, other.pictures))
    made.before_step(scene.model, 0)
    for row, rollout in enumerate(made.experience.rollouts):
        batch = made.batch([row])
        expected = answer_scores(other.model, batch.forward, batch.image_inputs, 1)[0].tolist()
        assert rollout.scores == pytest.approx(expected, rel=1e-4)
        assert batch.forward.input_ids[0, -1] == rollout.answer.ids[-1]


def test_a_reward_model_that_reads_otherwise_is_refused(scene: Scene, tmp_path: Path) -> None:
    from tests import tiny_vlms

    from spavl.errors import UserError
    from spavl.stages.training.ppo.scoring import check_same_reading

    own, other = scene.vlm.processor, tiny_vlms.build("llava_llama").processor
    check_same_reading(own, other)
    other.chat_template += " "
    other.image_processor.size = {"shortest_edge": 16}
    with pytest.raises(UserError, match="chat template and image processor differ"):
        check_same_reading(own, other)
    with pytest.raises(UserError, match="image processor"):
        check_same_reading(own, tiny_vlms.build("qwen2_vl").processor)
