"""Small grey versions of an image, by which changed copies of it are found. Pure.

An image has one, or two if it stands in a margin of one shade: the second is what the margin encloses, so that a border
that was put around an image is no disguise.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

SIDE_PX = 32
THUMBNAIL_TABLE = "thumbnails"  # side table of `images` (all) and `dataset` (of images that are away)
_WORKING_SIDE_PX = 256  # a margin is looked for at this size: more pixels show no other margin
_MARGIN_LEVELS = 8  # of 255: how far a margin's pixels may be from its shade (JPEG blurs them)
_MARGIN_SHARE = 0.98  # of a line's pixels
_SMALLEST_INSIDE = 0.25  # of a side: an enclosed part below that is too little to compare
_EDGE_SHARE = 0.01  # of a side: how far resizing blurs a margin's edge
_LARGEST_INSIDE = 0.97  # of both sides: above that there is no margin worth a second thumbnail


def thumbnails(image: Image) -> str:
    """Base64 of one or two thumbnails, each SIDE_PX x SIDE_PX bytes of luma, row by row."""
    import numpy as np

    grey = image.convert("L")
    small = grey.resize(_at_most(grey.size, _WORKING_SIDE_PX), reducing_gap=2.0)
    box = inside_margin(np.asarray(small))
    while box is not None and (inner := _framed(small.crop(box))) is not None:
        small, box = inner, inside_margin(np.asarray(inner))
    pixels = [_thumbnail(small)] + ([_thumbnail(small.crop(box))] if box is not None else [])
    return base64.b64encode(b"".join(pixels)).decode("ascii")


def _framed(grey: Image) -> Image | None:
    """What stands within a margin's blurred edge, if a margin of another shade begins there: then the outer one was a
    frame, frames are all alike, and what it encloses is the image."""
    import numpy as np

    edge = max(1, round(_EDGE_SHARE * min(grey.size)))
    inner = grey.crop((edge, edge, grey.width - edge, grey.height - edge))
    return inner if min(inner.size) > 1 and inside_margin(np.asarray(inner)) is not None else None


def pixels_of(text: str) -> np.ndarray:
    """uint8 [1 or 2, SIDE_PX, SIDE_PX] of what `thumbnails` gave."""
    import numpy as np

    content = np.frombuffer(base64.b64decode(text), dtype=np.uint8)
    return content.reshape(-1, SIDE_PX, SIDE_PX)


def inside_margin(grey: np.ndarray) -> tuple[int, int, int, int] | None:
    """(left, top, right, bottom) of what a margin encloses in `grey` uint8 [H, W]; None if there is no margin."""
    import numpy as np

    values = grey.astype(np.int16)
    height, width = values.shape
    top, bottom = _num_margin_lines(values), height - _num_margin_lines(values[::-1])
    left, right = _num_margin_lines(values.T), width - _num_margin_lines(values.T[::-1])
    inside = (right - left) / width, (bottom - top) / height
    if min(inside) < _SMALLEST_INSIDE or min(inside) > _LARGEST_INSIDE:
        return None
    return left, top, right, bottom


def _num_margin_lines(values: np.ndarray) -> int:
    """Rows from the first on that have the shade of the first, within _MARGIN_LEVELS."""
    import numpy as np

    is_near = np.abs(values - np.median(values[0])) <= _MARGIN_LEVELS
    is_margin = is_near.mean(axis=1) >= _MARGIN_SHARE
    return int(is_margin.argmin()) if not is_margin.all() else len(values)


def _thumbnail(grey: Image) -> bytes:
    from PIL.Image import Resampling

    how = Resampling.BOX if min(grey.size) >= 2 * SIDE_PX else Resampling.BILINEAR
    return grey.resize((SIDE_PX, SIDE_PX), how).tobytes()


def _at_most(size: tuple[int, int], side_px: int) -> tuple[int, int]:
    return min(size[0], side_px), min(size[1], side_px)
