"""Trains a reward model on preference pairs: SPA-VL's scalar head, and where asked a cost learnt from safety labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spavl.errors import UserError
from spavl.learning import base_model, process_group, trainer
from spavl.learning.limits import Limits
from spavl.learning.pair_steps import Course, PairSteps
from spavl.learning.pairs import Pair
from spavl.learning.pictures import Pictures
from spavl.learning.preparing import Prepared, prepare_model, prepare_process, with_adapters
from spavl.learning.reward_model import COST, REWARD, prepare_reward_model, restored, save_reward_model
from spavl.learning.reward_objective import RewardObjective, RewardTerms
from spavl.learning.running import evaluated, train_to_end
from spavl.learning.selecting import select
from spavl.learning.steps import EncodedPair
from spavl.stages.reward.config import RewardConfig
from spavl.stages.training.rows import TrainingMetric


@dataclass(frozen=True)
class Rewarding:
    """What a training of a reward model made; the folder on rank 0 only."""

    model: Path | None
    rows: list[TrainingMetric]
    counts: dict[str, int] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)


def train_reward(
    pairs: Sequence[Pair],
    validation: Sequence[Pair],
    base: Path,
    base_revision: str,
    settings: RewardConfig,
    work_folder: Path,
    resume_from: Path | None,
    hooks: trainer.Hooks,
    num_threads: int = 1,
) -> Rewarding:
    """Train on `pairs`, evaluate on `validation` at the end; every rank calls it.

    Raises UserError for a model or pairs that cannot be trained, CheckFailed where a metric leaves its bounds, TryAgain
    where `hooks.stop_asked` was true (the checkpoint is saved by then).
    """
    process = prepare_process(settings, work_folder, num_threads)
    prepared = prepare_model(base, settings, process)
    outputs = (REWARD, COST) if settings.with_cost else (REWARD,)
    prepare_reward_model(prepared.model, outputs, settings.seed)
    chosen = select(pairs, validation, prepared)
    if settings.with_cost:
        _refuse_unlabelled(chosen.train)
    files = {pair.image_id: pair.image for pair in [*pairs, *validation]}
    kept = prepared.kept_features(base_revision, files, work_folder)
    pictures = Pictures(prepared.processor, prepared.prompt, files, kept)
    objective = _objective(chosen.train, settings, prepared, pictures, outputs, settings.num_epochs)
    limits = Limits(settings.max_loss, section="reward")
    running = trainer.make_trainer(
        prepared.model, objective, process.arguments(objective.num_steps), hooks, limits
    )
    rows = train_to_end(running, resume_from, settings.log_every_steps)
    checked = _objective(chosen.validation, settings, prepared, pictures, outputs, 1)
    rows += evaluated(running, checked, rows[-1])
    counts = {**chosen.counts, "steps": objective.num_steps, "trained_parameters": prepared.num_trained}
    details = prepared.facts() | {
        "ranks": process.num_ranks,
        "speed": trainer.speed_facts(running),
        "outputs": list(outputs),
    }
    state = trainer.final_weights(running)
    process_group.leave()
    if process.rank:
        return Rewarding(None, rows, counts)
    model = _save(prepared, state, base, settings, outputs, work_folder / "model")
    return Rewarding(model, rows, counts, details)


def _refuse_unlabelled(pairs: Sequence[EncodedPair]) -> None:
    """Raise UserError unless there are safe and unsafe answers: an output that nothing has taught is noise, and PPO would follow it."""
    labels = [label for pair in pairs for label in (pair.chosen_is_unsafe, pair.rejected_is_unsafe)]
    num_unsafe, num_safe = labels.count(True), labels.count(False)
    if not (num_unsafe and num_safe):
        raise UserError(
            f"reward.with_cost needs safe and unsafe answers, and the {len(pairs)} train pairs have {num_safe} labelled safe "
            f"and {num_unsafe} labelled unsafe.",
            next_step="Set reward.with_cost to false, or choose a dataset version with the judge's safety labels.",
        )


def _objective(
    pairs: Sequence[EncodedPair],
    settings: RewardConfig,
    prepared: Prepared,
    pictures: Pictures,
    outputs: Sequence[str],
    num_epochs: float,
) -> RewardObjective:
    course = Course(num_epochs, settings.global_batch_size, settings.seed, settings.group_by_image)
    terms = RewardTerms(settings.margin_weight, settings.centering_weight, settings.cost_weight)
    return RewardObjective(PairSteps(pairs, course, prepared.layout, pictures), pictures, outputs, terms)


def _save(
    prepared: Prepared,
    state: dict[str, Any],
    base: Path,
    settings: RewardConfig,
    outputs: Sequence[str],
    folder: Path,
) -> Path:
    """The whole reward model, from the trained weights in float32 on a fresh copy of the base."""
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    unset_hf_deepspeed_config()  # or the fresh copy would be split over the ranks
    allowed = base_model.allowed_by(base_model.transformers_base(settings.base))
    fresh = with_adapters(base_model.load_model(base, "float32", allowed=allowed), settings)
    prepare_reward_model(fresh, outputs, settings.seed)
    stored = base_model.stored_dtype(base, allowed)
    folder.mkdir(parents=True)
    save_reward_model(restored(fresh, state), prepared.processor, outputs, folder, stored)
    base_model.copy_code(base, folder, allowed)
    return folder
