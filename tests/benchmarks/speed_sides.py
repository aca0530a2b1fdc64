"""The trainers that `training_speed.py` compares: TRL's own DPOTrainer, and ours with each of its parts on or off.

Every builder gives a transformers Trainer that is ready for `train`, and facts about it. Optimizer, schedule, clipping, seed,
precision and data are the same for all; the model is built with the same random weights for each.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from tests.benchmarks.speed_shapes import Shape, build_model, build_processor, steps_of

from spavl.learning.pairs import Pair

BETA = 0.1
# far above SPA-VL's 1e-6: a random model must move within the few steps, or equal losses would all be ln 2 and show nothing
LEARNING_RATE = 2e-4
WARMUP_STEPS = 2


@dataclass(frozen=True)
class Parts:
    """What our trainer does to be fast; all of it is on in use."""

    tree: bool = True  # image and question once for all answers
    blocks: bool = True  # attention over a tree in blocks
    grouping: bool = True  # pairs of one image in one step
    packing: bool = True  # several trees in one forward
    references: bool = True  # the reference's log-probabilities kept
    features: bool = True  # the tower's outputs kept
    head: bool = True  # scores of answer tokens only

    def without(self, name: str) -> Parts:
        return replace(self, **{name: False})

    def also(self, *names: str) -> Parts:
        return replace(self, **dict.fromkeys(names, True))


PLAIN = Parts(**dict.fromkeys((field.name for field in fields(Parts)), False)).also(
    "blocks", "grouping", "packing"
)


@dataclass(frozen=True)
class Side:
    """One trainer of a comparison."""

    name: str
    build: Callable[[Job, Side], Built]
    parts: Parts = Parts()  # of ours
    micro_batch: int = 1  # of TRL's: pairs in one forward
    is_compact: bool = False  # of TRL's: its head scores answer tokens only, as it does on GPUs


@dataclass(frozen=True)
class Job:
    """What all sides of a comparison share."""

    shape: Shape
    pairs: Sequence[Pair]
    num_steps: int
    folder: Path
    device: str
    lora: bool
    bf16: bool
    activation_checkpointing: bool = False
    max_forward_tokens: int = 16_384  # of ours; the default of `training.max_forward_tokens`

    @property
    def adapter(self) -> dict[str, Any]:
        """LLaVA's rank 128 at a width of 4,096, and as much in proportion at others."""
        rank = max(1, self.shape.text["hidden_size"] // 32)
        return {"r": rank, "alpha": 2 * rank, "dropout": 0.0}


@dataclass(frozen=True)
class Seconds:
    """What something took, on the clock, and of its process's CPU: what others take from the machine is not in that."""

    wall_s: float
    cpu_s: float


class Stopwatch:
    """Runs from when it is made."""

    def __init__(self) -> None:
        self._started = time.perf_counter(), time.process_time()

    def read(self) -> Seconds:
        return Seconds(time.perf_counter() - self._started[0], time.process_time() - self._started[1])


@dataclass(frozen=True)
class Built:
    """A trainer ready to train, and what is known of it before its first step."""

    trainer: Any
    facts: dict[str, Any]


def trl(job: Job, side: Side) -> Built:
    """TRL's DPOTrainer as its documentation uses it for vision: its collator, its reference, its head."""
    from trl import DPOConfig, DPOTrainer

    if side.is_compact:
        # the one name that decides it; the kernel looks at its own and still computes in torch
        import trl.trainer.utils

        trl.trainer.utils._use_triton = lambda device: True
    processor = build_processor(job.shape)
    model = build_model(job.shape, processor.tokenizer, job.device, _dtype(job))
    arguments = DPOConfig(
        output_dir=str(job.folder / side.name),
        max_steps=job.num_steps,
        per_device_train_batch_size=side.micro_batch,
        gradient_accumulation_steps=job.shape.pairs_per_step // side.micro_batch,
        max_length=None,
        beta=BETA,
        loss_type=["sigmoid"],
        train_sampling_strategy="sequential",
        dataloader_num_workers=0 if job.device == "cpu" else 4,
        gradient_checkpointing=False,  # TRL's name for it, on unless told otherwise
        activation_checkpointing=job.activation_checkpointing,
        save_strategy="no",
        **_shared_arguments(job),
    )
    trainer = DPOTrainer(
        model,
        ref_model=None if job.lora else build_model(job.shape, processor.tokenizer, job.device, _dtype(job)),
        args=arguments,
        train_dataset=_dataset(job),
        processing_class=processor,
        peft_config=_trl_adapter(job, model) if job.lora else None,
    )
    watch = Stopwatch()
    batch = trainer.data_collator([trainer.train_dataset[k] for k in range(job.shape.pairs_per_step)])
    rows = zip(batch["input_ids"], batch["attention_mask"], strict=True)
    facts = {
        "collating": watch.read(),
        "tokens": _hash_of([ids[mask.bool()].tolist() for ids, mask in rows]),
        "trained_parameters": sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
    }
    return Built(trainer, facts)


def ours(job: Job, side: Side) -> Built:
    """Our trainer, put together as `spavl.stages.training.dpo` does; what it keeps is computed here, and timed."""
    from spavl.learning import encoding, trainer
    from spavl.learning.pictures import Pictures
    from spavl.learning.preparing import make_ready, prepare_process

    settings = _settings(job, side.parts)
    process = prepare_process(settings, job.folder / side.name, 1)
    processor = build_processor(job.shape)
    base = build_model(job.shape, processor.tokenizer, job.device, _dtype(job))
    prepared = make_ready(base, processor, settings, process)
    if not side.parts.blocks:
        base.get_decoder().config._attn_implementation = "sdpa"
    if not side.parts.head:
        _score_everywhere(base)
    watch = Stopwatch()
    encoded, _ = encoding.usable_pairs(job.pairs, prepared.encoder, prepared.stop, settings.max_length)
    facts: dict[str, Any] = {"encoding": watch.read()}
    files = {pair.image_id: pair.image for pair in job.pairs}
    kept = prepared.kept_features("random weights", files, job.folder / side.name)
    pictures = Pictures(processor, prepared.prompt, files, kept)
    objective, references = _objective(job, side, prepared, pictures, encoded, settings)
    hooks = trainer.Hooks(lambda *_: None, lambda *_: None, lambda: False)
    running = trainer.make_trainer(prepared.model, objective, process.arguments(job.num_steps), hooks)
    if kept is not None:
        facts["features"] = _timed(lambda: pictures.features(prepared.model, list(files)), job)
        facts["features_mb"] = kept.cache.counts.bytes / 1e6
    if side.parts.references:
        facts["references"] = _timed(lambda: references.fill(running.model, is_base=True), job)
    first = [pair.sequences(0) for pair in objective.step_pairs(0)]
    facts["tokens"] = _hash_of([list(map(int, both[k].input_ids)) for k in (0, 1) for both in first])
    facts |= {"how": prepared.facts(), "trained_parameters": prepared.num_trained}
    return Built(running, facts)


def _objective(
    job: Job, side: Side, prepared: Any, pictures: Any, encoded: Any, settings: Any
) -> tuple[Any, Any]:
    from spavl.artifacts.store import open_store
    from spavl.learning.references import ReferenceCache
    from spavl.stages.training.dpo_objective import DpoObjective, References

    terms = prepared.terms("random weights")
    store = open_store(f"file://{job.folder / side.name / 'store'}")
    references = References(encoded, terms, ReferenceCache(store, terms), prepared.layout, pictures)
    if side.parts.references:
        return DpoObjective(encoded, settings, prepared.layout, pictures, references), references
    frozen = _frozen_copy(job, prepared.processor, side.parts)
    return _online_objective()(frozen, encoded, settings, prepared.layout, pictures, references), references


def _frozen_copy(job: Job, processor: Any, parts: Parts) -> Any:
    from spavl.learning.scoring import add_scoring

    frozen = build_model(job.shape, processor.tokenizer, job.device, _dtype(job)).requires_grad_(False)
    add_scoring(frozen)
    if not parts.head:
        _score_everywhere(frozen)
    return frozen.eval()


def _online_objective() -> type:
    """DPO whose reference is a second model that reads every forward too, as in TRL."""
    import torch

    from spavl.stages.training.dpo_objective import DpoObjective, scored_answers

    class OnlineObjective(DpoObjective):
        def __init__(self, frozen: Any, *args: Any) -> None:
            super().__init__(*args)
            self._frozen = frozen

        def before_step(self, model: Any, step: int) -> None:
            pass

        def loss(self, model: Any, forward: Any) -> Any:
            logps = scored_answers(model, forward, self._pictures, self._layout.attention)
            with torch.no_grad():
                reference = scored_answers(self._frozen, forward, self._pictures, self._layout.attention)
            return self._loss_of(logps, reference, forward)

    return OnlineObjective


def _score_everywhere(model: Any) -> None:
    """Patch a model with scores so that its head reads every position, as TRL's does without Triton."""
    from spavl.learning.scoring import token_log_probs
    from spavl.learning.tree import NOT_SCORED

    def forward(*args: Any, scored: bool = False, shift_labels: Any = None, **inputs: Any) -> Any:
        assert scored
        hidden = model.base_model(*args, **{**inputs, "use_cache": False}).last_hidden_state
        is_scored = shift_labels != NOT_SCORED
        labels = shift_labels.clamp(min=0).flatten()
        logps = token_log_probs(hidden.flatten(0, 1), model.get_output_embeddings().weight, labels)
        return logps.view_as(is_scored).masked_fill(~is_scored, 0)

    model.forward = forward


def _shared_arguments(job: Job) -> dict[str, Any]:
    return {
        "learning_rate": LEARNING_RATE,
        "lr_scheduler_type": "cosine",
        "warmup_steps": WARMUP_STEPS,
        "optim": "adamw_torch",
        "bf16": job.bf16,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "report_to": "none",
        "disable_tqdm": True,
        "seed": 0,
        "use_cpu": job.device == "cpu",
    }


def _settings(job: Job, parts: Parts) -> Any:
    from spavl.stages.training.config import TrainingConfig

    base = {"kind": "transformers", "name": "random", "path": "random", "device": job.device}
    return TrainingConfig.model_validate(
        {
            "base": base,
            "lora": job.adapter if job.lora else None,
            "beta": BETA,
            "sft_weight": 0.0,
            "learning_rate": LEARNING_RATE,
            "warmup_steps": WARMUP_STEPS,
            "global_batch_size": job.shape.pairs_per_step,
            "checkpoint_every_steps": 10**6,
            "share_prefix": parts.tree,
            "group_by_image": parts.grouping,
            "max_forward_tokens": job.max_forward_tokens if parts.packing else 1,
            "keep_features_gb": 8.0 if parts.features else 0.0,
            "bf16": job.bf16,
            "activation_checkpointing": job.activation_checkpointing,
        }
    )


def _dataset(job: Job) -> Any:
    """The pairs as TRL wants them, step after step; images stay files until they are read."""
    import datasets

    ordered = [pair for step in steps_of(job.pairs, job.shape) for pair in step]

    def said(role: str, text: str) -> list[dict[str, str]]:
        return [{"role": role, "content": text}]

    rows = {
        "images": [[str(pair.image)] for pair in ordered],
        "prompt": [said("user", pair.question) for pair in ordered],
        "chosen": [said("assistant", pair.chosen) for pair in ordered],
        "rejected": [said("assistant", pair.rejected) for pair in ordered],
    }
    return datasets.Dataset.from_dict(rows).cast_column("images", datasets.List(datasets.Image()))


def _trl_adapter(job: Job, model: Any) -> Any:
    from peft import LoraConfig

    from spavl.learning.base_model import adapter_targets

    return LoraConfig(
        r=job.adapter["r"],
        lora_alpha=job.adapter["alpha"],
        lora_dropout=job.adapter["dropout"],
        target_modules=adapter_targets(model),
    )


def _dtype(job: Job) -> str:
    """Frozen weights in bfloat16 where matrix products are; trained ones in float32, as `preparing` has it."""
    return "bfloat16" if job.bf16 and job.lora else "float32"


def _timed(work: Callable[[], Any], job: Job) -> Seconds:
    import torch

    watch = Stopwatch()
    with torch.autocast(job.device.partition(":")[0], torch.bfloat16, enabled=job.bf16):
        work()
    if job.device != "cpu":
        torch.cuda.synchronize()
    return watch.read()


def _hash_of(sequences: Sequence[Sequence[int]]) -> str:
    return hashlib.sha256(repr(sequences).encode()).hexdigest()[:16]
