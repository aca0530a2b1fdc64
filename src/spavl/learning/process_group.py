"""The ranks of one training as torch's process group: join it, exchange small things, leave it together.

Every function is for all ranks at once, in the same order; alone, each of them does nothing.
"""

from __future__ import annotations

import datetime
import functools
import os
from typing import Any

from spavl import ranks
from spavl.errors import UserError

# Longest wait of one rank for the others, after which it ends: longer than saving and uploading one rank's share of a
# checkpoint, shorter than a night is worth. Under torchrun a rank that dies ends the others at once.
TIMEOUT = datetime.timedelta(minutes=15)
_OTHERS_CONFIGS = {"ACCELERATE_USE_DEEPSPEED": "DeepSpeed", "ACCELERATE_USE_FSDP": "FSDP"}


def join(*, use_cpu: bool, zero_stage: int) -> None:
    """Become one of the ranks; with ZeRO also where this process stands alone, since DeepSpeed needs a group."""
    import torch

    _refuse_launchers_config(zero_stage)
    if use_cpu:
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # or DeepSpeed looks for another and warns
    if use_cpu and zero_stage:
        _keep_deepspeed_from_compiling()
    if torch.distributed.is_initialized() or (ranks.num_ranks() == 1 and not zero_stage):
        return
    options: dict[str, Any] = {"timeout": TIMEOUT}
    if not use_cpu:
        torch.cuda.set_device(ranks.local_rank())
        options["device_id"] = torch.device("cuda", ranks.local_rank())
    if ranks.num_ranks() == 1:
        os.environ.setdefault("LOCAL_RANK", "0")  # DeepSpeed reads it
        options |= {"store": torch.distributed.HashStore(), "rank": 0, "world_size": 1}
    torch.distributed.init_process_group("gloo" if use_cpu else "nccl", **options)


def leave() -> None:
    """Wait until every rank is here, then go separate ways: what comes after, a rank does alone."""
    import torch

    if torch.distributed.is_initialized():
        gather(None)
        torch.distributed.destroy_process_group()


def gather(thing: Any) -> list[Any]:
    """Everybody's thing, in the order of ranks, on every rank; small, since it is pickled."""
    if ranks.num_ranks() == 1:
        return [thing]
    import torch

    found: list[Any] = [None] * ranks.num_ranks()
    torch.distributed.all_gather_object(found, thing)
    return found


def agree(thing: Any) -> Any:
    """Rank 0's thing, on every rank: for what each could read for itself, and find different from another moment."""
    if ranks.num_ranks() == 1:
        return thing
    import torch

    found = [thing]
    torch.distributed.broadcast_object_list(found, src=0)
    return found[0]


def _refuse_launchers_config(zero_stage: int) -> None:
    """`accelerate launch` carries settings of its own; the profile's must not be overruled unseen."""
    for name in _asked_by_launcher():
        if not (zero_stage and name == "DeepSpeed"):
            raise UserError(
                f"`accelerate launch` was told to use {name}, and training.zero_stage is {zero_stage}.",
                next_step="Set training.zero_stage in the profile, which alone decides, and launch without that option.",
            )
    if not zero_stage:
        os.environ.pop("ACCELERATE_USE_DEEPSPEED", None)  # an earlier training of this process set it


@functools.cache
def _asked_by_launcher() -> tuple[str, ...]:
    """Read once, before the first training: accelerate later sets the same variables by itself."""
    return tuple(
        name for variable, name in _OTHERS_CONFIGS.items() if os.environ.get(variable, "").lower() == "true"
    )


def _keep_deepspeed_from_compiling() -> None:
    """On a CPU it would compile an operation for two minutes that only its inference uses."""
    import importlib

    importlib.import_module("deepspeed.comm.torch").build_shm_op = lambda: None
