"""What the report says of `reward`: how the reward model was trained."""

from __future__ import annotations

from spavl.learning.report import training_sections
from spavl.report.section import Heading, Reading, Section

CAPTION = (
    "PPO follows this model. "
    "A reward that holds for training pairs and not for validation pairs leads it astray."
)


def sections(reading: Reading) -> list[Section]:
    """One section; none before the record."""
    return training_sections(reading, "reward", Heading("reward", "Reward model"), CAPTION)
