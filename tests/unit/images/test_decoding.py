"""Good images give their facts; every bad one gets the reason a reader would name; nothing is decoded past the limits."""

import contextlib
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile
from tests.unit.images.picture_files import animated, encoded, png_header_of, webp_header_of

from spavl.stages.images.decoding import decode, sniff
from spavl.stages.images.quarantine import Rejected

PNG = encoded()
PROGRESSIVE = encoded(0, "JPEG", progressive=True)
WEBP = encoded(0, "WEBP")


def reason_of(
    content: bytes, name: str = "picture", max_pixels: int = 1_000_000, min_side_px: int = 16
) -> str:
    with pytest.raises(Rejected) as caught:
        decode(content, name, max_pixels=max_pixels, min_side_px=min_side_px)
    return caught.value.reason


def accept(content: bytes, name: str = "picture"):
    return decode(content, name, max_pixels=1_000_000, min_side_px=16)


@pytest.mark.parametrize(
    ("content", "name", "image_format"),
    [
        (PNG, "a.png", "PNG"),
        (encoded(0, "JPEG"), "a.JPG", "JPEG"),
        (PROGRESSIVE, "a.jpeg", "JPEG"),
        (WEBP, "a.webp", "WEBP"),
        (encoded(0, "WEBP", lossless=True), "a.webp", "WEBP"),
        (encoded(0, "WEBP", mode="RGBA"), "a.webp", "WEBP"),
        (PNG, "no-ending", "PNG"),
        (PNG, "a.dat", "PNG"),
    ],
)
def test_good_images_of_each_format_are_accepted(content, name, image_format):
    facts = accept(content, name)
    assert (facts.format, facts.width_px, facts.height_px) == (image_format, 48, 32)
    assert len(facts.perceptual_hash) == 16 and int(facts.perceptual_hash, 16) >= 0


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
def test_png_modes_are_accepted(mode):
    assert accept(encoded(0, mode=mode)).format == "PNG"


def test_sixteen_bit_png_is_accepted():
    buffer = io.BytesIO()
    Image.new("I;16", (20, 20), 40_000).save(buffer, "PNG")
    assert accept(buffer.getvalue()).format == "PNG"


def test_cmyk_jpeg_is_accepted():
    assert accept(encoded(0, "JPEG", mode="CMYK")).format == "JPEG"


def test_phone_picture_with_a_preview_behind_it_is_a_jpeg():
    assert (
        accept(encoded(1, "MPO", save_all=True, append_images=[Image.new("RGB", (16, 16))]), "a.jpg").format
        == "JPEG"
    )


def test_same_picture_in_two_formats_has_nearly_the_same_perceptual_hash():
    hashes = [int(accept(content).perceptual_hash, 16) for content in (PNG, encoded(0, "JPEG", quality=95))]
    assert (hashes[0] ^ hashes[1]).bit_count() <= 4


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        (b"just words", "a.png", "not_an_image"),
        (b"\0" * 100, "a", "not_an_image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "a.svg", "not_an_image"),
        (PNG, "a.jpg", "wrong_name"),
        (encoded(0, "GIF"), "a.PNG", "wrong_name"),
        (encoded(0, "GIF"), "a.gif", "unsupported_format"),
        (encoded(0, "BMP"), "a.bmp", "unsupported_format"),
        (encoded(0, "TIFF"), "a.tiff", "unsupported_format"),
        (b"\0\0\0\x1cftypavif" + b"\0" * 20, "a.avif", "unsupported_format"),
        (b"GIF89a", "a.gif", "unsupported_format"),
        (animated("GIF"), "a.gif", "animated"),
        (animated("PNG"), "a.png", "animated"),
        (animated("WEBP"), "a.webp", "animated"),
        (encoded(size=(48, 15)), "a.png", "too_small"),
        (encoded(0, "WEBP", size=(15, 48)), "a.webp", "too_small"),
        (encoded(size=(1001, 1000)), "a.png", "too_many_pixels"),
        (encoded(0, "JPEG", size=(1001, 1000)), "a.jpg", "too_many_pixels"),
        (encoded(0, "WEBP", size=(1001, 1000)), "a.webp", "too_many_pixels"),
        (encoded(0, "WEBP", size=(1001, 1000), lossless=True), "a.webp", "too_many_pixels"),
        (png_header_of(100, 100), "a.png", "truncated"),
        (b"\x89PNG\r\n\x1a\n", "a.png", "truncated"),
        (b"\xff\xd8\xff", "a.jpg", "truncated"),
        (b"RIFF\0\0\0\0WEBP", "a.webp", "truncated"),
    ],
)
def test_bad_files_get_their_reason(content, name, reason):
    assert reason_of(content, name) == reason


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_truncated_files_are_named_so(image_format, share):
    content = encoded(0, image_format, size=(200, 200))
    assert reason_of(content[: int(len(content) * share)]) == "truncated"


def test_flipped_byte_in_a_png_is_damage():
    content = bytearray(PNG)
    content[len(content) // 2] ^= 0xFF
    assert reason_of(bytes(content)) == "truncated"


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    "header", [png_header_of(30_000, 30_000), png_header_of(10_000, 10_000), webp_header_of(16_383, 16_383)]
)
def test_decompression_bomb_is_refused_before_any_pixel_is_decoded(header, monkeypatch):
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("decoded"))
    assert reason_of(header) == "too_many_pixels"


def test_limits_are_inclusive():
    content = encoded(size=(20, 16))
    assert decode(content, "a.png", max_pixels=320, min_side_px=16).width_px == 20
    assert reason_of(content, max_pixels=319) == "too_many_pixels"
    assert reason_of(content, min_side_px=17) == "too_small"


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([PNG, PROGRESSIVE, WEBP, animated("GIF")]), st.data())
def test_any_damage_is_accepted_or_rejected_but_never_raises(content, data):
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    with contextlib.suppress(Rejected):
        assert accept(bytes(damaged[:cut])).format in ("PNG", "JPEG", "WEBP")


@given(st.binary(max_size=64))
def test_random_bytes_never_raise_in_sniffing(content):
    assert sniff(content) is None or isinstance(sniff(content), str)
