"""Whether the tree layout is exact for a model; where it is not, the plain layout is used and the reason is told.

The list grows by verification, not by guessing: `tests/unit/learning/test_tree_equality.py` compares scores and gradients.
"""

from __future__ import annotations

from typing import Any

from spavl.learning.attention import IN_BLOCKS
from spavl.learning.wrapping import unwrapped

# model type of the whole -> model types of its text part whose scores were compared with the plain layout's
VERIFIED = {
    "llava": {"llama", "qwen2", "mistral"},
    "qwen2_vl": {"qwen2_vl_text"},
    "qwen2_5_vl": {"qwen2_5_vl_text"},
    "qwen3_vl": {"qwen3_vl_text"},
    "idefics3": {"llama"},
    "smolvlm": {"llama"},
}
TAKES_A_MASK = ("sdpa", "eager", IN_BLOCKS)
# these stretch all positions by the longest in the forward, so a score would depend on its neighbours
_ROPE_BY_LENGTH = {"dynamic", "longrope"}


def tree_support(model: Any) -> str | None:
    """None where the tree layout gives the plain layout's scores, otherwise one sentence with the reason."""
    model = unwrapped(model)
    kind, text = model.config.model_type, model.get_decoder().config
    if text.model_type not in VERIFIED.get(kind, ()):
        return f"the shared prefix was not verified for {kind!r} on {text.model_type!r} text, so every answer is read alone."
    if text._attn_implementation not in TAKES_A_MASK:
        return (
            f"attention {text._attn_implementation!r} takes no mask of its own, so every answer is read alone; "
            f"'sdpa' and 'eager' can share the prefix."
        )
    if _has_window(text):
        return (
            f"the {kind!r} model attends within a window in some layers, which a mask of the whole tree would replace, "
            "so every answer is read alone."
        )
    rope = _rope_type(text)
    if rope in _ROPE_BY_LENGTH:
        return f"rotary embeddings of type {rope!r} depend on the longest row, so every answer is read alone."
    return None


def _has_window(text: Any) -> bool:
    layers = getattr(text, "layer_types", None)
    if layers is not None:
        return any(layer != "full_attention" for layer in layers)
    return getattr(text, "sliding_window", None) is not None


def _rope_type(text: Any) -> str:
    return (getattr(text, "rope_parameters", None) or {}).get("rope_type", "default")
