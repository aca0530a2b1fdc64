"""Too little memory is told with the settings that take less, and never with those that are in use already."""

from __future__ import annotations

from typing import Any

import pytest

from spavl.errors import UserError
from spavl.learning.memory import out_of_memory_explained
from spavl.stages.reward.config import RewardConfig
from spavl.stages.training.config import TrainingConfig


def explained(**settings: Any) -> UserError:
    import torch

    wanting = out_of_memory_explained(TrainingConfig(**settings), "training")
    with pytest.raises(UserError) as raised, wanting:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
    return raised.value


def test_too_little_memory_names_every_setting_that_takes_less() -> None:
    error = explained(max_forward_tokens=8192)
    assert "the accelerator has too little memory" in error.message
    for words in (
        "lower training.max_forward_tokens (now 8192)",
        "set training.bf16",
        "set training.activation_checkpointing",
        "set training.zero_stage to 2 or 3 (now 0)",
        "set training.lora",
    ):
        assert words in error.next_step
    assert "\n" not in str(error)


def test_what_is_in_use_already_is_not_advised() -> None:
    error = explained(bf16=True, activation_checkpointing=True, zero_stage=3, lora={"r": 8})
    assert error.next_step.endswith("lower training.max_forward_tokens (now 16384).")
    assert "zero_stage" not in error.next_step


def test_the_settings_are_those_of_the_stage_that_wanted_more() -> None:
    import torch

    wanting = out_of_memory_explained(RewardConfig(), "reward")
    with pytest.raises(UserError, match=r"reward\.zero_stage to 2 or 3"), wanting:
        raise torch.OutOfMemoryError


def test_other_errors_keep_their_traceback() -> None:
    with pytest.raises(RuntimeError, match="shapes"), out_of_memory_explained(TrainingConfig(), "training"):
        raise RuntimeError("shapes do not fit")
