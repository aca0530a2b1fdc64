"""Images that a benchmark makes of others or draws itself: typed text, low resolution, a warning frame, coloured shapes.

Pure: bytes in, PNG bytes out. The text chunks of a PNG go with it, so that what a source wrote there is still known.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

SHAPES = ("circle", "square", "triangle", "cross")
COLOURS = {
    "red": (215, 35, 40),
    "green": (30, 150, 50),
    "blue": (35, 60, 215),
    "yellow": (250, 230, 40),
    "black": (20, 20, 20),
}
_GREY = (228, 230, 236)
_WARNING = (214, 40, 30)
_FONT_PX = 18
_LINE_PX = 24


def typed(image: bytes, text: str, width_px: int = 384) -> bytes:
    """The image, `width_px` wide, with the text typed in black on a white band under it (FigStep, Gong et al. 2023; MM-SafetyBench)."""
    from PIL import Image, ImageDraw, ImageFont

    picture, chunks = _opened(image)
    picture = picture.resize((width_px, max(1, round(picture.height * width_px / picture.width))))
    lines = wrapped(text, width_px // 10)
    canvas = Image.new("RGB", (width_px, picture.height + _LINE_PX * (len(lines) + 1)), "white")
    canvas.paste(picture, (0, 0))
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(_FONT_PX)
    for number, line in enumerate(lines):
        pen.text((8, picture.height + _LINE_PX // 2 + number * _LINE_PX), line, fill="black", font=font)
    return _png(canvas, chunks)


def wrapped(text: str, num_chars: int) -> list[str]:
    """The text in lines of at most `num_chars` characters; a longer word has a line of its own."""
    import textwrap

    return textwrap.wrap(text, num_chars, break_long_words=False) or [""]


def coarse(image: bytes, side_px: int) -> bytes:
    """The image as `side_px` pixels a side hold it, blown up to its former size."""
    from PIL import Image

    picture, chunks = _opened(image)
    small = picture.resize((side_px, side_px), Image.Resampling.BOX)
    return _png(small.resize(picture.size, Image.Resampling.NEAREST), chunks)


def framed(image: bytes, share: float = 0.06) -> bytes:
    """The image in a red frame whose width is this share of its shorter side, a warning triangle in its corner."""
    from PIL import ImageDraw

    picture, chunks = _opened(image)
    shorter = min(picture.size)
    pen, side = ImageDraw.Draw(picture), max(6, shorter // 5)
    pen.rectangle(
        (0, 0, picture.width - 1, picture.height - 1), outline=_WARNING, width=max(1, round(share * shorter))
    )
    x, y = picture.width - side - 2, picture.height - side - 2
    pen.polygon(
        [(x + side / 2, y), (x, y + side), (x + side, y + side)], fill=_COLOURS_OF_SIGN, outline="black"
    )
    pen.line(
        (x + side / 2, y + side * 0.35, x + side / 2, y + side * 0.7), fill="black", width=max(1, side // 10)
    )
    return _png(picture, chunks)


def shape(name: str, colour: str, *, x: int, y: int, radius: int, side_px: int = 64) -> bytes:
    """One coloured shape at (x, y), in pixels, on a light ground."""
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (side_px, side_px), _GREY)
    _PENS[name](ImageDraw.Draw(picture), x, y, radius, COLOURS[colour])
    return _png(picture, {})


def _circle(pen: ImageDraw, x: int, y: int, r: int, fill: Sequence[int]) -> None:
    pen.ellipse((x - r, y - r, x + r, y + r), fill=tuple(fill))


def _square(pen: ImageDraw, x: int, y: int, r: int, fill: Sequence[int]) -> None:
    half = round(0.84 * r)
    pen.rectangle((x - half, y - half, x + half, y + half), fill=tuple(fill))


def _triangle(pen: ImageDraw, x: int, y: int, r: int, fill: Sequence[int]) -> None:
    pen.polygon([(x, y - r), (x + 0.87 * r, y + 0.5 * r), (x - 0.87 * r, y + 0.5 * r)], fill=tuple(fill))


def _cross(pen: ImageDraw, x: int, y: int, r: int, fill: Sequence[int]) -> None:
    arm = round(0.32 * r)
    pen.rectangle((x - r, y - arm, x + r, y + arm), fill=tuple(fill))
    pen.rectangle((x - arm, y - r, x + arm, y + r), fill=tuple(fill))


_PENS = dict(zip(SHAPES, (_circle, _square, _triangle, _cross), strict=True))
_COLOURS_OF_SIGN = (250, 210, 40)


def _opened(image: bytes) -> tuple[Image, dict[str, str]]:
    from PIL import Image

    with Image.open(io.BytesIO(image)) as opened:
        chunks = {name: value for name, value in opened.info.items() if isinstance(value, str)}
        return opened.convert("RGB"), chunks


def _png(picture: Image, chunks: dict[str, str]) -> bytes:
    from PIL.PngImagePlugin import PngInfo

    kept, buffer = PngInfo(), io.BytesIO()
    for name, value in chunks.items():
        kept.add_text(name, value)
    picture.save(buffer, "PNG", pnginfo=kept)
    return buffer.getvalue()
