"""From a base and its settings to a model that is ready to train: process, precision, layout, adapters, kept features."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from spavl import ranks
from spavl.config import LearningConfig
from spavl.errors import UserError
from spavl.learning import base_model, process_group, rendering
from spavl.learning.attention import attend_in_blocks
from spavl.learning.cache_keys import code_version, feature_key, processor_fingerprint
from spavl.learning.encoding import PairEncoder
from spavl.learning.feature_cache import FeatureCache
from spavl.learning.pictures import KeptFeatures
from spavl.learning.references import Terms
from spavl.learning.scoring import add_scoring
from spavl.learning.steps import Layout
from spavl.learning.support import tree_support
from spavl.learning.trainer import trainer_arguments
from spavl.learning.vision import features_allowed

log = logging.getLogger("spavl")


@dataclass(frozen=True)
class Process:
    """This process among the ranks; `base_arguments` started the process group where there are several."""

    base_arguments: Any
    settings: LearningConfig
    folder: Path

    @property
    def rank(self) -> int:
        return self.base_arguments.process_index

    @property
    def num_ranks(self) -> int:
        return self.base_arguments.world_size

    def arguments(self, num_steps: int) -> Any:
        """The trainer's arguments for this many steps."""
        self.base_arguments.max_steps = num_steps
        return self.base_arguments

    def gather(self, computed: dict[str, float]) -> dict[str, float]:
        """The union of all ranks' dictionaries, on every rank."""
        return {key: value for of_rank in process_group.gather(computed) for key, value in of_rank.items()}


@dataclass(frozen=True)
class Prepared:
    """A model that is ready to train, and what belongs to it."""

    model: Any
    processor: Any
    encoder: PairEncoder
    stop: rendering.StopTokens
    layout: Layout
    prompt: str  # a rendered prompt: processors read images together with one
    settings: LearningConfig
    plain_reason: str | None  # why the prefix is not shared, where it is not
    features_reason: str | None  # why the tower's output is not kept, where it is not

    @property
    def config(self) -> Any:
        return self.model.config

    @property
    def num_trained(self) -> int:
        """Trained parameters."""
        sizes = (getattr(p, "ds_numel", p.numel()) for p in self.model.parameters() if p.requires_grad)
        return sum(sizes)

    @property
    def precision(self) -> str:
        """Dtype of the weights, and of matrix products."""
        if self.settings.bf16 and self.settings.zero_stage:
            return (
                "bfloat16 by DeepSpeed"  # the weights that it computes with; its own master copy is float32
            )
        weights = str(next(self.model.parameters()).dtype).removeprefix("torch.")
        return f"{weights}, autocast bfloat16" if self.settings.bf16 else weights

    def terms(self, base_revision: str) -> Terms:
        """What decides the base's log-probabilities."""
        return Terms(
            base_revision=base_revision,
            adapter_hash="",
            processor=processor_fingerprint(self.processor),
            chat_template=hashlib.sha256((self.processor.chat_template or "").encode()).hexdigest(),
            precision=self.precision,
            attention=self.layout.attention,
            code=code_version(),
        )

    def kept_features(
        self, base_revision: str, files: Mapping[str, Path], folder: Path
    ) -> KeptFeatures | None:
        """The place where the tower's outputs are kept; None where they are not."""
        if self.features_reason is not None:
            return None
        disk = folder / "features" if self.settings.keep_features_on == "disk" else None
        terms = {
            "base_revision": base_revision,
            "processor": processor_fingerprint(self.processor),
            "precision": self.precision,
            "attention": str(self.config.vision_config._attn_implementation),
            "code": code_version(),
        }
        keys = {image: feature_key(image_sha256=image, **terms) for image in files}
        return KeptFeatures(FeatureCache(int(self.settings.keep_features_gb * 1e9), disk), keys)

    def facts(self) -> dict[str, Any]:
        """How it was trained, for the record."""
        return {
            "layout": "shared prefix" if self.layout.is_tree else f"plain: {self.plain_reason}",
            "features": "kept" if self.features_reason is None else f"computed: {self.features_reason}",
            "precision": self.precision,
            "attention": self.layout.attention,
        }


def prepare_process(settings: LearningConfig, work_folder: Path, num_threads: int) -> Process:
    """Quiet libraries, threads, the device and, under torchrun, the process group."""
    import warnings

    import datasets
    import torch
    from huggingface_hub import constants
    from transformers.utils import logging as transformers_logging

    constants.HF_HUB_DISABLE_TELEMETRY = True
    datasets.disable_progress_bars()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")  # transformers warns itself
    warnings.filterwarnings("ignore", message=".*torch.distributed.* is deprecated.*")  # DeepSpeed's calls
    device = base_model.transformers_base(settings.base).device
    use_cpu = device == "cpu" or not torch.cuda.is_available()
    if use_cpu and device.startswith("cuda"):
        raise UserError(f"training.base.device is {device!r}, and this machine shows no CUDA device.")
    if use_cpu:
        torch.set_num_threads(num_threads)
        os.environ.setdefault(
            "DS_ACCELERATOR", "cpu"
        )  # else DeepSpeed warns on standard output that it looks for one
    elif torch.cuda.device_count() > 1 and ranks.num_ranks() == 1:
        raise UserError(
            f"one process trains on one accelerator, and it sees {torch.cuda.device_count()}.",
            next_step="Set launch.num_training_processes, start it under torchrun, or set CUDA_VISIBLE_DEVICES to one of them.",
        )
    elif ranks.local_rank() >= torch.cuda.device_count():
        raise UserError(
            f"this machine shows {torch.cuda.device_count()} CUDA device(s), and rank {ranks.rank()} is number {ranks.local_rank()} here, counted from 0.",
            next_step="Start as many processes on a machine as it has devices.",
        )
    process_group.join(use_cpu=use_cpu, zero_stage=settings.zero_stage)
    arguments = trainer_arguments(
        settings, 1, work_folder / "checkpoints", use_cpu=use_cpu, deepspeed=_deepspeed(settings)
    )
    return Process(arguments, settings, work_folder)


def prepare_model(base: Path, settings: LearningConfig, process: Process) -> Prepared:
    """Load the base and make it ready; raises UserError where it cannot be trained."""
    allowed = base_model.allowed_by(base_model.transformers_base(settings.base))
    processor = base_model.load_processor(base, allowed)
    model = base_model.load_model(base, _dtype(settings), settings.attention, allowed)
    return make_ready(model, processor, settings, process)


def make_ready(model: Any, processor: Any, settings: LearningConfig, process: Process) -> Prepared:
    """A loaded base made ready: its scores, its layout, its adapters; raises UserError where it cannot be trained."""
    from transformers import set_seed

    add_scoring(model)
    stop = rendering.stop_tokens(processor, model.generation_config)
    encoder = PairEncoder(model, processor)
    set_seed(settings.seed)  # the adapters' start
    adapted = with_adapters(model, settings)
    plain_reason = tree_support(model) if settings.share_prefix else "training.share_prefix is off."
    features_reason = _features_reason(adapted, settings)
    for reason in (plain_reason, features_reason):
        if reason is not None and process.rank == 0:
            log.info("training: %s", reason)
    attention = model.get_decoder().config._attn_implementation
    if plain_reason is None and attention == "sdpa" and process.base_arguments.device.type == "cpu":
        attend_in_blocks(model)
    pad_id = processor.tokenizer.pad_token_id
    layout = Layout(
        is_tree=plain_reason is None,
        pad_id=stop.ids[0] if pad_id is None else pad_id,
        image_token_id=model.config.image_token_id,
        max_forward_tokens=settings.max_forward_tokens,
        attention=model.get_decoder().config._attn_implementation,
    )
    prompt = rendering.any_prompt(processor)
    return Prepared(
        adapted, processor, encoder, stop, layout, prompt, settings, plain_reason, features_reason
    )


def with_adapters(model: Any, settings: LearningConfig) -> Any:
    """The model with LoRA on every linear layer of language model and projector, where the settings have LoRA."""
    if not settings.lora:
        return model
    from peft import LoraConfig, get_peft_model

    adapter = LoraConfig(
        r=settings.lora.r,
        lora_alpha=settings.lora.alpha,
        lora_dropout=settings.lora.dropout,
        target_modules=base_model.adapter_targets(model),
    )
    return get_peft_model(model, adapter, autocast_adapter_dtype=settings.zero_stage != 3)


def _dtype(settings: LearningConfig) -> str:
    """Frozen weights in bfloat16 where matrix products are; trained ones in float32, because they take small updates."""
    return "bfloat16" if settings.bf16 and settings.lora else "float32"


def _features_reason(model: Any, settings: LearningConfig) -> str | None:
    if settings.keep_features_gb == 0:
        return "training.keep_features_gb is 0."
    if settings.zero_stage == 3:
        return "ZeRO-3 splits the vision tower, and ranks must run it together, so every image is encoded in every step."
    return features_allowed(model)


def _deepspeed(settings: LearningConfig) -> str | None:
    if not settings.zero_stage:
        return None
    return str(resources.files("spavl.learning") / "deepspeed" / f"zero{settings.zero_stage}.json")
