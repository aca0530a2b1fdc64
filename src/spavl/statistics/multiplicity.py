"""Many slices, one alpha."""

from __future__ import annotations


def slice_alpha(alpha: float, num_slices: int) -> float:
    """Alpha of each of num_slices tests, so that the chance of any false alarm among them is at most alpha (Bonferroni).

    For "no slice may be worse": one alarm stops the release, so false alarms add up over slices. A condition that every
    slice must *show* (all lower ends above a limit) needs no correction: it errs only if each of its parts does.
    """
    if num_slices < 1:
        raise ValueError(f"{num_slices} slices: an alpha is shared by one or more")
    return alpha / num_slices
