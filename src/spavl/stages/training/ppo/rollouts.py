"""Rollouts: the policy's own answers to prompts, what they are worth, and what policy and reference say about them.

All that training needs is computed once, here, with the weights of the policy before its update.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spavl.learning.pictures import Pictures
from spavl.learning.positions import with_answer
from spavl.learning.steps import EncodedPair
from spavl.learning.tree import NO_ANSWER, NOT_SCORED, Forward, PlainSequence
from spavl.records import stable_hash
from spavl.stages.training.ppo.advantages import (
    explained_variance,
    generalized_advantages,
    token_rewards,
    whiten,
)
from spavl.stages.training.ppo.policy import AnswerBatch, batch_of, read_policy, read_reference
from spavl.stages.training.ppo.sampling import Answer, Vocabulary, prompt_key, sample_answers
from spavl.stages.training.ppo.scoring import Scorer
from spavl.stages.training.ppo.settings import PpoSettings

if TYPE_CHECKING:
    import numpy as np
    import torch


@dataclass(frozen=True)
class Prompt:
    """What the policy is asked: one question about one image."""

    id: str
    image: str
    input_ids: np.ndarray  # [prompt] int64, image tokens expanded
    positions: np.ndarray  # [P, prompt] int64

    def sequence(self, answer_ids: Sequence[int]) -> PlainSequence:
        """The prompt followed by an answer."""
        import numpy as np

        ids = np.concatenate([self.input_ids, np.asarray(answer_ids, dtype=np.int64)])
        return PlainSequence(0, ids, len(self.input_ids), with_answer(self.positions, len(answer_ids)))


@dataclass(frozen=True)
class Rollout:
    """One answer and everything that is computed about it before the policy's update; arrays [tokens] float32."""

    number: int  # within its iteration
    answer: Answer
    logps: np.ndarray
    ref_logps: np.ndarray
    values: np.ndarray
    scores: tuple[float, ...]  # the scorer's outputs


@dataclass(frozen=True)
class Experience:
    """The rollouts of one iteration, of all ranks, as float32 tensors on the CPU; rows by number."""

    rollouts: list[Rollout]
    mask: torch.Tensor  # [N, T] bool
    logps: torch.Tensor  # [N, T], of the policy that sampled
    ref_logps: torch.Tensor  # [N, T]
    values: torch.Tensor  # [N, T]
    entropies: torch.Tensor  # [N, T]
    scores: torch.Tensor  # [N], what the last token earns besides KL
    advantages: torch.Tensor  # [N, T], whitened
    returns: torch.Tensor  # [N, T]
    explained_variance: float | None

    @property
    def kl_per_answer(self) -> float:
        """Mean KL to the reference of a whole answer, nats."""
        return float((self.logps - self.ref_logps).sum() / len(self.rollouts))


@dataclass(frozen=True)
class Sampler:
    """What makes rollouts, besides the policy."""

    settings: PpoSettings
    pictures: Pictures
    scorer: Scorer
    vocabulary: Vocabulary
    frozen: Any = None  # the reference, where the policy has no adapters
    critic_pictures: Pictures | None = None  # where values come from a critic of its own


def prompts_of(pairs: Sequence[EncodedPair], max_tokens: int) -> tuple[list[Prompt], int]:
    """The prompts of pairs, each once, in the order of their ids, and how many were left out as longer than `max_tokens`.

    An id is a hash of image and tokens. The longest answer must still fit behind the longest prompt.
    """
    import numpy as np

    prompts = {}
    for pair in pairs:
        prompt_id = stable_hash("prompt", pair.image, pair.prompt_ids.tolist())
        plain = np.arange(len(pair.prompt_ids))[None]
        positions = plain if pair.prompt_positions is None else pair.prompt_positions
        prompts[prompt_id] = Prompt(prompt_id, pair.image, pair.prompt_ids, positions)
    short = [prompts[name] for name in sorted(prompts) if len(prompts[name].input_ids) <= max_tokens]
    return short, len(prompts) - len(short)


def prompt_batch(prompts: Sequence[Prompt], pad_id: int) -> AnswerBatch:
    """Prompts without answers, padded on the left, as generation wants them; nothing in it is scored."""
    import torch

    width = max(len(prompt.input_ids) for prompt in prompts)
    input_ids = torch.full((len(prompts), width), pad_id)
    attention_mask = torch.zeros_like(input_ids)
    positions = torch.zeros(len(prompts[0].positions), len(prompts), width, dtype=torch.int64)
    for row, prompt in enumerate(prompts):
        here = slice(width - len(prompt.input_ids), None)
        input_ids[row, here] = torch.as_tensor(prompt.input_ids)
        attention_mask[row, here] = 1
        positions[:, row, here] = torch.as_tensor(prompt.positions)
    forward = Forward(
        input_ids,
        attention_mask,
        positions[0] if len(positions) == 1 else positions,
        torch.full_like(input_ids, NOT_SCORED),
        torch.full_like(input_ids, NO_ANSWER),
        [prompt.image for prompt in prompts],
    )
    nothing = torch.zeros(len(prompts), 0, dtype=torch.int64)
    return AnswerBatch(forward, nothing, nothing.bool())


def sample(model: Any, prompts: Sequence[Prompt], keys: Sequence[int], sampler: Sampler) -> list[Answer]:
    """The policy's answers to one batch of prompts; the model is in evaluation mode."""
    import torch

    device = next(model.parameters()).device
    batch = sampler.pictures.attach(prompt_batch(prompts, sampler.vocabulary.pad_id)).to(device)
    tokens = {name: getattr(batch.forward, name) for name in ("input_ids", "attention_mask", "position_ids")}
    settings = sampler.settings
    with torch.autocast(device.type, torch.bfloat16, enabled=settings.bf16):
        arguments = sampler.pictures.arguments(model, batch)
        return sample_answers(model, tokens, arguments, keys, sampler.vocabulary, settings.max_new_tokens)


def assess(
    model: Any, prompts: Sequence[Prompt], answers: Sequence[Answer], numbers: Sequence[int], sampler: Sampler
) -> list[Rollout]:
    """Rollouts of one batch of answers: scores, and log-probabilities and values before the update."""
    import torch

    batch = _answer_batch(model, prompts, answers, sampler)
    settings = sampler.settings
    with torch.no_grad(), torch.autocast(batch.mask.device.type, torch.bfloat16, enabled=settings.bf16):
        logps, values = read_policy(model, batch, sampler.pictures, sampler.critic_pictures)
        ref_logps = read_reference(model, sampler.frozen, batch, sampler.pictures)
    scores = sampler.scorer.scores(batch, answers).float().tolist()
    arrays = [tensor.float().cpu().numpy() for tensor in (logps, ref_logps, values)]
    return [
        Rollout(number, answer, *(array[row, : len(answer.ids)] for array in arrays), tuple(scores[row]))
        for row, (number, answer) in enumerate(zip(numbers, answers, strict=True))
    ]


def scored(
    model: Any, prompts: Sequence[Prompt], answers: Sequence[Answer], sampler: Sampler
) -> list[list[float]]:
    """The scorer's outputs for each answer, and nothing else."""
    return sampler.scorer.scores(_answer_batch(model, prompts, answers, sampler), answers).float().tolist()


def _answer_batch(
    model: Any, prompts: Sequence[Prompt], answers: Sequence[Answer], sampler: Sampler
) -> AnswerBatch:
    """Prompts with their answers, on the model's device."""
    sequences = [prompt.sequence(answer.ids) for prompt, answer in zip(prompts, answers, strict=True)]
    images = [prompt.image for prompt in prompts]
    batch = sampler.pictures.attach(batch_of(sequences, images, sampler.vocabulary.pad_id))
    return batch.to(next(model.parameters()).device)


def keys_of(prompts: Sequence[Prompt], epochs: Sequence[int], seed: int) -> list[int]:
    """The keys of the sampling noise: another one in every pass over the prompts."""
    return [prompt_key(seed, prompt.id, epoch) for prompt, epoch in zip(prompts, epochs, strict=True)]


def experience_of(rollouts: Sequence[Rollout], sampler: Sampler, kl_coef: float) -> Experience:
    """All rollouts of an iteration, with advantages that are whitened over all of their tokens."""
    import torch

    settings = sampler.settings
    rollouts = sorted(rollouts, key=lambda rollout: rollout.number)
    mask = _mask([len(rollout.answer.ids) for rollout in rollouts])
    logps, ref_logps, values, entropies = (
        torch.zeros(mask.shape).masked_scatter(mask, torch.cat([torch.as_tensor(array) for array in arrays]))
        for arrays in (
            [rollout.logps for rollout in rollouts],
            [rollout.ref_logps for rollout in rollouts],
            [rollout.values for rollout in rollouts],
            [torch.tensor(rollout.answer.entropies) for rollout in rollouts],
        )
    )
    scores = torch.tensor([_score(rollout, sampler) for rollout in rollouts])
    rewards = token_rewards(logps, ref_logps, mask, scores, kl_coef)
    advantages, returns = generalized_advantages(rewards, values, mask, settings.gamma, settings.lam)
    whitened = whiten(advantages, mask, shifts_mean=settings.shifts_advantages)
    explained = explained_variance(values, returns, mask)
    return Experience(
        list(rollouts), mask, logps, ref_logps, values, entropies, scores, whitened, returns, explained
    )


def _score(rollout: Rollout, sampler: Sampler) -> float:
    of = dict(zip(sampler.scorer.outputs, rollout.scores, strict=True))
    score = of["reward"] - sampler.settings.cost_weight * of.get("cost", 0.0)
    return score - (0.0 if rollout.answer.is_stopped else sampler.settings.missing_eos_penalty)


def _mask(lengths: Sequence[int]) -> torch.Tensor:
    import torch

    return torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
