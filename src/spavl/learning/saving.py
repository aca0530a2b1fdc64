"""What training leaves behind: a whole model with its processor, adapters merged in float32, and the adapter alone.

Written by rank 0 from the trained weights in float32, on a fresh copy of the base: with bf16 the one in training is rounded,
and under ZeRO it is in pieces.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spavl.config import LearningConfig, TransformersModel
from spavl.learning import base_model
from spavl.learning.preparing import Prepared, with_adapters


def save_adapter(
    prepared: Prepared, state: Mapping[str, Any], settings: LearningConfig, folder: Path
) -> Path:
    """The adapter in PEFT's own format; it names no folder of this machine."""
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    model = prepared.model
    whole = {name: state.get(name, parameter) for name, parameter in model.named_parameters()}
    kept = get_peft_model_state_dict(model, state_dict=whole, save_embedding_layers=False)
    folder.mkdir(parents=True)
    save_file(
        {name: tensor.contiguous() for name, tensor in kept.items()}, folder / "adapter_model.safetensors"
    )
    config = model.peft_config["default"].to_dict()
    base: TransformersModel = base_model.transformers_base(settings.base)
    config |= {
        "target_modules": sorted(
            config["target_modules"]
        ),  # a set, in an order that changes with every process
        "base_model_name_or_path": base.name if base_model.folder_of(base) else base.path,
        "inference_mode": True,
    }
    text = json.dumps(config, indent=2, sort_keys=True, default=_plain)
    (folder / "adapter_config.json").write_text(text + "\n", "utf-8")
    return folder


def save_model(
    prepared: Prepared, state: Mapping[str, Any], base: Path, settings: LearningConfig, folder: Path
) -> Path:
    """The whole model in the precision of the base's files, and its processor."""
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    unset_hf_deepspeed_config()  # or the fresh copy would be split over the ranks
    allowed = base_model.allowed_by(base_model.transformers_base(settings.base))
    model = with_adapters(base_model.load_model(base, "float32", allowed=allowed), settings)
    unknown = model.load_state_dict(dict(state), strict=False).unexpected_keys
    assert not unknown, f"trained weights without a place: {unknown[:3]}"
    if settings.lora:
        model = model.merge_and_unload()
    model.to(base_model.stored_dtype(base, allowed)).save_pretrained(folder)  # always as safetensors
    prepared.processor.save_pretrained(folder)
    for name in ("config.json", "generation_config.json"):  # training changes both: no cache, other padding
        if (base / name).is_file():
            shutil.copyfile(base / name, folder / name)
    base_model.copy_code(base, folder, allowed)
    return folder


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, set) else str(value)
