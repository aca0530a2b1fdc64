"""How varied texts are, counted by the engine: group by group, without a text coming to Python one by one.

Texts are the same if `floods.normalised` makes the same of them. SQL has it as the function `normalised`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spavl.audit.floods import normalised

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from spavl.stage import Tables

_BLANK = ord(" ")


@dataclass(frozen=True, slots=True)
class Texts:
    """Counts of one group of texts, at least one."""

    num_texts: int
    num_commonest: int  # of the commonest text
    sum_of_squares: int  # of the numbers of each text
    num_blank: int  # without letters and digits

    @property
    def commonest_share(self) -> float:
        return self.num_commonest / self.num_texts

    @property
    def effective_number(self) -> float:
        """How many equally common texts would be as varied (Hill 1973, order 2)."""
        return self.num_texts**2 / self.sum_of_squares


def texts_by(tables: Tables, rows: str, by: Sequence[str]) -> dict[tuple[str, ...], Texts]:
    """Values of the columns `by` -> counts of their texts; `rows` is a SELECT with these columns and `text`.

    Texts are counted by a 128-bit hash, so that the engine holds 16 bytes of each and no text.
    """
    tables.function("normalised", normalised_texts)
    keys = ", ".join(f'"{name}"' for name in by)
    found = tables.sql(
        f"""SELECT {keys}, sum(number), max(number), sum(number * number), sum(number) FILTER (is_blank)
        FROM (
            SELECT {keys}, md5_number(said) AS text_hash, said = '' AS is_blank, count(*) AS number
            FROM (SELECT {keys}, normalised(text) AS said FROM ({rows})) GROUP BY ALL
        ) GROUP BY {keys}"""
    ).fetchall()
    counts = {tuple(row[: len(by)]): row[len(by) :] for row in found}
    return {key: Texts(*(int(number or 0) for number in numbers)) for key, numbers in counts.items()}


def normalised_texts(texts: pa.ChunkedArray | pa.Array) -> pa.Array:
    """`floods.normalised` of each text; texts of ASCII all at once, byte by byte, others one by one."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = pa.concat_arrays(texts.chunks) if isinstance(texts, pa.ChunkedArray) else texts
    content, offsets = _bytes_of(texts.cast(pa.string()))
    made = _of_ascii(content, offsets)
    if not len(content) or content.max() < 128:
        return made
    ends = np.concatenate([[0], np.cumsum(content >= 128)])
    is_other = pa.array(ends[offsets[1:]] > ends[offsets[:-1]])
    others = [normalised(text) for text in texts.filter(is_other).to_pylist()]
    return pc.replace_with_mask(made, is_other, pa.array(others, pa.string()))


def _bytes_of(texts: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [B] of all texts, and int32 [N + 1]: where each begins and the last ends."""
    import numpy as np

    _, offsets, content = texts.buffers()
    places = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    whole = np.frombuffer(content, np.uint8) if content else np.empty(0, np.uint8)
    return whole[places[0] : places[-1]], places - places[0]


def _of_ascii(content: np.ndarray, offsets: np.ndarray) -> pa.StringArray:
    """Words in small letters, one blank between two; bytes beyond ASCII count as blanks."""
    import numpy as np
    import pyarrow as pa

    if not len(content):
        return pa.array([""] * (len(offsets) - 1), pa.string())
    # bytes.translate takes half the time of an array's lookup
    mapped = np.frombuffer(content.tobytes().translate(_small_letters()), np.uint8)
    is_word = mapped != _BLANK
    is_kept = np.empty_like(is_word)  # words, and of several blanks the one before a word
    is_kept[:-1], is_kept[-1] = is_word[1:], False
    is_kept[offsets[1:] - 1] = False  # the next byte is another text's
    is_kept |= is_word
    kept, offsets = mapped[is_kept], _offsets_without(offsets, is_kept)
    starts = offsets[:-1][offsets[1:] > offsets[:-1]]
    if len(leading := starts[kept[starts] == _BLANK]):
        is_kept = np.ones(len(kept), bool)
        is_kept[leading] = False
        kept, offsets = kept[is_kept], _offsets_without(offsets, is_kept)
    return pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(kept))


def _offsets_without(offsets: np.ndarray, is_kept: np.ndarray) -> np.ndarray:
    """int32 [N + 1]: where texts begin and the last ends if only the bytes `is_kept` bool [B] stay."""
    import numpy as np

    is_filled = offsets[1:] > offsets[:-1]  # of no bytes reduceat would give the next one
    num_kept = np.zeros(len(offsets) - 1, np.int32)
    num_kept[is_filled] = np.add.reduceat(is_kept.view(np.uint8), offsets[:-1][is_filled], dtype=np.int32)
    return np.concatenate([[0], np.cumsum(num_kept)]).astype(np.int32)


@functools.cache
def _small_letters() -> bytes:
    """For `bytes.translate`: each byte of a word in small letters, a blank for any other."""
    letters = (char.lower() if char.isalnum() or char == "_" else " " for char in map(chr, range(128)))
    return "".join(letters).encode() + b" " * 128
