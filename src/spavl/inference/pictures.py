"""Image bytes before they reach a model: what they are, and how they are decoded. PNG, JPEG and WEBP, nothing else.

The bytes come from the store, so most are sound; this is the second lock, for rows written by other means.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 100_000_000  # 300 MB decoded; ingest has its own, lower, limit
_FORMATS = ("PNG", "JPEG", "WEBP")


class BadPicture(ValueError):
    """The bytes are no usable image; the message is short and holds no content."""


def media_type(image: bytes) -> str:
    """The media type by the first bytes, whatever a name may say; raises BadPicture."""
    if image.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if image.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if image[:4] == b"RIFF" and image[8:12] == b"WEBP":
        return "image/webp"
    raise BadPicture("the image is not PNG, JPEG or WEBP")


def decode(image: bytes) -> Image:
    """The whole image as RGB; raises BadPicture for another format, too many pixels, or bytes that do not decode."""
    from PIL import Image

    media_type(image)
    try:
        with Image.open(io.BytesIO(image), formats=_FORMATS) as unverified:
            width_px, height_px = unverified.size
            if width_px * height_px > MAX_PIXELS:
                raise BadPicture(f"the image has {width_px} x {height_px} pixels, more than {MAX_PIXELS}")
            unverified.verify()
        with Image.open(io.BytesIO(image), formats=_FORMATS) as picture:
            return picture.convert("RGB")
    except BadPicture:
        raise
    except Exception as error:  # Pillow's decoders raise a dozen types on hostile bytes
        raise BadPicture(f"the image cannot be decoded ({type(error).__name__})") from None
