"""A whole PPO training: the base as policy with a value head, the reward model that the stage `reward` left, SPA-VL's recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spavl.errors import UserError
from spavl.learning import base_model, trainer
from spavl.learning.heads import without_head
from spavl.learning.limits import Limits
from spavl.learning.pairs import Pair
from spavl.learning.pictures import Pictures
from spavl.learning.preparing import Prepared, prepare_model, prepare_process
from spavl.learning.reward_model import RewardModel, load_reward_model
from spavl.learning.running import evaluated, train_to_end
from spavl.learning.selecting import select
from spavl.stages.training.config import TrainingConfig
from spavl.stages.training.finishing import finish
from spavl.stages.training.made import Aligned, Source
from spavl.stages.training.ppo.critic import add_critic, load_critic, without_critic
from spavl.stages.training.ppo.held_out import HeldOut
from spavl.stages.training.ppo.objective import PpoObjective
from spavl.stages.training.ppo.policy import add_value_head, frozen_reference
from spavl.stages.training.ppo.rollouts import Sampler, prompts_of
from spavl.stages.training.ppo.sampling import Vocabulary, never_sampled
from spavl.stages.training.ppo.scoring import ByRewardModel, check_same_reading
from spavl.stages.training.ppo.settings import PpoSettings


def train_ppo(
    pairs: Sequence[Pair],
    validation: Sequence[Pair],
    source: Source,
    settings: TrainingConfig,
    work_folder: Path,
    resume_from: Path | None,
    hooks: trainer.Hooks,
    num_threads: int = 1,
) -> Aligned:
    """Raise the reward of the policy's own answers to the questions of `pairs`; every rank calls it.

    At the end it answers the questions of `validation`, and so does its reference.

    Raises UserError for a model, pairs or a reward model that cannot be used, CheckFailed where a metric leaves its bounds,
    TryAgain where `hooks.stop_asked` was true at an iteration's end (the checkpoint is saved by then).
    """
    process = prepare_process(settings, work_folder, num_threads)
    prepared = prepare_model(source.base, settings, process)
    _add_values(prepared, source, settings)
    dtype = "bfloat16" if settings.bf16 else "float32"
    reward = load_reward_model(_reward_folder(source), dtype, _device(prepared), source.reward_allowed)
    check_same_reading(prepared.processor, reward.processor)
    chosen = select(pairs, validation, prepared)
    files = {pair.image_id: pair.image for pair in [*pairs, *validation]}
    sampler = _sampler(prepared, reward, settings, source, files, work_folder)
    limit = _longest_prompt(prepared, settings)
    prompts, num_long = prompts_of(chosen.train, limit)
    held_out, _ = prompts_of(chosen.validation, limit)
    if not prompts:
        raise UserError(
            f"none of the {num_long} prompts leaves room for {settings.ppo.max_new_tokens} answer tokens: {limit} are allowed.",
            next_step="Raise training.max_length, or lower training.ppo.max_new_tokens.",
        )
    objective = PpoObjective(prompts, sampler)
    limits = Limits(settings.max_loss, max_kl=settings.ppo.max_kl)
    running = trainer.make_trainer(
        prepared.model, objective, process.arguments(objective.num_steps), hooks, limits
    )
    rows = train_to_end(running, resume_from, settings.log_every_steps)
    rows += evaluated(running, HeldOut(held_out, sampler), rows[-1])
    counts = {
        **chosen.counts,
        "prompts": len(prompts),
        "validation_prompts": len(held_out),
        "over_long_prompts": num_long,
        "steps": objective.num_steps,
        "trained_parameters": prepared.num_trained,
    }
    details = prepared.facts() | {
        "ranks": process.num_ranks,
        "speed": trainer.speed_facts(running),
        "reward_outputs": list(reward.outputs),
    }
    state = without_critic(prepared.model, without_head(trainer.final_weights(running)))
    return finish(prepared, state, source, settings, work_folder, process, rows, counts, details)


def _sampler(
    prepared: Prepared,
    reward: RewardModel,
    settings: TrainingConfig,
    source: Source,
    files: Mapping[str, Path],
    work_folder: Path,
) -> Sampler:
    kept = prepared.kept_features(source.revision, files, work_folder)
    pictures = Pictures(prepared.processor, prepared.prompt, files, kept)
    # its projector is another one, its tower the same where it was trained from the same base
    of_reward = Pictures(reward.processor, prepared.prompt, files, kept if source.reward_is_of_base else None)
    vocabulary = Vocabulary(prepared.layout.pad_id, prepared.stop.ids, never_sampled(prepared.config))
    ppo = PpoSettings(
        num_epochs=settings.num_epochs,
        bf16=settings.bf16,
        seed=settings.seed,
        **settings.ppo.model_dump(exclude={"max_kl", "critic"}),
    )
    return Sampler(
        ppo,
        pictures,
        ByRewardModel(reward, of_reward),
        vocabulary,
        _frozen(prepared, settings, source),
        of_reward if settings.ppo.critic == "separate" else None,  # which began as that model
    )


def _add_values(prepared: Prepared, source: Source, settings: TrainingConfig) -> None:
    """A head on the policy, or a critic that begins as the reward model, in the precision of the policy's weights."""
    if settings.ppo.critic == "shared":
        add_value_head(prepared.model)
        return
    dtype = "bfloat16" if settings.bf16 and settings.lora else "float32"
    folder, cost_weight = _reward_folder(source), settings.ppo.cost_weight
    add_critic(prepared.model, load_critic(folder, dtype, settings, cost_weight, source.reward_allowed))


def _frozen(prepared: Prepared, settings: TrainingConfig, source: Source) -> Any:
    """The reference: a frozen copy of the base, or None where the policy's adapters are switched off instead."""
    if settings.lora:
        return None
    dtype = "bfloat16" if settings.bf16 else "float32"
    allowed = base_model.allowed_by(base_model.transformers_base(settings.base))
    return frozen_reference(source.base, dtype, settings.attention, _device(prepared), allowed)


def _reward_folder(source: Source) -> Path:
    if source.reward is None:
        raise UserError(
            "PPO needs a reward model, and this run has none.",
            next_step="Run the stage `reward` first; a run planned with training.method=ppo has it.",
        )
    return source.reward


def _longest_prompt(prepared: Prepared, settings: TrainingConfig) -> int:
    from spavl.learning.encoding import longest_allowed

    return longest_allowed(settings.max_length, prepared.config) - settings.ppo.max_new_tokens


def _device(prepared: Prepared) -> str:
    import torch

    base = base_model.transformers_base(prepared.settings.base)
    return "cpu" if base.device == "cpu" or not torch.cuda.is_available() else "cuda"
