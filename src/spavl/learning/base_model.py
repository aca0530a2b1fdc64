"""The model to align: where it lies, how it is loaded, and which of its parts are trained.

SPA-VL freezes the vision tower and trains projector and language model; freezing the projector too is worse. With LoRA,
every linear layer of the language model and of the projector gets an adapter, so one learning rate fits all that is
trained and switching the adapters off gives back exactly the base model, which is DPO's reference.
"""

from __future__ import annotations

import contextlib
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spavl.config import ModelSpec, TransformersModel
from spavl.errors import UserError
from spavl.inference.files import (
    NOTHING,
    Allowed,
    allowed_by,
    code_arguments,
    code_explained,
    hub_folder,
    weights_arguments,
)
from spavl.inference.processor import pil_processor
from spavl.inference.revision import folder_of, folder_revision

# names of submodules in transformers' vision-language models; a projector may lie inside the tower's module (Qwen's merger)
PROJECTORS = {"multi_modal_projector", "connector", "merger", "deepstack_merger_list", "modality_projection"}
TOWERS = {"vision_tower", "vision_model", "visual"}
HEADS = {"lm_head"}  # TRL reads its weight directly, so an adapter on it would never be trained


def part_of(name: str) -> str:
    """`vision`, `projector`, `head` or `language`, by a parameter's or a module's dotted name."""
    words = set(name.split("."))
    if words & PROJECTORS:
        return "projector"
    if words & TOWERS:
        return "vision"
    return "head" if words & HEADS else "language"


def transformers_base(base: ModelSpec | None) -> TransformersModel:
    """The base as a transformers model; raises UserError where the config names none."""
    if isinstance(base, TransformersModel):
        return base
    seen = "is not set" if base is None else f"is of kind {base.kind!r}"
    raise UserError(f"training.base {seen}; only a model of kind 'transformers' can be trained.")


def base_folder(base: TransformersModel, revision: str) -> Path:
    """The local folder with the base's files; a hub id is fetched at `revision`, without pickles and code that are not named.

    Raises UserError where a folder's files are not those that the plan pinned, or hold a pickle that is not named.
    """
    folder = folder_of(base)
    if folder is None:
        return hub_folder(base, revision)
    seen = folder_revision(folder, base.name, allowed_by(base))
    if seen != revision:
        raise UserError(
            f"the files of base model {base.name!r} are {seen}, and this run was planned with {revision}.",
            next_step="Put the planned files back, or start a new run.",
        )
    return folder


def load_processor(folder: Path, allowed: Allowed = NOTHING) -> Any:
    """The model's processor; raises UserError where the folder has none for images."""
    from transformers import ProcessorMixin

    with code_explained(f"the processor in {folder.name!r}"):
        processor = pil_processor(folder, **code_arguments(allowed))
    if not isinstance(processor, ProcessorMixin) or not hasattr(processor, "image_processor"):
        raise UserError(
            f"the base model in {folder.name!r} has no image processor; a vision-language model is needed."
        )
    return processor


def load_model(folder: Path, dtype: str, attention: str = "sdpa", allowed: Allowed = NOTHING) -> Any:
    """The model's weights in `dtype`, dropout off, the vision tower frozen; raises UserError for weights, or code, that may
    not be loaded, and without a tower.
    """
    import torch
    from transformers import AutoModelForImageTextToText

    # pickles that are not named are not even fetched from the hub
    if not allowed.pickles and not any(folder.glob("*.safetensors")):
        raise UserError(
            f"the base model in {folder.name!r} has no .safetensors file; weights as pickles are refused, since loading one can run any code.",
            next_step="Save it with save_pretrained, name a revision that has safetensors, or name the pickles that you trust in "
            "`allow_pickles` of this model in the profile.",
        )
    with code_explained(f"the base model in {folder.name!r}"), _pickles_explained(folder):
        model = AutoModelForImageTextToText.from_pretrained(
            folder,
            dtype=getattr(torch, dtype),
            attn_implementation=attention,
            **weights_arguments(folder, allowed),
            **code_arguments(allowed),
        )
    if not any(part_of(name) == "vision" for name, _ in model.named_parameters()):
        raise UserError(
            f"no vision tower was found in the base model ({type(model).__name__}).",
            next_step=f"Known towers are {sorted(TOWERS)}.",
        )
    switch_off_dropout(model)
    for name, parameter in model.named_parameters():
        if part_of(name) == "vision":
            parameter.requires_grad_(False)
    return model


def stored_dtype(folder: Path, allowed: Allowed) -> Any:
    """The precision of the base's files, float32 where they do not say."""
    import torch
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(folder, **code_arguments(allowed)).dtype or torch.float32


def copy_code(folder: Path, to: Path, allowed: Allowed) -> None:
    """Put the code that a base needs beside what was made of it: its config names it."""
    for name in allowed.code:
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, to / name)


@contextlib.contextmanager
def _pickles_explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except pickle.UnpicklingError as error:
        raise UserError(
            f"the base model in {folder.name!r} has a pickle with more than weights in it, which is not loaded even where it is named.",
            next_step="Save the weights alone, best with save_pretrained.",
        ) from error


def switch_off_dropout(model: Any) -> None:
    """No dropout in the model itself: policy and reference must agree before the first step. Adapters come later."""
    import torch

    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        for name in ("attention_dropout", "dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)


def adapter_targets(model: Any) -> list[str]:
    """Names of all linear layers of language model and projector, the head left out."""
    import torch

    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and part_of(name) in ("language", "projector")
    ]
