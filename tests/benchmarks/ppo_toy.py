"""PPO on a tiny LLaVA, on one CPU thread: does it raise a reward by rule, and how fast?

    OMP_NUM_THREADS=1 PYTHONPATH=src:. python tests/benchmarks/ppo_toy.py [--lora] [--bf16] [--iterations N]

The reward of an answer is the share of its tokens that are the names of colours. A policy with random weights has 0.02; KL to
the reference is punished, so the reward is not expected to reach 1. Through the project's own trainer.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tests.toy_ppo import build_base, toy_trainer
from transformers import AutoTokenizer

from spavl.stages.training.ppo.policy import AnswerBatch
from spavl.stages.training.ppo.sampling import Answer

SHOWN = (
    "reward",
    "kl",
    "entropy",
    "answer/tokens",
    "answer/unstopped",
    "policy/clip_fraction",
    "value/explained_variance",
)


STEPS_PER_ITERATION = 4


class ShareOfColours:
    """The share of an answer's tokens that begin or are the name of a colour."""

    outputs = ("reward",)

    def __init__(self, tokenizer: Any) -> None:
        self._wanted = {
            tokenizer(word)["input_ids"][0] for word in ("red", " red", "blue", " blue", "green", " green")
        }

    def scores(self, batch: AnswerBatch, answers: Sequence[Answer]) -> torch.Tensor:
        return torch.tensor([[sum(n in self._wanted for n in of.ids) / len(of.ids)] for of in answers])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lora", action="store_true")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--iterations", type=int, default=30)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    chosen = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        history = run(Path(folder), chosen)
        seconds = time.monotonic() - began
    steps = [entry for entry in history if "reward" in entry]
    last_of_iterations = steps[STEPS_PER_ITERATION - 1 :: STEPS_PER_ITERATION]
    for entry in last_of_iterations[:: max(1, len(last_of_iterations) // 10)]:
        print(f"step {entry['step']:3d}", *(f"{name} {entry.get(name, float('nan')):.3f}" for name in SHOWN))
    ends = [sum(entry["reward"] for entry in part) / len(part) for part in (steps[:8], steps[-8:])]
    print(
        f"{seconds:.1f} s with loading, {len(steps)} steps; mean reward of 8 steps {ends[0]:.3f} -> {ends[1]:.3f}"
    )


def run(folder: Path, chosen: argparse.Namespace) -> list[dict[str, Any]]:
    """Train, and return the trainer's history."""
    base = build_base(folder / "base")
    tokenizer = AutoTokenizer.from_pretrained(base)
    running = toy_trainer(
        folder, base, ShareOfColours(tokenizer),
        training={
            "lora": {"r": 16, "alpha": 32} if chosen.lora else None, "learning_rate": chosen.learning_rate,
            "bf16": chosen.bf16, "checkpoint_every_steps": 10**6,
        },
        num_epochs=chosen.iterations * 2, prompts_per_iteration=32, passes_per_iteration=2, minibatch_size=16,
        micro_batch_size=16, sampling_batch_size=32, max_new_tokens=12, kl_coef=0.01, bf16=chosen.bf16,
    )  # fmt: skip
    running.train()
    return running.state.log_history


if __name__ == "__main__":
    main()
