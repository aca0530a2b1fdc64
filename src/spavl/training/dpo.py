"""Direct Preference Optimization of a vision-language model (arXiv 2305.18290), with SPA-VL's recipe, through TRL.

The loss is DPO's sigmoid loss against the base model plus `sft_weight` times the token-mean log-likelihood of the chosen
answer. With bf16, matrix products run in bfloat16 and trained weights stay in float32: at SPA-VL's rates an update is
smaller than bfloat16 can add to a weight.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spavl.config import TrainingConfig, TransformersModel
from spavl.errors import TryAgain, UserError
from spavl.records import TrainingMetric
from spavl.training import base_model, lengths, rendering, trainer
from spavl.training.metrics import evaluation_rows, training_rows
from spavl.training.pairs import Pair

STATE = "trainer_state.json"  # of a checkpoint


@dataclass(frozen=True)
class Aligned:
    """What a training run made."""

    model: Path  # whole model and processor, adapters merged
    adapter: Path | None  # the adapter alone, with LoRA
    rows: list[TrainingMetric]
    counts: dict[str, int] = field(default_factory=dict)


def train_dpo(
    pairs: Sequence[Pair],
    validation: Sequence[Pair],
    base: Path,
    settings: TrainingConfig,
    work_folder: Path,
    resume_from: Path | None,
    hooks: trainer.Hooks,
    num_threads: int = 1,
) -> Aligned:
    """Align the model in `base` on `pairs`; evaluate on `validation` at the end.

    `resume_from` is a checkpoint that `hooks.on_checkpoint` was once given. Raises UserError for a model or pairs that
    cannot be trained, CheckFailed where the loss is no number, TryAgain where `hooks.stop_asked` was true (the
    checkpoint is saved by then).
    """
    use_cpu = _prepare_process(settings, num_threads)
    processor = base_model.load_processor(base)
    model = base_model.load_model(base, "bfloat16" if settings.bf16 and settings.lora else "float32")
    stop = rendering.stop_tokens(processor, model.generation_config)
    limit = lengths.longest_allowed(settings.max_length, model.config)
    to_train, to_validate, counts = _select(pairs, validation, processor, stop, limit)
    running = _trainer(model, processor, to_train, base, settings, work_folder, use_cpu, hooks)
    _check_first_batch(running, settings, stop)
    rows = training_rows(_run(running, resume_from), settings.log_every_steps)
    counts |= {"steps": rows[-1].step, "trained_parameters": _num_trained(running.model)}
    rows += _evaluate(running, to_validate, rows[-1])
    adapter = _save_adapter(running, settings, work_folder)
    return Aligned(_save_model(running, processor, base, adapter, work_folder), adapter, rows, counts)


def _prepare_process(settings: TrainingConfig, num_threads: int) -> bool:
    """Quiet libraries, threads, and the device; returns whether to stay on the CPU."""
    import warnings

    import datasets
    import torch
    from huggingface_hub import constants
    from transformers.utils import logging

    constants.HF_HUB_DISABLE_TELEMETRY = True  # TRL reports each trainer that is made to the hub
    datasets.disable_progress_bars()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")  # transformers warns itself
    device = base_model.transformers_base(settings.base).device
    use_cpu = device == "cpu" or not torch.cuda.is_available()
    if use_cpu and device.startswith("cuda"):
        raise UserError(f"training.base.device is {device!r}, and this machine shows no CUDA device.")
    if use_cpu:
        torch.set_num_threads(num_threads)
    elif torch.cuda.device_count() > 1:
        raise UserError(
            f"training runs on one accelerator and sees {torch.cuda.device_count()}.",
            next_step="Set CUDA_VISIBLE_DEVICES to one of them.",
        )
    return use_cpu


def _select(
    pairs: Sequence[Pair], validation: Sequence[Pair], processor: Any, stop: rendering.StopTokens, limit: int
) -> tuple[list[rendering.RenderedPair], list[rendering.RenderedPair], dict[str, int]]:
    """What is trained, what is evaluated, and the counts of both and of what was left out."""
    to_train, counts = _usable(pairs, processor, stop, limit)
    to_validate, of_validation = _usable(validation, processor, stop, limit)
    if not to_train:
        raise UserError(
            f"none of the {len(pairs)} pairs can be trained: {counts['over_length']} are longer than {limit} tokens.",
            next_step="Raise training.max_length, or align on a dataset version that has train pairs.",
        )
    return (
        to_train,
        to_validate,
        counts | {f"validation_{name}": value for name, value in of_validation.items()},
    )


def _usable(
    pairs: Sequence[Pair], processor: Any, stop: rendering.StopTokens, limit: int
) -> tuple[list[rendering.RenderedPair], dict[str, int]]:
    """The pairs that can be trained, and how many cannot and why."""
    plain = [pair for pair in pairs if not rendering.has_special_token(pair, processor)]
    rendered = [rendering.render_pair(pair, processor, stop) for pair in plain]
    sizes = lengths.pair_lengths(rendered, processor)
    usable = [pair for pair, size in zip(rendered, sizes, strict=True) if size <= limit]
    counts = {
        "pairs": len(usable),
        "over_length": len(rendered) - len(usable),
        "with_special_token": len(pairs) - len(plain),
    }
    return usable, counts


def _trainer(
    model: Any,
    processor: Any,
    pairs: Sequence[rendering.RenderedPair],
    base: Path,
    settings: TrainingConfig,
    work_folder: Path,
    use_cpu: bool,
    hooks: trainer.Hooks,
) -> Any:
    from peft import LoraConfig

    reference, adapter = None, None
    if settings.lora:
        adapter = LoraConfig(
            r=settings.lora.r,
            lora_alpha=settings.lora.alpha,
            lora_dropout=settings.lora.dropout,
            target_modules=base_model.adapter_targets(model),
        )
    else:
        # TRL would load it again from wherever the model's config says it came from
        reference = base_model.load_model(base, "float32").requires_grad_(False)
    return trainer.make_trainer(
        hooks,
        model=model,
        ref_model=reference,
        args=trainer.trainer_arguments(settings, work_folder / "checkpoints", use_cpu=use_cpu),
        train_dataset=trainer.preference_dataset(pairs),
        processing_class=processor,
        peft_config=adapter,
    )


def _check_first_batch(running: Any, settings: TrainingConfig, stop: rendering.StopTokens) -> None:
    dataset = running.train_dataset
    rows = [dataset[index] for index in range(min(len(dataset), settings.micro_batch_size))]
    rendering.check_stop_token(running.data_collator(rows), stop)


def _run(running: Any, resume_from: Path | None) -> list[dict[str, Any]]:
    """Train to the end, or from a checkpoint to the end; returns the history of every step."""
    if resume_from is not None:
        trainer.restore_weights(running.model, resume_from)
        state = json.loads((resume_from / STATE).read_text("utf-8"))
        if state["global_step"] >= state["max_steps"]:
            return state["log_history"]
    running.train(resume_from_checkpoint=str(resume_from) if resume_from else None)
    if running.state.global_step < running.state.max_steps:
        raise TryAgain(
            f"training was asked to stop after step {running.state.global_step} of {running.state.max_steps}.",
            next_step="Run the same command again: it goes on from there.",
        )
    return running.state.log_history


def _evaluate(
    running: Any, pairs: Sequence[rendering.RenderedPair], last: TrainingMetric
) -> list[TrainingMetric]:
    """The loss and rewards of the aligned model on the validation pairs, as rows of the last step."""
    if not pairs:
        return []
    running.evaluate(trainer.preference_dataset(pairs))
    return evaluation_rows(running.state.log_history[-1], last.step, last.epoch)


def _save_adapter(running: Any, settings: TrainingConfig, work_folder: Path) -> Path | None:
    if not settings.lora:
        return None
    folder = work_folder / "adapter"
    running.model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)
    config = json.loads((folder / "adapter_config.json").read_text("utf-8"))
    base: TransformersModel = base_model.transformers_base(settings.base)
    config["target_modules"] = sorted(
        config["target_modules"]
    )  # a set, in an order that changes with every process
    config["base_model_name_or_path"] = base.name if base_model.folder_of(base) else base.path
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", "utf-8")
    return folder


def _save_model(running: Any, processor: Any, base: Path, adapter: Path | None, work_folder: Path) -> Path:
    """The whole model in the precision of the base's files, adapters merged in float32, and its processor."""
    import torch
    from peft import PeftModel
    from transformers import AutoConfig

    model = running.model
    if adapter is not None:
        # the base is read again: with bf16 the one in training is rounded
        model = PeftModel.from_pretrained(base_model.load_model(base, "float32"), adapter).merge_and_unload()
    folder = work_folder / "model"
    stored = AutoConfig.from_pretrained(base, trust_remote_code=False).dtype or torch.float32
    model.to(stored).save_pretrained(folder)
    processor.save_pretrained(folder)
    for name in (
        "config.json",
        "generation_config.json",
    ):  # the trainer changes both: no cache, other padding
        if (base / name).is_file():
            shutil.copyfile(base / name, folder / name)
    return folder


def _num_trained(model: Any) -> int:
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
