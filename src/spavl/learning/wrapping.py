"""The transformers model inside whatever training has put around it, and models that training leaves alone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


def unwrapped(model: Any) -> Any:
    """The `PreTrainedModel` inside PEFT, DistributedDataParallel or a DeepSpeed engine; a bare one as it is."""
    from transformers import PreTrainedModel

    while not isinstance(model, PreTrainedModel):
        model = model.get_base_model() if hasattr(model, "get_base_model") else model.module
    return model


@contextlib.contextmanager
def whole_weights() -> Iterator[None]:
    """Within it, models are loaded whole: under ZeRO-3 transformers splits every model that is loaded over the ranks.

    For a model that no engine gathers again: a frozen reference, a reward model.
    """
    from transformers.integrations import deepspeed

    known = deepspeed._hf_deepspeed_config_weak_ref
    config = known and known()
    deepspeed.unset_hf_deepspeed_config()
    try:
        yield
    finally:
        if config is not None:
            deepspeed.set_hf_deepspeed_config(config)
