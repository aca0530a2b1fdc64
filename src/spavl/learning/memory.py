"""What to do where an accelerator's memory is too little, in place of a traceback."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from spavl.config import LearningConfig
from spavl.errors import UserError


@contextlib.contextmanager
def out_of_memory_explained(settings: LearningConfig, section: str) -> Iterator[None]:
    """Inside, running out of an accelerator's memory is a UserError that names the settings of `section` that take less."""
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"the accelerator has too little memory for this training ({_size_gb()}).",
            next_step=f"In the order of what it costs: {'; '.join(_remedies(settings, section))}.",
        ) from error


def _remedies(settings: LearningConfig, section: str) -> list[str]:
    found = [f"lower {section}.max_forward_tokens (now {settings.max_forward_tokens})"]
    if not settings.bf16:
        found.append(f"set {section}.bf16")
    if not settings.activation_checkpointing:
        found.append(f"set {section}.activation_checkpointing (about 20 % slower)")
    if settings.zero_stage < 3:
        wanted = "2 or 3" if settings.zero_stage == 0 else "3"
        found.append(f"set {section}.zero_stage to {wanted} (now {settings.zero_stage}), with more processes")
    if not settings.lora:
        found.append(f"set {section}.lora, which trains adapters only")
    return found


def _size_gb() -> str:
    import torch

    if not torch.cuda.is_available():
        return "size unknown"
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    return f"{properties.total_memory / 1e9:.0f} GB"
