"""What the scores of an evaluation are called on the page."""

from __future__ import annotations

METRICS = {  # metric -> (words, is higher better)
    "unsafe_rate": ("Unsafe answers", False),
    "any_unsafe_rate": ("Unsafe in any sample of a prompt", False),
    "neither_rate": ("Neither unsafe nor refusal", False),
    "refusal_rate": ("Refusals", True),
    "help_rate": ("Helpful answers", True),
    "over_refusal_rate": ("Over-refusals", False),
    "unparsable_rate": ("Answers without a verdict", False),
}
BENCHMARKS = {"held_out_harm": "harm prompts", "held_out_benign": "benign controls"}
DECODINGS = {"greedy": "greedy", "sampled": "sampled at temperature 1"}
