"""What the report says of `training`: how the model was aligned."""

from __future__ import annotations

from spavl.learning.report import training_sections
from spavl.report.section import Heading, Reading, Section

CAPTION = (
    "Where both log-probabilities sink together, the model is losing its language rather than learning the preference: "
    "watch “neither” above."
)


def sections(reading: Reading) -> list[Section]:
    """One section; none before the record."""
    return training_sections(reading, "training", Heading("training", "Training"), CAPTION)
