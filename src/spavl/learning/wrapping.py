"""The transformers model inside whatever training has put around it."""

from __future__ import annotations

from typing import Any


def unwrapped(model: Any) -> Any:
    """The `PreTrainedModel` inside PEFT, DistributedDataParallel or a DeepSpeed engine; a bare one as it is."""
    from transformers import PreTrainedModel

    while not isinstance(model, PreTrainedModel):
        model = model.get_base_model() if hasattr(model, "get_base_model") else model.module
    return model
