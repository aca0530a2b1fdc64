"""Attention in blocks reads no key after a block, and is transformers' own where there is nothing to cut."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from spavl.learning import attention

HEADS, SIZE = 2, 8


def drawn(num_tokens: int) -> torch.Tensor:
    return torch.randn(1, HEADS, num_tokens, SIZE, generator=torch.Generator().manual_seed(num_tokens))


def attend(num_queries: int, num_keys: int, mask: torch.Tensor | None) -> torch.Tensor:
    module = SimpleNamespace(is_causal=True)
    keys = drawn(num_keys)
    return attention._attention(module, drawn(num_queries), keys, keys, mask)[0]


@pytest.fixture
def key_counts(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Queries and keys of every call of transformers' attention."""
    from transformers.integrations import sdpa_attention

    seen: list[tuple[int, int]] = []
    plain = sdpa_attention.sdpa_attention_forward

    def noted(module, query, key, value, mask, **settings):
        seen.append((query.shape[2], key.shape[2]))
        return plain(module, query, key, value, mask, **settings)

    monkeypatch.setattr(sdpa_attention, "sdpa_attention_forward", noted)
    monkeypatch.setattr(attention, "BLOCK_TOKENS", 4)
    return seen


def test_a_block_reads_the_keys_up_to_its_end(key_counts) -> None:
    attend(10, 10, torch.ones(1, 1, 10, 10, dtype=torch.bool).tril())
    assert key_counts == [(4, 4), (4, 8), (2, 10)]


def test_blocks_give_the_softmax_of_the_whole_row(key_counts) -> None:
    mask = torch.ones(1, 1, 10, 10, dtype=torch.bool).tril()
    mask[..., 7:, 5:7] = False  # a sibling
    scores = drawn(10) @ drawn(10).transpose(2, 3) / SIZE**0.5
    expected = scores.masked_fill(~mask, -torch.inf).softmax(-1) @ drawn(10)
    torch.testing.assert_close(attend(10, 10, mask), expected.transpose(1, 2))


@pytest.mark.parametrize(("num_queries", "num_keys"), [(4, 4), (5, 9)], ids=["one block", "with a cache"])
def test_what_is_not_a_whole_long_row_is_not_cut(key_counts, num_queries: int, num_keys: int) -> None:
    attend(num_queries, num_keys, torch.ones(1, 1, num_queries, num_keys, dtype=torch.bool))
    assert key_counts == [(num_queries, num_keys)]


def test_without_a_mask_attention_is_causal_as_before(key_counts) -> None:
    attend(10, 10, None)
    assert key_counts == [(10, 10)]
