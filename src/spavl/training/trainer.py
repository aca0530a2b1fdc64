"""TRL's DPOTrainer as spavl needs it: what it saves, what it logs, when it stops.

Where TRL 1.16's defaults would do harm they are set here: length limit off, precision and checkpointing explicit, NaN
filter off, no reporting to anyone, dropout left to `base_model` (TRL would switch the adapters' off too).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spavl.config import TrainingConfig
from spavl.errors import CheckFailed
from spavl.training.metrics import first_not_finite
from spavl.training.rendering import RenderedPair

WEIGHTS = "model.safetensors"  # of a checkpoint: only what is trained, under the names it has in memory
_NOT_NEEDED_TO_RESUME = ("training_args.bin", "README.md")


@dataclass(frozen=True)
class Hooks:
    """What the training loop calls."""

    on_checkpoint: Callable[[Path, int], None]  # a whole checkpoint's folder, its step
    on_progress: Callable[[int, int, str], None]  # steps done, steps in all, a note
    stop_asked: Callable[[], bool]  # looked at after each step


def preference_dataset(rendered: Sequence[RenderedPair]) -> Any:
    """A `datasets.Dataset` with columns images, prompt, chosen, rejected; an image is decoded when its row is read."""
    from datasets import Dataset

    from spavl.inference.pictures import decode

    columns = {
        "image": [str(pair.pair.image) for pair in rendered],
        "prompt": [pair.prompt for pair in rendered],
        "chosen": [pair.chosen for pair in rendered],
        "rejected": [pair.rejected for pair in rendered],
    }

    def with_images(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        texts = {name: batch[name] for name in ("prompt", "chosen", "rejected")}
        return {"images": [[decode(Path(path).read_bytes())] for path in batch["image"]], **texts}

    return Dataset.from_dict(columns).with_transform(with_images)


def trainer_arguments(settings: TrainingConfig, folder: Path, *, use_cpu: bool) -> Any:
    """The DPOConfig of these settings."""
    from trl import DPOConfig

    with_sft = settings.sft_weight > 0
    return DPOConfig(
        output_dir=str(folder),
        per_device_train_batch_size=settings.micro_batch_size,
        per_device_eval_batch_size=settings.micro_batch_size,
        gradient_accumulation_steps=settings.global_batch_size // settings.micro_batch_size,
        num_train_epochs=settings.num_epochs,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=settings.warmup_steps,
        optim="adamw_torch",
        beta=settings.beta,
        loss_type=["sigmoid", "sft"] if with_sft else ["sigmoid"],
        loss_weights=[1.0, settings.sft_weight] if with_sft else None,
        max_length=None,
        disable_dropout=False,
        bf16=settings.bf16,
        activation_checkpointing=settings.activation_checkpointing,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=settings.checkpoint_every_steps,
        save_total_limit=1,
        eval_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_num_workers=0,
        dataloader_pin_memory=not use_cpu,
        remove_unused_columns=False,
        seed=settings.seed,
        use_cpu=use_cpu,
    )


def make_trainer(hooks: Hooks, **arguments: Any) -> Any:
    """The trainer, ready for `train`; `arguments` are DPOTrainer's."""
    from safetensors.torch import save_file
    from transformers import PrinterCallback
    from trl import DPOTrainer

    class Trainer(DPOTrainer):
        def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
            # transformers saves under the names of the hub's files and loads by those in memory without complaint
            # where they differ; and the frozen weights need no copy
            folder = Path(output_dir or self.args.output_dir)
            folder.mkdir(parents=True, exist_ok=True)
            save_file(trained_weights(self.model), folder / WEIGHTS)

        def create_model_card(self, *args: Any, **kwargs: Any) -> None:
            """A checkpoint needs none; the release writes its own."""

    trainer = Trainer(callbacks=[_loop_callback(hooks)], **arguments)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(_resume_callback(trainer))
    return trainer


def trained_weights(model: Any) -> dict[str, Any]:
    """Name in memory to a copy on the CPU, for every parameter that is trained."""
    return {
        name: parameter.detach().cpu().contiguous()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }


def restore_weights(model: Any, checkpoint: Path) -> None:
    """Put a checkpoint's trained weights into the model; raises ValueError where they are not exactly its own."""
    from safetensors.torch import load_file

    saved = load_file(checkpoint / WEIGHTS)
    if saved.keys() != trained_weights(model).keys():
        raise ValueError(f"the checkpoint {checkpoint.name} holds other weights than the model trains")
    model.load_state_dict(saved, strict=False)


def _loop_callback(hooks: Hooks) -> Any:
    from transformers import TrainerCallback

    class Loop(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if hooks.stop_asked():
                control.should_save = True
                control.should_training_stop = True

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **kwargs: Any) -> None:
            _refuse_divergence(logs, state.global_step)
            if "loss" in logs:
                hooks.on_progress(state.global_step, state.max_steps, f"loss {logs['loss']:.4f}")

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            for name in _NOT_NEEDED_TO_RESUME:
                (folder / name).unlink(missing_ok=True)
            hooks.on_checkpoint(folder, state.global_step)

    return Loop()


def _resume_callback(trainer: Any) -> Any:
    from transformers import TrainerCallback

    class Resume(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            # TRL counts tokens from zero after a resume
            seen = [entry["num_tokens"] for entry in state.log_history if "num_tokens" in entry]
            trainer._total_train_tokens = int(seen[-1]) if seen else 0

    return Resume()


def _refuse_divergence(logs: dict[str, float], step: int) -> None:
    name = first_not_finite(logs)
    if name is not None:
        what = "not a number" if math.isnan(logs[name]) else "infinite"
        raise CheckFailed(
            f"training diverged: {name} is {what} at step {step}; every step needs a finite one.",
            next_step="Lower training.learning_rate or raise training.warmup_steps, and start a new run.",
        )
