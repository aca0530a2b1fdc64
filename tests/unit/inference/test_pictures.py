"""Only whole PNG, JPEG and WEBP images of a sane size are decoded; all else is named, briefly."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spavl.inference.pictures import BadPicture, decode, media_type


def encoded(kind: str, colour: object = "red", mode: str = "RGB") -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new(mode, (20, 10), colour).save(buffer, kind)
    return buffer.getvalue()


def png_of_size(width_px: int, height_px: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width_px, height_px, 8, 2, 0, 0, 0)
    body = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + body + b"\0\0\0\0IEND\xaeB`\x82"


@pytest.mark.parametrize(("kind", "media"), [("PNG", "png"), ("JPEG", "jpeg"), ("WEBP", "webp")])
def test_the_three_formats_are_known_by_their_bytes(kind: str, media: str) -> None:
    assert media_type(encoded(kind)) == f"image/{media}"
    assert (decode(encoded(kind)).size, decode(encoded(kind)).mode) == ((20, 10), "RGB")


def test_transparent_and_grey_images_become_rgb() -> None:
    assert decode(encoded("PNG", (255, 0, 0, 0), "RGBA")).mode == "RGB"
    assert decode(encoded("PNG", 7, "L")).getpixel((0, 0)) == (7, 7, 7)


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF"])
def test_other_formats_are_refused(kind: str) -> None:
    with pytest.raises(BadPicture, match="not PNG, JPEG or WEBP"):
        decode(encoded(kind))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_truncated_image_is_refused(kind: str) -> None:
    whole = encoded(kind)
    with pytest.raises(BadPicture, match="cannot be decoded"):
        decode(whole[: len(whole) // 2])


@pytest.mark.filterwarnings("ignore:Image size")
@pytest.mark.parametrize("side_px", [12_000, 60_000])
def test_a_bomb_is_refused_undecoded(side_px: int) -> None:
    with pytest.raises(BadPicture):
        decode(png_of_size(side_px, side_px))


@settings(max_examples=60, deadline=None)
@given(
    noise=st.binary(max_size=200),
    start=st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF0000WEBP"]),
)
def test_no_bytes_raise_anything_else(start: bytes, noise: bytes) -> None:
    try:
        decode(start + noise)
    except BadPicture as error:
        assert len(str(error)) < 100
