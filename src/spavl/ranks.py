"""Which of the processes that do one piece of work together this one is: its rank.

torchrun, accelerate and Kubeflow Trainer say it in the environment. A process that nobody said it to stands alone.
"""

from __future__ import annotations

import os


def rank() -> int:
    """0 for the one that holds the lease, writes the parts and tells the outcome; 0 where it stands alone."""
    return _number("RANK", 0) if "WORLD_SIZE" in os.environ else 0


def num_ranks() -> int:
    """How many processes do this together, on all machines."""
    return _number("WORLD_SIZE", 1)


def local_rank() -> int:
    """0-based number on this machine: the accelerator that is this process's own."""
    return _number("LOCAL_RANK", 0)


def _number(variable: str, default: int) -> int:
    return int(os.environ.get(variable) or default)
