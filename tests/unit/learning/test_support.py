"""Which models may share prefixes, and the sentence about those that may not."""

from __future__ import annotations

import pytest
from tests import tiny_vlms

from spavl.learning.support import tree_support


@pytest.mark.parametrize("name", sorted(set(tiny_vlms.ARCHITECTURES) - {"llava_mistral"}))
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_verified_architectures_share_prefixes(name: str, attention: str) -> None:
    assert tree_support(tiny_vlms.build(name, attention=attention).model) is None


def test_mistral_shares_prefixes_only_without_its_window() -> None:
    assert "window" in tree_support(tiny_vlms.build("llava_mistral", sliding_window=16).model)
    assert tree_support(tiny_vlms.build("llava_mistral", sliding_window=None).model) is None


def test_a_window_in_some_layers_is_enough_to_refuse() -> None:
    window = {"use_sliding_window": True, "sliding_window": 8}
    assert "window" in tree_support(tiny_vlms.build("llava_qwen2", **window, max_window_layers=2).model)
    assert tree_support(tiny_vlms.build("llava_qwen2", **window, max_window_layers=3).model) is None


def test_attention_without_a_mask_of_its_own_is_refused() -> None:
    vlm = tiny_vlms.build("llava_llama")
    vlm.model.get_decoder().config._attn_implementation = "flash_attention_2"
    assert "'flash_attention_2' takes no mask" in tree_support(vlm.model)


def test_an_architecture_that_nobody_compared_is_refused() -> None:
    vlm = tiny_vlms.build("llava_llama")
    vlm.model.config.model_type = "llava_next"
    assert "not verified for 'llava_next' on 'llama'" in tree_support(vlm.model)


def test_rotary_embeddings_stretched_by_length_are_refused() -> None:
    rope = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}
    assert "'dynamic'" in tree_support(tiny_vlms.build("llava_llama", rope_parameters=rope).model)


def test_a_wrapped_model_is_judged_by_what_it_wraps() -> None:
    from peft import LoraConfig, get_peft_model

    wrapped = get_peft_model(tiny_vlms.build("llava_llama").model, LoraConfig(r=2, target_modules=["q_proj"]))
    assert tree_support(wrapped) is None
