"""Small harmless pictures as encoded bytes, made by Pillow or by hand."""

from __future__ import annotations

import io
import struct
import zlib

from PIL import Image, ImageDraw


def picture(seed: int = 0, size: tuple[int, int] = (48, 32), mode: str = "RGB") -> Image.Image:
    image = Image.new("RGB", size, (seed * 37 % 256, seed * 91 % 256, 128))
    ImageDraw.Draw(image).ellipse(
        (4 + seed % 7, 4, size[0] - 6, size[1] - 6), fill=(255 - seed * 53 % 256, 40, seed * 11 % 256)
    )
    return image.convert(mode)


def encoded(
    seed: int = 0, image_format: str = "PNG", size: tuple[int, int] = (48, 32), mode: str = "RGB", **options
) -> bytes:
    buffer = io.BytesIO()
    picture(seed, size, mode).save(buffer, image_format, **options)
    return buffer.getvalue()


def animated(image_format: str) -> bytes:
    return encoded(1, image_format, save_all=True, append_images=[picture(2), picture(3)], duration=50)


def png_header_of(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing: a decompression bomb's header."""

    def part(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = part(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + part(b"IDAT", zlib.compress(b"\0" * 1000)) + part(b"IEND", b"")


def webp_header_of(width: int, height: int) -> bytes:
    """An extended WEBP whose canvas has a claimed size."""
    body = b"\0\0\0\0" + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    inner = b"WEBPVP8X" + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", len(inner)) + inner
