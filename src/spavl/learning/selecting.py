"""The pairs of a dataset version that a model can be trained on, encoded; what is left out is counted, never cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spavl.errors import UserError
from spavl.learning import encoding, rendering
from spavl.learning.pairs import Pair
from spavl.learning.preparing import Prepared
from spavl.learning.steps import EncodedPair

_ANOTHER_VERSION = "Choose another dataset version, or make this one again."


@dataclass(frozen=True)
class Selected:
    """What is trained, what is evaluated, and the counts of both and of what was left out."""

    train: list[EncodedPair]
    validation: list[EncodedPair]
    counts: dict[str, int]


def _refuse_damaged(pairs: Sequence[Pair]) -> None:
    """Raise UserError for an id that stands for two pairs, and for a margin that no judge gives: it would turn the loss around."""
    seen: dict[str, Pair] = {}
    for pair in pairs:
        if seen.setdefault(pair.id, pair) != pair:
            raise UserError(
                f"the dataset version has two different pairs with the id {pair.id}.",
                next_step=_ANOTHER_VERSION,
            )
        if pair.margin is None or not 0 <= pair.margin <= 1:  # NaN compares as neither
            raise UserError(
                f"the margin of pair {pair.id} is {pair.margin}, and it must be from 0 to 1.",
                next_step=_ANOTHER_VERSION,
            )


def select(pairs: Sequence[Pair], validation: Sequence[Pair], prepared: Prepared) -> Selected:
    """Raises UserError where no pair can be trained, the pairs are damaged, or an answer does not end with a stop token."""
    _refuse_damaged([*pairs, *validation])
    limit = encoding.longest_allowed(prepared.settings.max_length, prepared.config)
    to_train, counts = encoding.usable_pairs(pairs, prepared.encoder, prepared.stop, limit)
    to_validate, of_validation = encoding.usable_pairs(validation, prepared.encoder, prepared.stop, limit)
    if not to_train:
        raise UserError(
            f"none of the {len(pairs)} pairs can be trained: {counts['over_length']} are longer than {limit} tokens, "
            f"{counts['with_special_token']} hold a special token of the model.",
            next_step="Raise training.max_length, or align on a dataset version that has train pairs.",
        )
    rendering.check_stop_tokens([*to_train, *to_validate], prepared.stop)
    counts |= {f"validation_{name}": value for name, value in of_validation.items()}
    return Selected(to_train, to_validate, counts)
