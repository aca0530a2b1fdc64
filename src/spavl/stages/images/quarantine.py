"""Why a file or a row of a source is set aside: the words that tables, suites and reports use."""

from __future__ import annotations

QUARANTINE_REASONS = {
    "bad_row": "the CSV row has more or fewer cells than the header, or names no file",
    "unknown_class": "the row's label is no class of the taxonomy and is not mapped, or there is no label",
    "empty_question": "the table has a question column and this row's cell is empty",
    "question_too_long": "the provided question is longer than max_question_chars",
    "path_escapes": "the path or its link target lies outside the source's folder",
    "missing_file": "no file lies at the path",
    "unreadable": "the file may not be read, or is no regular file",
    "empty_file": "the file has no bytes",
    "too_large_bytes": "the file is larger than max_file_bytes; it was not read",
    "wrong_name": "the name ends in one image format and the content is another, or the name is not UTF-8",
    "not_an_image": "the first bytes are of no image format",
    "unsupported_format": "an image, but not PNG, JPEG or WEBP",
    "animated": "more than one frame",
    "too_many_pixels": "more pixels than max_pixels; it was not decoded",
    "too_small": "a side is shorter than min_side_px",
    "truncated": "the header is an image's, but what follows ends early or is damaged",
    "forgotten": "the image is on the list of those that never come back (`spavl forget`)",
    "duplicate": "the same bytes as an image that was kept",
}


class Rejected(Exception):
    """This file or row goes to quarantine. `detail` holds the value seen and the limit, never the content."""

    def __init__(self, reason: str, detail: str) -> None:
        assert reason in QUARANTINE_REASONS, reason
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
