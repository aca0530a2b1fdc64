"""Draws the demo's pictures: a coloured shape, moved and scaled, on one of four uneven backgrounds with noise.

A picture is decided by its concept and seed alone. The concept's words are written into the PNG as a text chunk: that
is what the demo's rule judge reads when it is given the picture. The models see pixels only.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from spavl.demo.concepts import Concept
from spavl.demo.shapes import mask

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

SIDE_PX = 64
BACKGROUNDS = ("snow", "sand", "slate", "moss")
CONCEPT_CHUNK = "spavl-demo-concept"  # key of the PNG text chunk

_COLOURS_RGB = {
    "red": (215, 35, 40),
    "orange": (245, 130, 20),
    "yellow": (250, 230, 40),
    "green": (30, 150, 50),
    "cyan": (40, 205, 220),
    "blue": (35, 60, 215),
    "purple": (150, 45, 190),
    "black": (20, 20, 20),
}
_BACKGROUNDS_RGB = {
    "snow": (228, 230, 236),
    "sand": (208, 190, 158),
    "slate": (132, 138, 150),
    "moss": (160, 176, 148),
}
_BLOTCH_CELLS = 4  # cells per side of the background's unevenness: coarse enough to reach the perceptual hash
_BLOTCH_LEVELS = 36
_NOISE_LEVELS = 6


def draw(concept: Concept, seed: int) -> Image.Image:
    """The RGB picture of a concept, 64 x 64 px."""
    return draw_with_background(concept, seed)[0]


def draw_with_background(concept: Concept, seed: int) -> tuple[Image.Image, int]:
    """The same picture, and the number of its background in BACKGROUNDS."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng([concept.number, seed])
    background = int(rng.integers(len(BACKGROUNDS)))
    picture = Image.fromarray(_uneven(rng, BACKGROUNDS[background]))
    radius = int(rng.integers(20, 27))
    x, y = (int(value) for value in rng.integers(radius + 1, SIDE_PX - radius - 1, size=2))
    picture.paste(_shade(rng, concept.colour), mask=mask(concept.shape, SIDE_PX, x, y, radius))
    return Image.fromarray(_noisy(rng, np.asarray(picture))), background


def png(concept: Concept, seed: int) -> bytes:
    """The picture as PNG bytes, with the concept's words in the text chunk."""
    from PIL.PngImagePlugin import PngInfo

    chunks = PngInfo()
    chunks.add_text(CONCEPT_CHUNK, concept.words)
    buffer = io.BytesIO()
    draw(concept, seed).save(buffer, format="PNG", pnginfo=chunks)
    return buffer.getvalue()


def concept_words(image: bytes) -> str | None:
    """The words in the text chunk of an encoded picture; None for a picture this module did not draw."""
    from PIL import Image

    with Image.open(io.BytesIO(image)) as opened:
        return opened.info.get(CONCEPT_CHUNK)


def _uneven(rng: np.random.Generator, background: str) -> np.ndarray:
    """The background: uint8 [64, 64, 3], one colour with smooth random light and shade."""
    import numpy as np
    from PIL import Image

    cells = rng.integers(0, 256, size=(_BLOTCH_CELLS, _BLOTCH_CELLS), dtype=np.uint8)
    smooth = Image.fromarray(cells).resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)
    light = (np.asarray(smooth, dtype=np.int16) - 128) * _BLOTCH_LEVELS // 128
    return _clip(np.asarray(_BACKGROUNDS_RGB[background], dtype=np.int16) + light[:, :, None])


def _noisy(rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    import numpy as np

    noise = rng.integers(-_NOISE_LEVELS, _NOISE_LEVELS + 1, size=pixels.shape, dtype=np.int16)
    return _clip(pixels.astype(np.int16) + noise)


def _clip(pixels: np.ndarray) -> np.ndarray:
    import numpy as np

    return np.clip(pixels, 0, 255).astype(np.uint8)


def _shade(rng: np.random.Generator, colour: str) -> tuple[int, int, int]:
    change = int(rng.integers(-12, 13))
    red, green, blue = (min(255, max(0, value + change)) for value in _COLOURS_RGB[colour])
    return red, green, blue
