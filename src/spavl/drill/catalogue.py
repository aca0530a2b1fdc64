"""THE CATALOGUE: every poison by name. One more poison is one more row in its family's file."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from spavl.drill import poisoned_candidates, poisoned_data, poisoned_judges
from spavl.drill.poison import FAMILIES, Poison
from spavl.errors import UserError


@functools.cache
def catalogue() -> tuple[Poison, ...]:
    """All poisons, family by family."""
    poisons = [*poisoned_judges.poisons(), *poisoned_data.poisons(), *poisoned_candidates.poisons()]
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
