"""Where the work is: floating-point operations by part of the model, those of a step as executed, and seconds by kind.

One multiply-add counts as two operations. Utilisation (MFU) is what a step executes, per second, over the rate that this
machine reaches on one large matrix product of the same precision.
"""

from __future__ import annotations

import time
from typing import Any

from tests.benchmarks.speed_shapes import Shape, build_model, build_processor

from spavl.learning import base_model

# kind -> beginnings of the names of its operators
KINDS = {
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm", "aten::linear", "aten::matmul"),
    "attention": ("aten::_scaled_dot_product", "aten::scaled_dot_product"),
    "image convolution": ("aten::mkldnn_convolution", "aten::convolution", "aten::_convolution", "aten::thnn_"),
    "optimizer and clipping": ("aten::_foreach", "aten::_fused", "Optimizer."),
    "copies and fills": (
        "aten::copy_", "aten::cat", "aten::fill_", "aten::zero_", "aten::index", "aten::masked_scatter",
        "aten::embedding", "aten::slice_backward", "aten::select_backward",
    ),
}  # fmt: skip


def shares(shape: Shape) -> dict[str, float]:
    """Parts of the operations of one plain forward of one answer, in percent of the whole; the head reads every position."""
    text, tower = shape.text, shape.tower
    width, layers, tokens = text["hidden_size"], text["num_hidden_layers"], _tokens(shape)
    of = {
        "language model, matrices": 2
        * layers
        * (4 * width**2 + 3 * width * text["intermediate_size"])
        * tokens,
        "language model, attention": 2 * layers * width * tokens**2,  # half of it is masked
        "head on every position": 2 * text["vocab_size"] * width * tokens,
        "tower": _tower(tower, shape.image_tokens + 1),
        "projector": 2 * (tower["hidden_size"] + width) * width * shape.image_tokens,
    }
    total = sum(of.values())
    found = {name: 100 * value / total for name, value in of.items()}
    answer = found["head on every position"] * shape.answer_tokens / tokens
    return {name: round(value, 2) for name, value in (found | {"head on answer tokens": answer}).items()}


def _tokens(shape: Shape) -> int:
    return shape.image_tokens + shape.question_tokens + shape.answer_tokens + 2  # two words of the template


def _tower(tower: Any, tokens: int) -> int:
    width, patch = tower["hidden_size"], tower["patch_size"]
    matrices = 4 * width**2 + 2 * width * tower["intermediate_size"]
    per_layer = 2 * matrices * tokens + 4 * width * tokens**2
    return tower["num_hidden_layers"] * per_layer + 2 * 3 * patch**2 * width * tokens


def num_parameters(shape: Shape) -> dict[str, float]:
    """Millions of parameters by part; nothing is allocated."""
    model = build_model(shape, build_processor(shape).tokenizer, "meta", "bfloat16")
    found: dict[str, float] = {}
    for name, parameter in model.named_parameters():
        part = base_model.part_of(name)
        found[part] = found.get(part, 0) + parameter.numel() / 1e6
    return found


def matrix_rate(device: str, dtype: str, size: int) -> float:
    """Operations per second of one product of two `size` x `size` matrices on `device`, the best of some."""
    import torch

    left, right = (torch.randn(size, size, device=device, dtype=getattr(torch, dtype)) for _ in range(2))
    best = float("inf")
    for _ in range(10):
        _synchronize(device)
        started = time.perf_counter()
        left @ right
        _synchronize(device)
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


def counter() -> Any:
    """A context that counts the operations executed in it (`get_total_flops`), masked attention in full."""
    import torch
    from torch.utils import flop_counter

    aten = torch.ops.aten
    return flop_counter.FlopCounterMode(
        display=False,
        custom_mapping={
            aten._scaled_dot_product_flash_attention_for_cpu: _attention_flop,
            aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward_flop,
        },
    )


def _attention_flop(query: Any, key: Any, value: Any, *_: Any, **settings: Any) -> int:
    from torch.utils.flop_counter import sdpa_flop_count

    return sdpa_flop_count(query, key, value)


def _attention_backward_flop(grad: Any, query: Any, key: Any, value: Any, *_: Any, **settings: Any) -> int:
    from torch.utils.flop_counter import sdpa_backward_flop_count

    return sdpa_backward_flop_count(grad, query, key, value)


def by_kind(profiler: Any, whole_s: float) -> dict[str, float]:
    """Seconds of a profiled step by kind of operation, on the device where there is one; `whole_s` is what the step took."""
    from torch.autograd import DeviceType

    events = [event for event in profiler.key_averages() if event.device_type == DeviceType.CPU]
    has_device = any(event.self_device_time_total for event in events)
    found = dict.fromkeys([*KINDS, "elementwise and the rest"], 0.0)
    for event in events:
        microseconds = event.self_device_time_total if has_device else event.self_cpu_time_total
        found[_kind(event.key)] += microseconds / 1e6
    return found | {"between operators": max(0.0, whole_s - sum(found.values()))}


def _kind(name: str) -> str:
    known = (kind for kind, beginnings in KINDS.items() if name.startswith(beginnings))
    return next(known, "elementwise and the rest")


def _synchronize(device: str) -> None:
    if device != "cpu":
        import torch

        torch.cuda.synchronize()
