"""Models beside the one in training are loaded whole."""

from __future__ import annotations

from transformers.integrations.deepspeed import (
    HfDeepSpeedConfig,
    is_deepspeed_zero3_enabled,
    unset_hf_deepspeed_config,
)

from spavl.learning.wrapping import whole_weights


def test_loading_knows_nothing_of_zero_3_and_training_knows_it_again() -> None:
    with whole_weights():
        assert not is_deepspeed_zero3_enabled()
    assert not is_deepspeed_zero3_enabled()
    kept = HfDeepSpeedConfig({"zero_optimization": {"stage": 3}})
    try:
        assert is_deepspeed_zero3_enabled()
        with whole_weights():
            assert not is_deepspeed_zero3_enabled()
        assert is_deepspeed_zero3_enabled() and kept.is_zero3()
    finally:
        unset_hf_deepspeed_config()
