"""The pairs of a dataset version that a model can be trained on, encoded; what is left out is counted, never cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spavl.errors import UserError
from spavl.learning import encoding, rendering
from spavl.learning.pairs import Pair
from spavl.learning.preparing import Prepared
from spavl.learning.steps import EncodedPair


@dataclass(frozen=True)
class Selected:
    """What is trained, what is evaluated, and the counts of both and of what was left out."""

    train: list[EncodedPair]
    validation: list[EncodedPair]
    counts: dict[str, int]


def select(pairs: Sequence[Pair], validation: Sequence[Pair], prepared: Prepared) -> Selected:
    """Raises UserError where no pair can be trained, or an answer does not end with a stop token."""
    limit = encoding.longest_allowed(prepared.settings.max_length, prepared.config)
    to_train, counts = encoding.usable_pairs(pairs, prepared.encoder, prepared.stop, limit)
    to_validate, of_validation = encoding.usable_pairs(validation, prepared.encoder, prepared.stop, limit)
    if not to_train:
        raise UserError(
            f"none of the {len(pairs)} pairs can be trained: {counts['over_length']} are longer than {limit} tokens.",
            next_step="Raise training.max_length, or align on a dataset version that has train pairs.",
        )
    rendering.check_stop_tokens([*to_train, *to_validate], prepared.stop)
    counts |= {f"validation_{name}": value for name, value in of_validation.items()}
    return Selected(to_train, to_validate, counts)
