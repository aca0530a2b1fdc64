"""How fast a training runs, and how much of what its accelerators could do it uses."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from spavl.learning.base_model import part_of


@dataclass
class Speed:
    """Samples and tokens per second since this process's first step ended: before, it loads, compiles and fills caches."""

    flops_per_token: float
    peak_flops: float | None = None  # of all ranks together; None where it is not known
    clock: Callable[[], float] = time.monotonic
    _since: float | None = None
    _samples: float = 0.0
    _tokens: float = 0.0
    _seconds: float = 0.0

    def step_ended(self, samples: float, tokens: float) -> None:
        """`samples` and `tokens` of one step, over all ranks."""
        now = self.clock()
        if self._since is None:
            self._since = now
            return
        self._samples += samples
        self._tokens += tokens
        self._seconds = now - self._since

    def rates(self) -> dict[str, float]:
        """`samples_per_second`, `tokens_per_second` (padding not counted) and `mfu`, each where it is known."""
        if not self._seconds:
            return {}
        found = {
            "samples_per_second": self._samples / self._seconds,
            "tokens_per_second": self._tokens / self._seconds,
        }
        if self.peak_flops:
            found["mfu"] = found["tokens_per_second"] * self.flops_per_token / self.peak_flops
        return {name: value for name, value in found.items() if value}


def flops_per_token(model: Any) -> float:
    """Operations of forward and backward for one token: 2 for each weight forward, 2 back, 2 more where it is trained.

    Products with weights of language model and projector only; attention's own, the head's and the vision tower's are left
    out, so a share of the peak that follows from it is a lower bound.
    """
    total = 0.0
    for name, parameter in model.named_parameters():
        is_matrix = len(getattr(parameter, "ds_shape", parameter.shape)) == 2 and "embed" not in name
        if is_matrix and part_of(name) in ("language", "projector"):
            size = getattr(parameter, "ds_numel", parameter.numel())
            total += size * (6 if parameter.requires_grad else 4)
    return total


def peak_flops(device: Any, num_ranks: int) -> float | None:
    """What all ranks' cards can do together in bfloat16, per second; None on a CPU and for a card that TRL does not know."""
    if device.type != "cuda":
        return None
    import torch
    from trl.trainer.utils import get_peak_flops

    of_one = get_peak_flops(torch.cuda.get_device_name(device), "bfloat16")
    return None if of_one is None else of_one * num_ranks


def peak_memory_gb(device: Any) -> float:
    """The most memory so far: of the tensors on a GPU, of the whole process on a CPU."""
    if device.type == "cuda":
        import torch

        return torch.cuda.max_memory_allocated(device) / 1e9
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
