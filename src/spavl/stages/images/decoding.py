"""Encoded bytes to an image's facts, defensively: the content decides the format, and limits come before decoding.

Pure: no files. ICC profiles and EXIF are ignored. Pillow's decoders see PNG, JPEG and WEBP only (and a GIF's frame
table, to tell animated from unsupported), so that a hostile file reaches as little code as can be.
"""

from __future__ import annotations

import io
import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spavl.audit.thumbnails import thumbnails
from spavl.stages.images.quarantine import Rejected

if TYPE_CHECKING:
    from PIL.Image import Image

ACCEPTED_FORMATS = ("PNG", "JPEG", "WEBP")

_EXTENSIONS = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "JPEG"),
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    **dict.fromkeys((".heic", ".heif"), "HEIF"),
    **{f".{name.lower()}": name for name in ("PNG", "WEBP", "GIF", "BMP", "AVIF", "ICO", "PSD", "JP2")},
}
_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"\x00\x00\x01\x00", "ICO"),
    (b"8BPS", "PSD"),
    (b"\x00\x00\x00\x0cjP  ", "JP2"),
)
_HEIF_BRANDS = {
    b"heic": "HEIF",
    b"heix": "HEIF",
    b"mif1": "HEIF",
    b"msf1": "HEIF",
    b"avif": "AVIF",
    b"avis": "AVIF",
}


@dataclass(frozen=True, slots=True)
class Decoded:
    """What decoding an accepted image gave."""

    format: str  # one of ACCEPTED_FORMATS
    width_px: int
    height_px: int
    perceptual_hash: str  # 64-bit pHash of the luma, 16 hex digits
    thumbnails: str  # small grey versions, by which changed copies are found (audit/thumbnails.py)


def decode(content: bytes, name: str, *, max_pixels: int, min_side_px: int) -> Decoded:
    """The facts of one encoded image; raises Rejected. `name` serves only to compare its ending with the content."""
    image_format = sniff(content)
    if image_format is None:
        raise Rejected("not_an_image", "the first bytes are of no image format")
    _check_name(name, image_format)
    if image_format == "GIF" and _is_animated_gif(content):
        raise Rejected("animated", "a GIF of several frames; one is allowed")
    if image_format not in ACCEPTED_FORMATS:
        raise Rejected("unsupported_format", f"{image_format}; allowed are {', '.join(ACCEPTED_FORMATS)}")
    if image_format == "WEBP":  # Pillow's WEBP reader takes memory for the whole canvas when it opens
        _check_size(*_webp_size(content), max_pixels, min_side_px)
    return _decode_accepted(content, image_format, max_pixels, min_side_px)


def sniff(content: bytes) -> str | None:
    """The format that the first bytes say, None where they say no image format that we know."""
    for signature, image_format in _SIGNATURES:
        if content.startswith(signature):
            return image_format
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WEBP"
    if content[:2] == b"BM" and content[6:10] == b"\x00\x00\x00\x00":
        return "BMP"
    return _HEIF_BRANDS.get(content[8:12]) if content[4:8] == b"ftyp" else None


def _check_name(name: str, image_format: str) -> None:
    ending = posixpath.splitext(name)[1].lower()
    if _EXTENSIONS.get(ending, image_format) != image_format:
        raise Rejected("wrong_name", f"the name ends in {ending}, the content is {image_format}")


def _check_size(width: int, height: int, max_pixels: int, min_side_px: int) -> None:
    if width * height > max_pixels:
        raise Rejected(
            "too_many_pixels", f"{width} x {height} = {width * height} pixels; at most {max_pixels}"
        )
    if min(width, height) < min_side_px:
        raise Rejected("too_small", f"{width} x {height} pixels; each side at least {min_side_px}")


def _webp_size(content: bytes) -> tuple[int, int]:
    """(width, height) from the first chunk; https://developers.google.com/speed/webp/docs/riff_container."""
    chunk, body = content[12:16], content[20:30]
    if len(body) == 10 and chunk == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if len(body) == 10 and chunk == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if len(body) == 10 and chunk == b"VP8 ":
        return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
    raise Rejected("truncated", "a WEBP without a readable first chunk")


def _decode_accepted(content: bytes, image_format: str, max_pixels: int, min_side_px: int) -> Decoded:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=(image_format,)) as image:
            _check_size(image.width, image.height, max_pixels, min_side_px)
            # MPO is how phones write a JPEG with a preview behind it: the first picture is the image
            if image.format != "MPO" and getattr(image, "is_animated", False):
                raise Rejected("animated", f"{image.format} of several frames; one is allowed")
            image.verify()  # a PNG's checksums; closes the image
        with Image.open(io.BytesIO(content), formats=(image_format,)) as image:
            image.load()
            return Decoded(
                image_format, image.width, image.height, _perceptual_hash(image), thumbnails(image)
            )
    except (Rejected, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Rejected("too_many_pixels", f"more pixels than Pillow opens; at most {max_pixels}") from None
    except Exception as error:  # a damaged file makes Pillow raise nearly anything: OSError, SyntaxError, ValueError, struct.error
        raise Rejected(
            "truncated", f"{image_format} that cannot be decoded ({type(error).__name__})"
        ) from None


def _is_animated_gif(content: bytes) -> bool:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=("GIF",)) as image:
            return bool(image.is_animated)
    except Exception:  # as above; a still or broken GIF is unsupported either way
        return False


def _perceptual_hash(image: Image) -> str:
    import imagehash

    return str(imagehash.phash(image))
