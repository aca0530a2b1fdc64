"""Runs an objective's steps with transformers' Trainer: optimizer, schedule, precision, ranks, checkpoints, callbacks.

What differs from a plain Trainer: a batch is a whole step's share of this rank, as many forwards as its tokens need;
gradients of a step are sums over all its forwards on all ranks; metrics are summed the same way; only trained weights are
checkpointed, under the names they have in memory; a wish to stop is agreed on by all ranks.
"""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spavl.config import LearningConfig
from spavl.errors import TryAgain
from spavl.learning import process_group
from spavl.learning.limits import Limits, refuse_divergence, refuse_spoilt
from spavl.learning.objective import Objective, Stateful, StepLoss
from spavl.learning.speed import Speed, flops_per_token, peak_flops, peak_memory_gb

WEIGHTS = "model.safetensors"  # of a checkpoint: only what is trained, under the names it has in memory
STATE = "trainer_state.json"  # of a checkpoint
OBJECTIVE_STATE = "objective_state.json"  # of a checkpoint: what an objective learns beside the model
_NOT_NEEDED_TO_RESUME = ("training_args.bin", "README.md", "zero_to_fp32.py", "zero_to_torch.py")
TENSORBOARD = "tensorboard"  # the tracker, and its folder beside the checkpoints'


@dataclass(frozen=True)
class Hooks:
    """What the training loop calls."""

    on_checkpoint: Callable[[Path, int], None]  # a whole checkpoint's folder, its step; on every rank
    on_progress: Callable[[int, int, str], None]  # steps done, steps in all, a note
    stop_asked: Callable[[], bool]  # looked at after each step


def trainer_arguments(
    settings: LearningConfig, num_steps: int, folder: Path, *, use_cpu: bool, deepspeed: Any = None
) -> Any:
    """The TrainingArguments of these settings."""
    from transformers import TrainingArguments

    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=num_steps,
        per_device_train_batch_size=1,  # one item of the data loader is a whole step's share
        gradient_accumulation_steps=1,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=settings.warmup_steps,
        optim="adamw_torch",
        bf16=settings.bf16,
        activation_checkpointing=settings.activation_checkpointing,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=settings.checkpoint_every_steps,
        save_total_limit=1,
        eval_strategy="no",
        report_to=list(settings.report_to) or "none",
        disable_tqdm=True,
        dataloader_num_workers=0,
        remove_unused_columns=False,
        seed=settings.seed,
        use_cpu=use_cpu,
        deepspeed=deepspeed,
        ddp_find_unused_parameters=False,
    )
    arguments.mixed_precision = "bf16" if settings.bf16 else "no"  # whatever `accelerate launch` carries
    return arguments


def make_trainer(
    model: Any, objective: Objective, arguments: Any, hooks: Hooks, limits: Limits | None = None
) -> Any:
    """The trainer, ready for `train`."""
    from transformers import PrinterCallback

    trainer = _trainer_class()(model=model, args=arguments, train_dataset=_Steps(objective, 0, 1))
    trainer.prepare_objective(objective)
    trainer.add_callback(_loop_callback(objective, hooks, limits or Limits(), trainer))
    trainer.remove_callback(PrinterCallback)
    if TENSORBOARD in arguments.report_to:
        _place_tensorboard(trainer, Path(arguments.output_dir).parent / TENSORBOARD)
    return trainer


def speed_facts(trainer: Any) -> dict[str, float]:
    """How fast this process and the other ranks have trained, and the most memory that one of them took; every rank takes part."""
    memory = process_group.gather(peak_memory_gb(trainer.args.device))
    return {**trainer.speed.rates(), "peak_memory_gb": max(memory)}


def evaluate(trainer: Any, objective: Objective) -> dict[str, float]:
    """Metrics of an objective over all of its steps, without training; every rank takes part."""
    import torch

    model, rank, num_ranks = trainer.model_wrapped, *_place(trainer)
    model.eval()
    totals: dict[str, list[Any]] = {}
    with torch.no_grad():
        for step in range(objective.num_steps):
            for forward in objective.forwards(step, rank, num_ranks):
                with trainer.compute_loss_context_manager():
                    found = objective.loss(model, forward.to(trainer.args.device))
                _add(totals, found)
    return _means(_summed(trainer, totals))


def final_weights(trainer: Any) -> dict[str, Any]:
    """Name in memory to float32 on the CPU, for every trained parameter, whole; every rank takes part, only rank 0 gets them.

    Raises CheckFailed on every rank where a weight is no number: the last step's loss is from before its own update.
    """
    weights = _gathered_weights(trainer)
    refuse_spoilt(
        process_group.agree([name for name, tensor in weights.items() if not tensor.isfinite().all()])
    )
    return weights


def _gathered_weights(trainer: Any) -> dict[str, Any]:
    is_first = trainer.args.process_index == 0
    if not trainer.is_deepspeed_enabled:
        weights = trained_weights(trainer.model) if is_first else {}
        return {name: tensor.float() for name, tensor in weights.items()}
    from deepspeed.utils import safe_get_full_fp32_param

    state = {}
    for name, parameter in trainer.model.named_parameters():
        if parameter.requires_grad:
            whole = safe_get_full_fp32_param(parameter)
            if is_first:
                state[name] = whole.detach().float().cpu().clone()
    return state


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


def _save_objective(objective: Objective, checkpoint: Path) -> None:
    if isinstance(objective, Stateful):
        (checkpoint / OBJECTIVE_STATE).write_text(json.dumps(objective.state()) + "\n", "utf-8")


def _restore_objective(objective: Objective, checkpoint: Path) -> None:
    if isinstance(objective, Stateful):
        path = checkpoint / OBJECTIVE_STATE
        objective.restore(json.loads(path.read_text("utf-8")) if path.is_file() else {})


class _Steps:
    """The data set: item n is this rank's forwards of step n."""

    def __init__(self, objective: Objective, rank: int, num_ranks: int) -> None:
        self._objective = objective
        self._place = rank, num_ranks

    def __len__(self) -> int:
        return self._objective.num_steps

    def __getitem__(self, step: int) -> Sequence[Any]:
        return self._objective.forwards(step, *self._place)


@functools.cache
def _trainer_class() -> type:
    import torch
    from safetensors.torch import save_file
    from torch.utils.data import DataLoader
    from transformers import Trainer

    class StepTrainer(Trainer):
        def prepare_objective(self, objective: Objective) -> None:
            self._objective = objective
            self._totals: dict[str, list[Any]] = {}
            self._done = [0.0, 0.0]  # samples and tokens of this rank since the last log
            peak = peak_flops(self.args.device, self.args.world_size) if self.args.bf16 else None
            self.speed = Speed(flops_per_token(self.model), peak)

        def train(self, resume_from_checkpoint: str | None = None, **options: Any) -> Any:
            if resume_from_checkpoint:
                _restore_objective(self._objective, Path(resume_from_checkpoint))
            return super().train(resume_from_checkpoint, **options)

        def get_train_dataloader(self) -> DataLoader:
            # not through accelerate, which would deal whole steps to ranks: here every rank has its share of each
            steps = _Steps(self._objective, *_place(self))
            return DataLoader(steps, batch_size=1, shuffle=False, collate_fn=_only)

        def training_step(self, model: Any, inputs: Sequence[Any], num_items_in_batch: Any = None) -> Any:
            model.train()
            self._objective.before_step(model, self.state.global_step)
            model.train()
            total = torch.zeros((), device=self.args.device)
            for number, forward in enumerate(inputs):
                is_last = number == len(inputs) - 1
                with self._accumulating(model, is_last), self.compute_loss_context_manager():
                    found = self._objective.loss(model, forward.to(self.args.device))
                    self._backward(found.loss)
                total += found.loss.detach().float()
                _add(self._totals, found)
                self._done = [self._done[0] + found.num_samples, self._done[1] + found.num_tokens]
            return total * self.args.world_size

        def _backward(self, loss: Any) -> None:
            # ranks' gradients are averaged, and their sum is wanted
            options = {"scale_wrt_gas": False} if self.is_deepspeed_enabled else {}
            self.accelerator.backward(loss * self.args.world_size, **options)

        @contextlib.contextmanager
        def _accumulating(self, model: Any, is_last: bool) -> Iterator[None]:
            """Gradients are exchanged after the last forward of a step only."""
            self.accelerator.gradient_state._set_sync_gradients(is_last)
            waits = not is_last and not self.is_deepspeed_enabled
            with self.accelerator.no_sync(model) if waits else contextlib.nullcontext():
                yield

        def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
            if self._totals:
                done = {"done": self._done}
                summed = _summed(self, {**self._totals, **done})
                self.speed.step_ended(*summed.pop("done"))
                logs |= _means(summed) | self.speed.rates()
                self._totals, self._done = {}, [0.0, 0.0]
            super().log(logs, start_time)

        def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
            # transformers saves under the names of the hub's files and loads by those in memory without complaint
            # where they differ; and the frozen weights need no copy
            folder = Path(output_dir or self.args.output_dir)
            folder.mkdir(parents=True, exist_ok=True)
            if self.args.should_save and not self.is_deepspeed_enabled:  # whose own checkpoint holds them
                save_file(trained_weights(self.model), folder / WEIGHTS)

        def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
            restore_weights(self.model, Path(resume_from_checkpoint))

    return StepTrainer


def _only(batch: Sequence[Any]) -> Any:
    return batch[0]


def _place(trainer: Any) -> tuple[int, int]:
    """Rank and number of ranks."""
    return trainer.args.process_index, trainer.args.world_size


def _add(totals: dict[str, list[Any]], found: StepLoss) -> None:
    for name, (value, weight) in found.sums.items():
        known = totals.setdefault(name, [0.0, 0.0])
        known[0] = known[0] + value
        known[1] = known[1] + weight


def _summed(trainer: Any, totals: Mapping[str, Sequence[Any]]) -> dict[str, list[float]]:
    """Every name's two numbers, added up over all ranks, which must have the same names."""
    import torch

    names = sorted(totals)
    numbers = torch.tensor(
        [[float(first), float(second)] for first, second in (totals[name] for name in names)],
        dtype=torch.float64,
        device=trainer.args.device if trainer.args.device.type != "mps" else "cpu",
    )
    if trainer.args.world_size > 1:
        numbers = trainer.accelerator.reduce(numbers, "sum")
    return dict(zip(names, numbers.tolist(), strict=True))


def _means(summed: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Sum / weight of every metric; without weight there is no value."""
    return {name: value / weight for name, (value, weight) in summed.items() if weight}


def _place_tensorboard(trainer: Any, folder: Path) -> None:
    from transformers.integrations import TensorBoardCallback

    for callback in trainer.callback_handler.callbacks:
        if isinstance(callback, TensorBoardCallback):
            callback.logging_dir = str(folder)


def _replay(trainer: Any, args: Any, history: Sequence[Mapping[str, Any]], control: Any) -> None:
    """Write the steps of an earlier process into this one's TensorBoard files: those of the other are gone with its disk."""
    from transformers import TrainerState
    from transformers.integrations import TensorBoardCallback

    for callback in trainer.callback_handler.callbacks:
        if isinstance(callback, TensorBoardCallback):
            for entry in history:
                then = TrainerState(global_step=entry["step"], is_world_process_zero=args.process_index == 0)
                callback.on_log(args, then, control, logs={**entry})


def _loop_callback(objective: Objective, hooks: Hooks, limits: Limits, trainer: Any) -> Any:
    from transformers import TrainerCallback

    class Loop(TrainerCallback):
        _is_save_due = False

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            steps = process_group.gather(state.global_step)
            if min(steps) < max(steps):
                raise TryAgain(
                    f"the ranks would go on from different steps: {sorted(set(steps))}.",
                    next_step="Run the same command again.",
                )
            _replay(trainer, args, state.log_history, control)

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            state.epoch = objective.epoch_of(state.global_step)
            may_save = objective.may_save_after(state.global_step)
            # a save that is due where none may be is made at the next step where one may
            self._is_save_due = control.should_save or self._is_save_due
            control.should_save = self._is_save_due and may_save
            self._is_save_due = self._is_save_due and not may_save
            if may_save and _any_rank(trainer, hooks.stop_asked()):
                control.should_save = True
                control.should_training_stop = True

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **kwargs: Any) -> None:
            refuse_divergence(logs, state.global_step, limits)
            if "loss" in logs:
                hooks.on_progress(state.global_step, state.max_steps, _note(logs))

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            for name in _NOT_NEEDED_TO_RESUME:
                (folder / name).unlink(missing_ok=True)
            if args.should_save:
                _save_objective(objective, folder)
            hooks.on_checkpoint(folder, state.global_step)

    return Loop()


def _note(logs: Mapping[str, float]) -> str:
    """The loss and, where they are known, the speeds, for the log line."""
    note = f"loss {logs['loss']:.4f}"
    for name, unit in (("samples_per_second", "samples/s"), ("tokens_per_second", "tokens/s")):
        if name in logs:
            note += f", {logs[name]:.3g} {unit}" if logs[name] < 100 else f", {logs[name]:.0f} {unit}"
    return note + (f", MFU {logs['mfu']:.0%}" if "mfu" in logs else "")


def _any_rank(trainer: Any, is_asked: bool) -> bool:
    """Whether any rank was asked; a rank that stopped alone would leave the others waiting for it."""
    if trainer.args.world_size == 1:
        return is_asked
    import torch

    asked = torch.tensor(float(is_asked), device=trainer.args.device)
    return bool(trainer.accelerator.reduce(asked, "sum") > 0)
