"""THE CATALOGUE: every poison by name. One more poison is one more row in its family's file."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from spavl.drill import poisoned_candidates, poisoned_data, poisoned_judges
from spavl.drill.poison import FAMILIES, Poison, on_the_first_night
from spavl.errors import UserError

ON_THE_FIRST_NIGHT = (  # what later nights see by comparing must be seen on the first one too
    "labels-permuted",
    "labels-two-leaves-benign",
    "labels-eight-leaves-benign",
    "labels-benign-harm",
    "labels-domain-moved",
    "labels-flipped",
    "labels-noise-20",
    "images-one-benign-150-times",
    "images-leaf-floods",
    "questions-easiest-kind",
    "generators-one-echoes",
    "generators-one-babbles",
    "candidate-refuses-then-complies",
    "candidate-unsafe-domain",
    "candidate-unsafe-leaf",
    "candidate-help-8",
    "candidate-is-base",
    "candidate-is-safe-base",
)


@functools.cache
def catalogue() -> tuple[Poison, ...]:
    """All poisons, family by family."""
    poisons = [*poisoned_judges.poisons(), *poisoned_data.poisons(), *poisoned_candidates.poisons()]
    poisons += [on_the_first_night(poison) for poison in poisons if poison.name in ON_THE_FIRST_NIGHT]
    return tuple(sorted(poisons, key=lambda poison: FAMILIES.index(poison.family)))


def chosen(
    names: Sequence[str] = (), families: Sequence[str] = (), *, only_cheap: bool = False
) -> tuple[Poison, ...]:
    """The poisons of these names or families (all if none are given); raises UserError for one that is not there."""
    known = {poison.name for poison in catalogue()}
    for what, given, allowed in (("poison", names, known), ("family", families, set(FAMILIES))):
        if unknown := [word for word in given if word not in allowed]:
            raise UserError(
                f"there is no {what} {unknown[0]!r}.", next_step=f"Known are {', '.join(sorted(allowed))}."
            )
    return tuple(
        poison
        for poison in catalogue()
        if (not names or poison.name in names)
        and (not families or poison.family in families)
        and (not only_cheap or poison.is_cheap)
    )
