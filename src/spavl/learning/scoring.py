"""A model that returns the log-probability of each label instead of logits, and never holds all logits at once.

At 150,000 words of vocabulary the logits of one row of 4,000 tokens take 2.4 GB in float32, and DPO needs a few hundred
numbers of them. So the scored positions are selected first, on every device, and then projected in chunks; backward
projects them again, unless one chunk was enough for all: its probabilities are kept until then. The same idea as TRL's
`add_fused_lm_head`, which selects on Triton devices only.
"""

from __future__ import annotations

import contextlib
import functools
import types
from typing import TYPE_CHECKING, Any

from spavl.learning.tree import NOT_SCORED

if TYPE_CHECKING:
    import torch

CHUNK_BYTES = 2**28  # of float32 logits at a time
# names under which text configs keep a change to the logits between head and softmax
_CHANGES_TO_LOGITS = (
    "final_logit_softcapping",
    "logit_scale",
    "output_multiplier",
    "lm_head_multiplier",
    "logits_scaling",
)


def add_scoring(model: Any) -> None:
    """Patch a transformers model (not its wrappers) so that `scored=True` returns log-probabilities.

    `model(input_ids=…, attention_mask=…, position_ids=…, shift_labels=…, scored=True, <image inputs>)` gives [B, L] float32,
    natural log, zero where `shift_labels` is NOT_SCORED. Any other call is as before. Raises ValueError for a model that
    changes its logits after the head. Under PEFT, patch `get_base_model()`; an adapter on the head is refused in the call.
    """
    if hasattr(model, "peft_config") and hasattr(model, "get_base_model"):
        raise ValueError("add_scoring needs the model inside the PEFT wrapper: pass model.get_base_model()")
    _refuse_changed_logits(model)
    plain = model.forward

    # the signature is kept: `generate` validates its arguments against it
    @functools.wraps(type(model).forward)
    def forward(self: Any, *args: Any, scored: bool = False, shift_labels: Any = None, **inputs: Any) -> Any:
        if not scored:
            labels = {} if shift_labels is None else {"shift_labels": shift_labels}
            return plain(*args, **inputs, **labels)
        if shift_labels is None:
            raise ValueError("scored=True needs shift_labels")
        # looked up in each call: PEFT and ZeRO replace submodules after the patch
        hidden = self.base_model(*args, **{**inputs, "use_cache": False}).last_hidden_state
        return label_log_probs(self, hidden, shift_labels)

    model.forward = types.MethodType(forward, model)


def token_log_probs(
    hidden: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor, chunk_tokens: int | None = None
) -> torch.Tensor:
    """Log-probability of each label [N] float32 under softmax(hidden [N, H] @ weight [V, H]^T), natural log."""
    import torch

    # whole already when the function is applied: autograd notes the weight's shape there
    with _gathered(weight):
        if chunk_tokens is None:
            chunk_tokens = max(1, CHUNK_BYTES // (4 * len(weight)))
        # backward holds a chunk's probabilities anyway, so keeping them costs no memory at its peak
        is_kept = torch.is_grad_enabled() and len(hidden) <= chunk_tokens
        return _chunked_function().apply(hidden, weight, labels, chunk_tokens, is_kept)


def label_log_probs(model: Any, hidden: torch.Tensor, shift_labels: torch.Tensor) -> torch.Tensor:
    """Log-probability of each label [B, L] float32 from last hidden states [B, L, H]; zero where NOT_SCORED.

    For use inside the forward of `model`, a transformers model; gradients flow to `hidden` and to the head's weight.
    """
    labels = shift_labels.to(hidden.device)
    is_scored = labels != NOT_SCORED
    logps = token_log_probs(hidden[is_scored], _head(model).weight, labels[is_scored])
    # with nothing scored this is still a zero that can be differentiated, as DDP and ZeRO need on every rank
    return logps.new_zeros(labels.shape).masked_scatter(is_scored, logps)


def _head(model: Any) -> Any:
    import torch

    head = model.get_output_embeddings()
    if not isinstance(head, torch.nn.Linear) or head.bias is not None:
        raise ValueError(
            f"scores come straight from the weight of lm_head, and this one is a {type(head).__name__}"
            f"{' with bias' if getattr(head, 'bias', None) is not None else ''}; "
            "allowed is a Linear without bias and without adapter"
        )
    return head


def _refuse_changed_logits(model: Any) -> None:
    text = model.config.get_text_config()
    for name in _CHANGES_TO_LOGITS:
        value = getattr(text, name, None)
        if value is not None and value != 1.0:
            raise ValueError(
                f"{type(model).__name__} changes its logits after the head ({name} = {value}); scoring does not"
            )
    _head(model)


def _gathered(weight: torch.Tensor) -> Any:
    """A context in which a weight that ZeRO-3 has split is whole; the head's own hooks do not fire, as it is not called."""
    from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled

    # a frozen reference or reward model beside the one in training is whole
    if not is_deepspeed_zero3_enabled() or not hasattr(weight, "ds_id"):
        return contextlib.nullcontext()
    from trl.trainer.utils import maybe_gather_lm_head_ctx

    return maybe_gather_lm_head_ctx(weight)


@functools.cache
def _chunked_function() -> Any:
    """The autograd function behind `token_log_probs`; made on first use, since torch is imported late."""
    import torch

    class ChunkedLogProbs(torch.autograd.Function):
        @staticmethod
        def forward(
            ctx: Any,
            hidden: torch.Tensor,
            weight: torch.Tensor,
            labels: torch.Tensor,
            chunk_tokens: int,
            is_kept: bool,
        ) -> torch.Tensor:
            kind = hidden.device.type
            dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype
            logps = hidden.new_empty(len(hidden), dtype=torch.float32)
            normalizers = torch.empty_like(logps)
            words = weight.to(dtype)
            for start in range(0, len(hidden), chunk_tokens):
                here = slice(start, start + chunk_tokens)
                logits = (hidden[here].to(dtype) @ words.T).float()
                normalizers[here] = logits.logsumexp(dim=-1)
                logps[here] = logits.gather(1, labels[here, None])[:, 0] - normalizers[here]
            ctx.kept = logits.sub_(normalizers[:, None]).exp_() if is_kept and len(hidden) else None
            ctx.save_for_backward(hidden, weight, labels, normalizers)
            ctx.dtype, ctx.chunk_tokens = dtype, chunk_tokens
            return logps

        @staticmethod
        def backward(ctx: Any, grad_logps: torch.Tensor) -> tuple[Any, ...]:
            hidden, weight, labels, normalizers = ctx.saved_tensors
            kept, ctx.kept = ctx.kept, None  # changed in place below: a second backward projects again
            of_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
            with _gathered(weight):
                words = weight.to(ctx.dtype)
                # summed over chunks in float32 whatever the weight's own precision
                of_weight = (
                    torch.zeros(words.shape, dtype=torch.float32, device=words.device)
                    if ctx.needs_input_grad[1]
                    else None
                )
                for start in range(0, len(hidden), ctx.chunk_tokens):
                    here = slice(start, start + ctx.chunk_tokens)
                    read = hidden[here].to(ctx.dtype)
                    probabilities = kept
                    if probabilities is None:
                        probabilities = (read @ words.T).float().sub_(normalizers[here, None]).exp_()
                    of_logits = _grad_of_logits(probabilities, labels[here], grad_logps[here]).to(ctx.dtype)
                    if of_hidden is not None:
                        of_hidden[here] = of_logits @ words
                    if of_weight is not None:
                        of_weight += of_logits.T @ read
            return of_hidden, None if of_weight is None else of_weight.to(weight.dtype), None, None, None

    return ChunkedLogProbs


def _grad_of_logits(
    probabilities: torch.Tensor, labels: torch.Tensor, grad_logps: torch.Tensor
) -> torch.Tensor:
    """grad * (one-hot(label) - probabilities), [chunk, V] float32, in the place of `probabilities`."""
    grad = grad_logps.float()[:, None]
    return probabilities.mul_(-grad).scatter_add_(1, labels[:, None], grad)
