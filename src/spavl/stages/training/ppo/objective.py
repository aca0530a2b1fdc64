"""PPO as an objective: every few steps the policy answers prompts, then each step trains on some of those answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from spavl.learning.objective import StepLoss
from spavl.stages.training.ppo import schedule
from spavl.stages.training.ppo.losses import AdaptiveKl, FixedKl, kl_k3, policy_losses, value_losses
from spavl.stages.training.ppo.policy import (
    AnswerBatch,
    batch_of,
    check_dropout,
    check_reference,
    read_policy,
)
from spavl.stages.training.ppo.rollouts import (
    Experience,
    Prompt,
    Rollout,
    Sampler,
    assess,
    experience_of,
    keys_of,
    sample,
)

if TYPE_CHECKING:
    import torch

Sums = dict[str, tuple["torch.Tensor | float", "torch.Tensor | float"]]


@dataclass(frozen=True)
class Minibatch:
    """Some answers of a step, by number: forwards are asked for before their answers are sampled."""

    step: int
    numbers: tuple[int, ...]
    weight: float  # 0 for a filler

    def to(self, device: Any) -> Minibatch:
        """The same: its tensors are made in `loss`."""
        return self


class PpoObjective:
    """An `Objective` with a state; the model has scores, and a value head (`add_value_head`) or a critic (`add_critic`)."""

    def __init__(self, prompts: Sequence[Prompt], sampler: Sampler) -> None:
        if not prompts:
            raise ValueError("PPO needs prompts")
        self._prompts = list(prompts)
        self._sampler = sampler
        self._settings = settings = sampler.settings
        target = settings.kl_target
        self._kl = FixedKl(settings.kl_coef) if target is None else AdaptiveKl(settings.kl_coef, target)
        self._iteration = -1  # whose experience is held
        self._experience: Experience | None = None

    @property
    def num_steps(self) -> int:
        iterations = schedule.num_iterations(len(self._prompts), self._settings)
        return iterations * self._settings.steps_per_iteration

    @property
    def experience(self) -> Experience | None:
        """What is trained on now."""
        return self._experience

    def epoch_of(self, step: int) -> float:
        sampled = step / self._settings.steps_per_iteration * self._settings.prompts_per_iteration
        return sampled / len(self._prompts)

    def may_save_after(self, step: int) -> bool:
        """Between iterations: answers are in no checkpoint."""
        return step % self._settings.steps_per_iteration == 0

    def state(self) -> dict[str, Any]:
        """The KL coefficient of the next iteration."""
        return {"kl_coef": self._next_kl().coef}

    def restore(self, state: Mapping[str, Any]) -> None:
        if "kl_coef" not in state:
            raise ValueError("the checkpoint holds no KL coefficient")
        self._kl = replace(self._kl, coef=state["kl_coef"])

    def forwards(self, step: int, rank: int, num_ranks: int) -> list[Minibatch]:
        numbers = schedule.answers_of_step(step, self._settings)
        batches = schedule.share(numbers, rank, num_ranks, self._settings.micro_batch_size)
        return [Minibatch(step, tuple(numbers), float(counts)) for numbers, counts in batches]

    def before_step(self, model: Any, step: int) -> None:
        """Make the iteration's rollouts where `step` begins one; raises UserError for a policy that PPO cannot train."""
        iteration, place = divmod(step, self._settings.steps_per_iteration)
        if place:
            if iteration != self._iteration:
                raise ValueError(f"step {step} is inside iteration {iteration}, whose answers are not held")
            return
        check_dropout(model)
        check_reference(model, self._sampler.frozen)
        self._kl = self._next_kl()
        was_training = model.training
        # training mode may recompute activations, and then keeps no keys and values
        model.eval()
        rollouts = gathered(self._rollouts(model, iteration))
        model.train(was_training)
        self._experience = experience_of(rollouts, self._sampler, self._kl.coef)
        self._iteration = iteration

    def batch(self, rows: Sequence[int]) -> AnswerBatch:
        """The answers with these numbers, one by one, on the CPU."""
        assert self._experience is not None, "before_step comes first"
        chosen = schedule.prompts_of_iteration(self._iteration, len(self._prompts), self._settings)
        prompts = [self._prompts[chosen[row][0]] for row in rows]
        answers = [self._experience.rollouts[row].answer for row in rows]
        sequences = [prompt.sequence(answer.ids) for prompt, answer in zip(prompts, answers, strict=True)]
        images = [prompt.image for prompt in prompts]
        return self._sampler.pictures.attach(batch_of(sequences, images, self._sampler.vocabulary.pad_id))

    def loss(self, model: Any, forward: Minibatch) -> StepLoss:
        """The loss of some answers: the clipped policy loss and `value_weight` times the clipped value loss."""
        batch = self.batch(forward.numbers).to(next(model.parameters()).device)
        return self.loss_of(model, forward, batch)

    def loss_of(self, model: Any, forward: Minibatch, batch: AnswerBatch) -> StepLoss:
        """The same from the answers laid out in any way, on the model's device."""
        settings, experience = self._settings, self._experience
        assert experience is not None, "before_step comes first"
        rows = list(forward.numbers)
        logps, values = read_policy(model, batch, self._sampler.pictures, self._sampler.critic_pictures)
        width = batch.mask.shape[1]
        old_logps, old_values, advantages, returns = (
            tensor[rows, :width].to(logps.device)
            for tensor in (experience.logps, experience.values, experience.advantages, experience.returns)
        )
        of_policy, is_clipped = policy_losses(logps, old_logps, advantages, settings.clip)
        of_value = value_losses(values, old_values, returns, settings.value_clip)
        # off the mask every tensor is 0, and so is every loss
        per_token = of_policy + settings.value_weight * of_value
        num_step_tokens = experience.mask[schedule.answers_of_step(forward.step, settings)].sum()
        sums = {
            "policy/loss": of_policy,
            "policy/clip_fraction": is_clipped.float(),
            "policy/kl_of_update": kl_k3(old_logps, logps),
            "value/loss": of_value,
        }
        tokens = forward.weight * batch.mask.sum()
        of_update = {name: (forward.weight * losses.detach().sum(), tokens) for name, losses in sums.items()}
        loss = per_token.sum() * forward.weight / num_step_tokens
        return StepLoss(
            loss,
            of_update | self._sums(rows, forward.weight),
            num_samples=forward.weight * len(rows),
            num_tokens=float(tokens),
        )

    def _next_kl(self) -> FixedKl | AdaptiveKl:
        return self._kl if self._experience is None else self._kl.after(self._experience.kl_per_answer)

    def _rollouts(self, model: Any, iteration: int) -> list[Rollout]:
        """This rank's part of an iteration."""
        settings = self._settings
        chosen = schedule.prompts_of_iteration(iteration, len(self._prompts), settings)
        prompts = [self._prompts[number] for number, _ in chosen]
        keys = keys_of(prompts, [epoch for _, epoch in chosen], settings.seed)
        # like lengths together, so that little is padded
        order = sorted(range(len(prompts)), key=lambda number: -len(prompts[number].input_ids))
        answers = {}
        for numbers, _ in schedule.share(order, *_place(), settings.sampling_batch_size):
            made = sample(model, [prompts[n] for n in numbers], [keys[n] for n in numbers], self._sampler)
            answers |= dict(zip(numbers, made, strict=True))
        rollouts = []
        for numbers, counts in schedule.share(order, *_place(), settings.micro_batch_size):
            of_batch = [prompts[n] for n in numbers], [answers[n] for n in numbers]
            made = assess(model, *of_batch, numbers, self._sampler)
            rollouts += made if counts else []
        return rollouts

    def _sums(self, rows: Sequence[int], weight: float) -> Sums:
        """What these answers add to the metrics of sampling: means over answers, or over their tokens."""
        experience = self._experience
        mask = experience.mask[rows]
        rollouts = [experience.rollouts[row] for row in rows]
        num_answers, num_tokens = weight * len(rows), weight * mask.sum()
        logps, ref_logps = experience.logps[rows], experience.ref_logps[rows]
        sums: Sums = {
            "kl": (weight * kl_k3(logps, ref_logps).sum(), num_tokens),
            "kl/per_answer": (weight * (logps - ref_logps).sum(), num_answers),
            "kl/coef": (num_answers * self._kl.coef, num_answers),
            "entropy": (weight * experience.entropies[rows].sum(), num_tokens),
            "score": (weight * experience.scores[rows].sum(), num_answers),
            "answer/tokens": (num_tokens, num_answers),
            "answer/unstopped": (weight * sum(not of.answer.is_stopped for of in rollouts), num_answers),
        }
        for number, name in enumerate(self._sampler.scorer.outputs):
            sums[name] = (weight * sum(of.scores[number] for of in rollouts), num_answers)
        explained = experience.explained_variance
        sums["value/explained_variance"] = (
            (0.0, 0.0) if explained is None else (num_answers * explained, num_answers)
        )
        return sums


def gathered(rollouts: list[Rollout]) -> list[Rollout]:
    """The rollouts of all ranks, on every rank: so whitening and steps are the same for any number of ranks."""
    import torch

    _, num_ranks = _place()
    if num_ranks == 1:
        return rollouts
    of_ranks: list[Any] = [None] * num_ranks
    torch.distributed.all_gather_object(of_ranks, rollouts)
    return [rollout for of_rank in of_ranks for rollout in of_rank]


def _place() -> tuple[int, int]:
    """Rank and number of ranks."""
    import torch

    if not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return 0, 1
    return torch.distributed.get_rank(), torch.distributed.get_world_size()
