"""How a copy may have been changed: windows of a thumbnail, turned by little, and the eight ways to flip and turn it. Pure.

`hashes` is the perceptual hash of imagehash (DCT of 32 x 32 luma, the 64 lowest frequencies against their median), on
arrays, so that a hundred thousand views take seconds.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple

from spavl.audit.thumbnails import SIDE_PX

if TYPE_CHECKING:
    import numpy as np

NUM_TURNS = 8  # the symmetries of a square
HASH_SIDE = 8


class View(NamedTuple):
    """A window of an image, in shares of its sides, turned around the image's middle."""

    left: float = 0.0
    top: float = 0.0
    right: float = 1.0
    bottom: float = 1.0
    degrees: float = 0.0


WHOLE = View()
# What is left of an image that was cropped (all around, or at a corner) or turned by some degrees
VIEWS = (
    WHOLE,
    *(View(cut, cut, 1 - cut, 1 - cut) for cut in (0.02, 0.04, 0.055, 0.07, 0.085, 0.1, 0.115, 0.13)),
    *(View(left, top, left + 0.92, top + 0.92) for left in (0, 0.08) for top in (0, 0.08)),
    *(View(cut, cut, 1 - cut, 1 - cut, degrees) for degrees in (3, -3) for cut in (0, 0.04)),
)
# What is left of two images if something was written along one side of one of them
UNWRITTEN = (View(bottom=0.8), View(top=0.2), View(right=0.8), View(left=0.2))


def look(pixels: np.ndarray, view: View) -> np.ndarray:
    """`pixels` float32 [N, S, S] through a view, bilinear, same shape; beyond the edge the edge goes on."""
    if view == WHOLE:
        return pixels
    (x, y), (part_x, part_y) = _sources(view)
    parts = (
        pixels[:, y + dy, x + dx] * (part_y if dy else 1 - part_y) * (part_x if dx else 1 - part_x)
        for dy in (0, 1)
        for dx in (0, 1)
    )
    return sum(parts)


def turn(pixels: np.ndarray, number: int) -> np.ndarray:
    """`pixels` [N, S, S] in one of NUM_TURNS ways; 0 leaves them."""
    turned = pixels if number < 4 else pixels.transpose(0, 2, 1)
    rows, columns = (slice(None, None, -1) if number >> bit & 1 else slice(None) for bit in (0, 1))
    return turned[:, rows, columns]


def hashes(pixels: np.ndarray) -> np.ndarray:
    """uint64 [N]: the 64-bit perceptual hash of each of `pixels` float32 [N, S, S]."""
    import numpy as np

    basis = _cosines()
    low = (basis @ pixels @ basis.T).reshape(len(pixels), HASH_SIDE**2)
    bits = low > np.median(low, axis=1, keepdims=True)
    return (bits << np.arange(HASH_SIDE**2, dtype=np.uint64)).sum(axis=1, dtype=np.uint64)


@functools.cache
def _cosines() -> np.ndarray:
    """The HASH_SIDE lowest cosines of the DCT-II, not normalised (as imagehash takes them), float32 [HASH_SIDE, SIDE_PX]."""
    import numpy as np

    frequencies, places = np.arange(HASH_SIDE)[:, None], np.arange(SIDE_PX)[None]
    cosines = np.cos(np.pi * frequencies * (2 * places + 1) / (2 * SIDE_PX))
    return cosines.astype(np.float32)


@functools.cache
def _sources(view: View) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Where each pixel of a view lies: whole x and y, int [S, S], and what is beyond them, float32 [S, S]."""
    import numpy as np

    middles = (np.arange(SIDE_PX) + 0.5) / SIDE_PX
    across, down = np.meshgrid(
        view.left + (view.right - view.left) * middles - 0.5,
        view.top + (view.bottom - view.top) * middles - 0.5,
    )
    angle = np.deg2rad(view.degrees)
    x = (np.cos(angle) * across - np.sin(angle) * down + 0.5) * SIDE_PX - 0.5
    y = (np.sin(angle) * across + np.cos(angle) * down + 0.5) * SIDE_PX - 0.5
    x, y = (np.clip(place, 0, SIDE_PX - 1) for place in (x, y))
    whole_x, whole_y = (np.minimum(place.astype(int), SIDE_PX - 2) for place in (x, y))
    return (whole_x, whole_y), ((x - whole_x).astype(np.float32), (y - whole_y).astype(np.float32))
