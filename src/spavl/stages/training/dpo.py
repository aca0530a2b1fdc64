"""Direct Preference Optimization of a vision-language model (arXiv 2305.18290), with SPA-VL's recipe.

The loss is DPO's against the base model plus `sft_weight` times the token-mean negative log-likelihood of the chosen answer.
The answers about one image share one reading of it (`learning/tree.py`), the base's log-probabilities are computed once for
all nights, and the frozen tower sees each image once. With bf16, matrix products run in bfloat16 and trained weights stay
in float32: at SPA-VL's rates an update is smaller than bfloat16 can add to a weight.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from spavl.learning import process_group, trainer
from spavl.learning.limits import Limits
from spavl.learning.pairs import Pair
from spavl.learning.pictures import Pictures
from spavl.learning.preparing import Prepared, Process, prepare_model, prepare_process
from spavl.learning.references import ReferenceCache
from spavl.learning.running import evaluated, train_to_end
from spavl.learning.selecting import select
from spavl.learning.steps import EncodedPair
from spavl.stages.training.config import TrainingConfig
from spavl.stages.training.dpo_objective import DpoObjective, References
from spavl.stages.training.finishing import finish
from spavl.stages.training.made import Aligned, Source

log = logging.getLogger("spavl")


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
    chosen = select(pairs, validation, prepared)
    files = {pair.image_id: pair.image for pair in [*pairs, *validation]}
    kept = prepared.kept_features(source.revision, files, work_folder)
    pictures = Pictures(prepared.processor, prepared.prompt, files, kept)
    references = _references([*chosen.train, *chosen.validation], prepared, source, pictures, process)
    objective = DpoObjective(chosen.train, settings, prepared.layout, pictures, references)
    limits = Limits(settings.max_loss, settings.max_chosen_fall_nats)
    running = trainer.make_trainer(
        prepared.model, objective, process.arguments(objective.num_steps), hooks, limits
    )
    rows = train_to_end(running, resume_from, settings.log_every_steps)
    # a run that was resumed after its last step has not read them yet
    references.fill(running.model_wrapped, is_base=False)
    checked = DpoObjective(
        chosen.validation, settings, prepared.layout, pictures, references, is_evaluation=True
    )
    rows += evaluated(running, checked, rows[-1])
    counts = {
        **chosen.counts,
        "steps": objective.num_steps,
        "trained_parameters": prepared.num_trained,
        "references_computed": references.num_computed,
    }
    details = prepared.facts() | {
        "ranks": process.num_ranks,
        "speed": trainer.speed_facts(running),
        "references": references.terms.name,
    }
    state = trainer.final_weights(running)
    return finish(prepared, state, source, settings, work_folder, process, rows, counts, details)


def _references(
    pairs: Sequence[EncodedPair], prepared: Prepared, source: Source, pictures: Pictures, process: Process
) -> References:
    terms = prepared.terms(source.revision)

    def tell(done: int, total: int) -> None:
        if process.rank == 0:
            log.info("training: reference log-probabilities %d/%d pairs", done, total)

    return References(
        pairs, terms, ReferenceCache(source.store, terms), prepared.layout, pictures,
        (process.rank, process.num_ranks), process.gather, process_group.agree, tell,
    )  # fmt: skip
