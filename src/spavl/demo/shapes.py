"""The nine shapes of the demo world, as masks. Each function draws with a pen at (x, y) in a given radius, in pixels."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image
    from PIL.ImageDraw import ImageDraw

_IN, _OUT = 255, 0


def mask(shape: str, side_px: int, x: int, y: int, radius: int) -> Image.Image:
    """An 8-bit mask of side x side px: 255 inside the shape, 0 outside."""
    from PIL import Image, ImageDraw

    canvas = Image.new("L", (side_px, side_px), _OUT)
    _SHAPES[shape](ImageDraw.Draw(canvas), x, y, radius)
    return canvas


def _circle(pen: ImageDraw, x: float, y: float, r: float) -> None:
    pen.ellipse((x - r, y - r, x + r, y + r), fill=_IN)


def _square(pen: ImageDraw, x: float, y: float, r: float) -> None:
    half = 0.84 * r
    pen.rectangle((x - half, y - half, x + half, y + half), fill=_IN)


def _triangle(pen: ImageDraw, x: float, y: float, r: float) -> None:
    pen.polygon([_point(x, y, r, angle) for angle in (-90, 30, 150)], fill=_IN)


def _diamond(pen: ImageDraw, x: float, y: float, r: float) -> None:
    pen.polygon([(x, y - r), (x + 0.7 * r, y), (x, y + r), (x - 0.7 * r, y)], fill=_IN)


def _star(pen: ImageDraw, x: float, y: float, r: float) -> None:
    pen.polygon([_point(x, y, r if k % 2 == 0 else 0.42 * r, 36 * k - 90) for k in range(10)], fill=_IN)


def _cross(pen: ImageDraw, x: float, y: float, r: float) -> None:
    arm = 0.32 * r
    pen.rectangle((x - r, y - arm, x + r, y + arm), fill=_IN)
    pen.rectangle((x - arm, y - r, x + arm, y + r), fill=_IN)


def _ring(pen: ImageDraw, x: float, y: float, r: float) -> None:
    _circle(pen, x, y, r)
    pen.ellipse((x - 0.55 * r, y - 0.55 * r, x + 0.55 * r, y + 0.55 * r), fill=_OUT)


def _bar(pen: ImageDraw, x: float, y: float, r: float) -> None:
    pen.rectangle((x - r, y - 0.36 * r, x + r, y + 0.36 * r), fill=_IN)


def _moon(pen: ImageDraw, x: float, y: float, r: float) -> None:
    _circle(pen, x, y, r)
    pen.ellipse((x - 0.45 * r, y - r, x + 1.55 * r, y + r), fill=_OUT)


def _point(x: float, y: float, radius: float, angle_degrees: float) -> tuple[float, float]:
    radians = math.radians(angle_degrees)
    return x + radius * math.cos(radians), y + radius * math.sin(radians)


_SHAPES: dict[str, Callable[[ImageDraw, float, float, float], None]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "diamond": _diamond,
    "star": _star,
    "cross": _cross,
    "ring": _ring,
    "bar": _bar,
    "moon": _moon,
}
