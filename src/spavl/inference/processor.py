"""Loads a model's processor so that pictures are read by PIL: torchvision gives other pixels, and is not everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spavl.errors import UserError


def pil_processor(source: str | Path, **arguments: Any) -> Any:
    """AutoProcessor with PIL's image processor; `arguments` are those of `from_pretrained`.

    Processors that read videos too (Qwen-VL, SmolVLM) have no such form as a whole: their video part is torchvision's, and is
    loaded but never used. Raises UserError where what it needs is not installed.
    """
    from transformers import AutoImageProcessor, AutoProcessor

    try:
        return AutoProcessor.from_pretrained(source, backend="pil", **arguments)
    except ImportError:
        pass  # its video processor knows no backend "pil"
    try:
        processor = AutoProcessor.from_pretrained(source, **arguments)
    except ImportError as error:
        first_line = str(error).strip().partition("\n")[0]
        raise UserError(
            f"the processor of {source} needs a package that is not installed: {first_line}",
            next_step="pip install 'spavl[vision]', whose torchvision must be of the same build as torch.",
        ) from error
    processor.image_processor = AutoImageProcessor.from_pretrained(source, backend="pil", **arguments)
    return processor
