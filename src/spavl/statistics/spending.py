"""How much of alpha one decision may spend, if a decision is made every night until one releases."""

from __future__ import annotations

import math


def alpha_of_decision(number: int, alpha: float) -> float:
    """Share of alpha for the number-th decision (from 1) since the channel's last release: alpha * 6 / (pi^2 number^2).

    The shares of all numbers sum to alpha. So, over however many nights until the next release, the chance that any of
    these decisions errs is at most alpha (Bonferroni's union bound; the series is Euler's). It holds under any dependence
    between the nights: the same held-out prompts each night, the same judge, the same training data.

    Limits: alpha is per release, since the count starts again there. It is a bound for candidates whose training and
    choice did not read the held-out answers; a person or a search that picks among candidates by their held-out scores
    makes decisions that are not counted here. And it bounds errors over the draw of prompts: a held-out set that differs
    from the world in kind (not by chance) errs every night.
    """
    if number < 1:
        raise ValueError(f"decision number {number}: decisions since the last release are counted from 1")
    return alpha * 6 / (math.pi * number) ** 2
