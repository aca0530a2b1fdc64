"""Attention for trees on a CPU, in blocks of queries: a token's ancestors stand before it, so a block reads no key after it.

torch's CPU kernel computes every score of a masked attention and then hides half of a tree's. Cut into blocks, a row of 731
tokens (576 of them an image's) takes 0.71 of the time, one of 1,039 takes 0.65, forward and backward; below two blocks nothing is
gained. GPU kernels are left as they are: there it has not been measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

IN_BLOCKS = "sdpa_in_blocks"  # its name among transformers' attention implementations
BLOCK_TOKENS = 256  # 128 to 384 were within a tenth of each other


def attend_in_blocks(model: Any) -> None:
    """Switch the language model inside a transformers model from 'sdpa' to blocks; only for one that attends causally."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(IN_BLOCKS, _attention)
    AttentionMaskInterface.register(IN_BLOCKS, sdpa_mask)
    model.get_decoder().config._attn_implementation = IN_BLOCKS


def _attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **settings: Any,
) -> tuple[torch.Tensor, None]:
    """As transformers' sdpa: query, key, value [B, heads, L, size], mask [B, 1, L, L] or None, result [B, L, heads, size]."""
    import torch
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    num_tokens = query.shape[2]
    # fewer queries than keys: tokens are added to a cache, and the block's place is unknown
    if attention_mask is None or num_tokens <= BLOCK_TOKENS or num_tokens != key.shape[2]:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **settings)
    blocks = []
    for start in range(0, num_tokens, BLOCK_TOKENS):
        stop = min(start + BLOCK_TOKENS, num_tokens)
        mask = attention_mask[:, :, start:stop, :stop]
        here = query[:, :, start:stop], key[:, :, :stop], value[:, :, :stop]
        blocks.append(sdpa_attention_forward(module, *here, mask, **settings)[0])
    return torch.cat(blocks, dim=1), None
