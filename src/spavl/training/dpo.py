"""Direct Preference Optimization of a vision-language model (arXiv 2305.18290), with SPA-VL's recipe.

The loss is DPO's against the base model plus `sft_weight` times the token-mean negative log-likelihood of the chosen answer.
The answers about one image share one reading of it (`learning/tree.py`), the base's log-probabilities are computed once for
all nights, and the frozen tower sees each image once. With bf16, matrix products run in bfloat16 and trained weights stay
in float32: at SPA-VL's rates an update is smaller than bfloat16 can add to a weight.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spavl.artifacts.store import Store
from spavl.config import TrainingConfig
from spavl.errors import TryAgain, UserError
from spavl.learning import encoding, rendering, trainer
from spavl.learning.metrics import evaluation_rows, training_rows
from spavl.learning.pairs import Pair
from spavl.learning.pictures import Pictures
from spavl.learning.preparing import Prepared, Process, prepare_model, prepare_process
from spavl.learning.references import ReferenceCache
from spavl.learning.saving import save_adapter, save_model
from spavl.learning.steps import EncodedPair
from spavl.records import TrainingMetric
from spavl.training.dpo_objective import DpoObjective, References

log = logging.getLogger("spavl")


@dataclass(frozen=True)
class Aligned:
    """What a training run made; folders on rank 0 only."""

    model: Path | None  # whole model and processor, adapters merged
    adapter: Path | None  # the adapter alone, with LoRA
    rows: list[TrainingMetric]
    counts: dict[str, int] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """Where the base comes from, and where its reference log-probabilities are kept."""

    base: Path  # folder with the base's files
    revision: str
    store: Store


def train_dpo(
    pairs: Sequence[Pair],
    validation: Sequence[Pair],
    source: Source,
    settings: TrainingConfig,
    work_folder: Path,
    resume_from: Path | None,
    hooks: trainer.Hooks,
    num_threads: int = 1,
) -> Aligned:
    """Align the base on `pairs`; evaluate on `validation` at the end. Every rank calls it.

    `resume_from` is a checkpoint that `hooks.on_checkpoint` was once given. Raises UserError for a model or pairs that
    cannot be trained, CheckFailed where a metric leaves its bounds, TryAgain where `hooks.stop_asked` was true (the
    checkpoint is saved by then).
    """
    process = prepare_process(settings, work_folder, num_threads)
    prepared = prepare_model(source.base, settings, process)
    to_train, to_validate, counts = _select(pairs, validation, prepared, settings)
    files = {pair.image_id: pair.image for pair in [*pairs, *validation]}
    pictures = Pictures(
        prepared.processor,
        prepared.prompt,
        files,
        prepared.kept_features(source.revision, files, work_folder),
    )
    references = _references([*to_train, *to_validate], prepared, source, pictures, process)
    objective = DpoObjective(to_train, settings, prepared.layout, pictures, references)
    limits = trainer.Limits(settings.max_loss, settings.max_chosen_fall_nats, None)
    running = trainer.make_trainer(
        prepared.model, objective, process.arguments(objective.num_steps), hooks, limits
    )
    rows = training_rows(_run(running, resume_from), settings.log_every_steps)
    checked = DpoObjective(to_validate, settings, prepared.layout, pictures, references, is_evaluation=True)
    references.fill(
        running.model_wrapped, is_base=False
    )  # a run that was resumed after its last step has not yet
    if to_validate:
        seen = {f"eval_{name}": value for name, value in trainer.evaluate(running, checked).items()}
        rows += evaluation_rows(seen, rows[-1].step, rows[-1].epoch)
    counts |= {
        "steps": objective.num_steps,
        "trained_parameters": prepared.num_trained,
        "references_computed": references.num_computed,
    }
    state = trainer.final_weights(running)
    if process.rank:
        return Aligned(None, None, rows, counts)
    adapter = save_adapter(prepared, state, settings, work_folder / "adapter") if settings.lora else None
    model = save_model(prepared, state, source.base, settings, work_folder / "model")
    return Aligned(model, adapter, rows, counts, prepared.facts() | {"references": references.terms.name})


def _select(
    pairs: Sequence[Pair], validation: Sequence[Pair], prepared: Prepared, settings: TrainingConfig
) -> tuple[list[EncodedPair], list[EncodedPair], dict[str, int]]:
    """What is trained, what is evaluated, and the counts of both and of what was left out."""
    limit = encoding.longest_allowed(settings.max_length, prepared.config)
    to_train, counts = encoding.usable_pairs(pairs, prepared.encoder, prepared.stop, limit)
    to_validate, of_validation = encoding.usable_pairs(validation, prepared.encoder, prepared.stop, limit)
    if not to_train:
        raise UserError(
            f"none of the {len(pairs)} pairs can be trained: {counts['over_length']} are longer than {limit} tokens.",
            next_step="Raise training.max_length, or align on a dataset version that has train pairs.",
        )
    rendering.check_stop_tokens([*to_train, *to_validate], prepared.stop)
    return (
        to_train,
        to_validate,
        counts | {f"validation_{name}": value for name, value in of_validation.items()},
    )


def _references(
    pairs: Sequence[EncodedPair], prepared: Prepared, source: Source, pictures: Pictures, process: Process
) -> References:
    terms = prepared.terms(source.revision)

    def tell(done: int, total: int) -> None:
        if process.rank == 0:
            log.info("training: reference log-probabilities %d/%d pairs", done, total)

    return References(
        pairs, terms, ReferenceCache(source.store, terms), prepared.layout, pictures,
        (process.rank, process.num_ranks), process.gather, tell,
    )  # fmt: skip


def _run(running: Any, resume_from: Path | None) -> list[dict[str, Any]]:
    """Train to the end, or from a checkpoint to the end; returns the history of every step."""
    running.train(resume_from_checkpoint=str(resume_from) if resume_from else None)
    if running.state.global_step < running.state.max_steps:
        raise TryAgain(
            f"training was asked to stop after step {running.state.global_step} of {running.state.max_steps}.",
            next_step="Run the same command again: it goes on from there.",
        )
    return running.state.log_history
