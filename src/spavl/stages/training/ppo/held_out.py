"""What a trained policy answers to prompts that it was not trained on, beside what its reference answers with the same noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from spavl.learning.objective import StepLoss
from spavl.stages.training.ppo import schedule
from spavl.stages.training.ppo.objective import Minibatch
from spavl.stages.training.ppo.policy import reference_of
from spavl.stages.training.ppo.rollouts import Prompt, Rollout, Sampler, assess, sample, scored
from spavl.stages.training.ppo.sampling import prompt_key

PROMPTS_AT_ONCE = 256  # on all ranks together


class HeldOut:
    """An `Objective` to be evaluated only: means over answers, of entropy over tokens."""

    def __init__(self, prompts: Sequence[Prompt], sampler: Sampler) -> None:
        self._prompts = list(prompts)
        self._sampler = sampler

    @property
    def num_steps(self) -> int:
        return math.ceil(len(self._prompts) / PROMPTS_AT_ONCE)

    def epoch_of(self, step: int) -> float:
        return step * PROMPTS_AT_ONCE / len(self._prompts)

    def may_save_after(self, step: int) -> bool:
        return True

    def before_step(self, model: Any, step: int) -> None:
        """Every forward samples for itself."""

    def forwards(self, step: int, rank: int, num_ranks: int) -> list[Minibatch]:
        numbers = range(len(self._prompts))[step * PROMPTS_AT_ONCE :][:PROMPTS_AT_ONCE]
        batches = schedule.share(numbers, rank, num_ranks, self._sampler.settings.sampling_batch_size)
        return [Minibatch(step, tuple(numbers), float(counts)) for numbers, counts in batches]

    def loss(self, model: Any, forward: Minibatch) -> StepLoss:
        """Answers of policy and reference to some prompts; there is nothing to differentiate."""
        import torch

        prompts = [self._prompts[number] for number in forward.numbers]
        keys = [prompt_key(self._sampler.settings.seed, prompt.id, "held out") for prompt in prompts]
        answers = sample(model, prompts, keys, self._sampler)
        rollouts = assess(model, prompts, answers, forward.numbers, self._sampler)
        with reference_of(model, self._sampler.frozen) as reference:
            of_reference = scored(
                reference, prompts, sample(reference, prompts, keys, self._sampler), self._sampler
            )
        sums = self._sums(rollouts, forward.weight)
        for number, name in enumerate(self._sampler.scorer.outputs):
            sums[f"reference/{name}"] = _mean([scores[number] for scores in of_reference], forward.weight)
        return StepLoss(torch.tensor(0.0), sums)

    def _sums(self, rollouts: Sequence[Rollout], weight: float) -> dict[str, tuple[float, float]]:
        kls = [of.logps - of.ref_logps for of in rollouts]
        sums = {
            "kl/per_answer": _mean([float(kl.sum()) for kl in kls], weight),
            "entropy": _mean([entropy for of in rollouts for entropy in of.answer.entropies], weight),
            "answer/tokens": _mean([len(of.answer.ids) for of in rollouts], weight),
            "answer/unstopped": _mean([not of.answer.is_stopped for of in rollouts], weight),
        }
        for number, name in enumerate(self._sampler.scorer.outputs):
            sums[name] = _mean([of.scores[number] for of in rollouts], weight)
        return sums


def _mean(values: Sequence[float], weight: float) -> tuple[float, float]:
    """Sum and weight of a metric that is a mean over `values`."""
    return weight * math.fsum(values), weight * len(values)
