"""The rows of `images`: accepted images, and what was set aside."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Image:
    """An image that passed ingest; its bytes are the blob of the same id."""

    id: str  # sha256 of the bytes, hex
    source: str  # name of the image source in the profile
    source_key: str  # path inside the source
    class1: str  # domain id of the taxonomy, or "benign"
    class2: str  # category id
    class3: str  # leaf id
    licence: str
    caption: str | None
    provided_question: str | None  # a question that came with the image, where the source has one
    provided_question_kind: str | None  # one of QUESTION_KINDS
    width_px: int
    height_px: int
    num_bytes: int
    format: str  # PNG, JPEG, WEBP
    perceptual_hash: str  # 64-bit pHash, 16 hex digits


@dataclass(frozen=True, slots=True)
class ImageCandidate:
    """What reading one file of an image source gave: an image, or the reason why it is in quarantine."""

    id: str  # hash of (source, source_key, the store's own fingerprint of that file)
    source: str
    source_key: str
    reason: str | None  # None: accepted. Otherwise a word from images.QUARANTINE_REASONS
    detail: str | None  # the value seen and the limit; never the content
    image: str | None  # JSON of the Image, where accepted
    thumbnails: str | None = None  # small grey versions, where accepted and made (audit/thumbnails.py)


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """Small grey versions of an image, by which changed copies of it are found."""

    id: str  # image id
    thumbnails: str  # base64 of one or two of 32 x 32 bytes (audit/thumbnails.py)


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A row of the input that was set aside, with the reason; a suite limits their share."""

    id: str
    source: str
    source_key: str
    reason: str
    detail: str
