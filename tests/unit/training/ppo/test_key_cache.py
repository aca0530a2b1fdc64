"""A generation's keys and values lie in memory that is set aside once, and are those of transformers' own cache."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, MistralConfig
from transformers.cache_utils import DynamicCache

from spavl.stages.training.ppo.key_cache import cache_with_room

SIZES = {"num_hidden_layers": 2, "hidden_size": 8, "num_attention_heads": 2, "num_key_value_heads": 2}


def model_of(config: Any) -> Any:
    """As much of a model as a cache asks for."""
    return SimpleNamespace(config=config)


def test_what_attention_reads_is_what_transformers_cache_gives() -> None:
    config = LlamaConfig(**SIZES)
    ours, theirs = cache_with_room(model_of(config), 9), DynamicCache(config=config)
    draw = torch.Generator().manual_seed(0)
    for num_new in (5, 1, 1, 2):
        for layer in (0, 1):
            keys, values = torch.randn(2, 3, 2, num_new, 4, generator=draw)
            for seen, expected in zip(
                ours.update(keys, values, layer), theirs.update(keys, values, layer), strict=True
            ):
                assert torch.equal(seen, expected)
        assert ours.get_seq_length() == theirs.get_seq_length()
        assert ours.get_mask_sizes(1, 0) == theirs.get_mask_sizes(1, 0)


def test_a_token_is_written_behind_those_before_it() -> None:
    cache = cache_with_room(model_of(LlamaConfig(**SIZES)), 6)
    new = torch.ones(1, 2, 1, 4)
    places = {cache.update(new, new, 0)[0].data_ptr() for _ in range(6)}
    assert len(places) == 1
    with pytest.raises(RuntimeError):  # and never further than there is room
        cache.update(new, new, 0)


def test_a_sliding_window_stays_transformers_own() -> None:
    config = MistralConfig(**SIZES, sliding_window=4)
    seen, expected = cache_with_room(model_of(config), 9), DynamicCache(config=config)
    assert [type(layer) for layer in seen.layers] == [type(layer) for layer in expected.layers]
    assert all(layer.is_sliding for layer in seen.layers)
