"""Images as the model reads them: pixels, or the frozen tower's output kept from an earlier pass.

SPA-VL freezes the vision tower, so its output for an image never changes while projector and language model learn. What
is kept is exactly what the projector reads; the projector itself runs inside the model's own forward, because it is
trained and because the hooks of DDP and ZeRO expect every trained module there. transformers takes encoder outputs in
place of pixels (`mm_encoder_outputs`) and reads their `pooler_output` within that forward; `_Projected` makes it then.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from spavl.learning.wrapping import unwrapped

if TYPE_CHECKING:
    import torch

Features = dict[str, "torch.Tensor"]  # of one image: what each of its projectors reads


@dataclass(frozen=True)
class Parts:
    """Where an architecture keeps its tower and projectors, as paths inside the transformers model."""

    tower: str
    projector: str
    deepstack: str | None = None  # a list of further projectors, one for each depth
    has_windows: bool = False  # the tower reorders an image's patches for window attention


ARCHITECTURES = {
    "llava": Parts("model.vision_tower", "model.multi_modal_projector"),
    "idefics3": Parts("model.vision_model", "model.connector"),
    "smolvlm": Parts("model.vision_model", "model.connector"),
    "qwen2_vl": Parts("model.visual", "model.visual.merger"),
    "qwen2_5_vl": Parts("model.visual", "model.visual.merger", has_windows=True),
    "qwen3_vl": Parts("model.visual", "model.visual.merger", deepstack="model.visual.deepstack_merger_list"),
}


def join_image_inputs(inputs: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The model's image arguments for images in this order, from those of each image alone.

    Idefics3 and SmolVLM read [1, frames, 3, H, W] and match frames to tokens by their order alone, so all frames go
    into one row, whatever the number of rows of tokens; the others have their images or patches first.
    """
    import torch

    if not inputs:
        raise ValueError("every forward has an image")
    axis = 1 if inputs[0]["pixel_values"].ndim == 5 else 0
    return {name: torch.cat([of_one[name] for of_one in inputs], dim=axis) for name in inputs[0]}


def features_allowed(model: Any) -> str | None:
    """None where the tower's output can be kept, otherwise one sentence with the reason."""
    base = unwrapped(model)
    kind = base.config.model_type
    if kind not in ARCHITECTURES:
        return f"the vision tower of {kind!r} is not known here, so every image is encoded in every step."
    trained = [name for name, parameter in _tower_parameters(base) if parameter.requires_grad]
    if trained:
        return (
            f"{len(trained)} parameters of the vision tower are trained ({trained[0]} is one), "
            "so every image is encoded in every step."
        )
    return None


def tower_features(model: Any, inputs: Mapping[str, torch.Tensor]) -> Features:
    """What the projectors read of ONE image whose arguments are `inputs`; no gradient, on the model's device.

    Call it in the precision (autocast) in which the model is trained.
    """
    import torch

    base = unwrapped(model)
    read: Features = {}
    with torch.no_grad(), contextlib.ExitStack() as hooks:
        for name, projector in _projectors(base).items():
            hooks.enter_context(_noting_input(projector, read, name))
            # an adapter's dropout would draw random numbers here that a run with kept features does not draw
            hooks.enter_context(_evaluating(projector))
        base.get_image_features(**inputs)
    if ARCHITECTURES[base.config.model_type].has_windows:
        read["projector"] = _in_image_order(base, read["projector"], inputs["image_grid_thw"])
    return read


def encoder_outputs(model: Any, features: Sequence[Features]) -> dict[str, Any]:
    """The model's argument `mm_encoder_outputs` for images in the order of their tokens; replaces all image arguments."""
    return {"image": _Projected(_projectors(unwrapped(model)), features)}


@dataclass(eq=False)
class _Projected:
    """Projects kept features when the model's forward asks for them; stands in for transformers' encoder output."""

    projectors: dict[str, Any]
    features: Sequence[Features] = field(repr=False)

    @property
    def pooler_output(self) -> list[torch.Tensor]:
        """All image tokens' embeddings [tokens, width], as a list of one tensor."""
        return [self._project("projector")]

    @property
    def deepstack_features(self) -> list[list[torch.Tensor]]:
        """The same for every further depth."""
        return [[self._project(name)] for name in self.projectors if name != "projector"]

    def _project(self, name: str) -> torch.Tensor:
        import torch

        projector = self.projectors[name]
        device = next(projector.parameters()).device
        read = torch.cat([of_image[name].to(device, non_blocking=True) for of_image in self.features])
        projected = projector(read)
        return projected.reshape(-1, projected.shape[-1])


def _projectors(base: Any) -> dict[str, Any]:
    """Modules by the name of their features: `projector`, then `deepstack_0`, … in the order of depth."""
    parts = ARCHITECTURES[base.config.model_type]
    deepstack = base.get_submodule(parts.deepstack) if parts.deepstack else ()
    return {"projector": base.get_submodule(parts.projector)} | {
        f"deepstack_{depth}": module for depth, module in enumerate(deepstack)
    }


def _tower_parameters(base: Any) -> Iterator[tuple[str, torch.nn.Parameter]]:
    """Name and parameter of all that stands before the projectors."""
    of_projectors = {id(p) for module in _projectors(base).values() for p in module.parameters()}
    tower = base.get_submodule(ARCHITECTURES[base.config.model_type].tower)
    return ((name, p) for name, p in tower.named_parameters() if id(p) not in of_projectors)


@contextlib.contextmanager
def _noting_input(module: Any, read: Features, name: str) -> Iterator[None]:
    """Within the context, what `module` is called with is put into `read`."""

    def note(_: Any, args: tuple[torch.Tensor, ...]) -> None:
        read[name] = args[0].detach()

    handle = module.register_forward_pre_hook(note)
    try:
        yield
    finally:
        handle.remove()


@contextlib.contextmanager
def _evaluating(module: Any) -> Iterator[None]:
    was_training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(was_training)


def _in_image_order(base: Any, read: torch.Tensor, grid_thw: torch.Tensor) -> torch.Tensor:
    """Patches [patches, width] from the order of windows to the image's own, in whole groups that are merged later.

    The tower itself reorders after its merger; done before, several images need no common list of windows.
    """
    import torch
    from transformers.vision_utils import get_vision_window_index

    visual = base.model.visual
    windows, _ = get_vision_window_index(
        grid_thw, visual.spatial_merge_size, visual.window_size, visual.patch_size
    )
    groups = read.view(len(windows), visual.spatial_merge_unit, -1)
    return groups[torch.argsort(windows).to(read.device)].view_as(read)
