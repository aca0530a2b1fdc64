"""Changed copies among images: cropped, flipped, turned, bordered, captioned, recoloured, re-saved. Pure.

Two steps. Candidates: an image's perceptual hash is within HASH_BITS of that of a view of another image, in one of eight
flips and turns. Then the two are laid on each other and cut into squares of a few pixels, and each square is correlated:
a copy shows the same texture nearly everywhere, also where nothing stands; two images of one thing do not. Limits are
measured on drawings of one world (same shapes, other places and backgrounds), the hardest unrelated images at hand.

Exact up to ALL_WITH_ALL new images: every hash meets every other. Beyond that only hashes that share one of NUM_TABLES keys
of some bits meet (locality-sensitive hashing, Indyk and Motwani 1998), so that work grows with the number of images.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spavl.audit.thumbnails import SIDE_PX, pixels_of
from spavl.audit.views import HASH_SIDE, NUM_TURNS, UNWRITTEN, VIEWS, WHOLE, View, hashes, look, turn

if TYPE_CHECKING:
    import numpy as np

HASH_BITS = 10
UNWRITTEN_BITS = 6  # nothing else may have been done to an image that something was written on
ALL_WITH_ALL = 3000
NUM_TABLES = 12
_SQUARE_PX = 4
_TEXTURE_LEVELS = 2.5  # of 255: below that standard deviation a square shows nothing to compare
_MIN_SQUARES = 12  # of 64 that must show something
_SAME = 0.9  # correlation of a square that counts as the same
_SHARE_SAME = 0.65
_SHARE_SAME_UNWRITTEN = 0.6  # the writing covers a quarter of the squares at most
_MEAN_CORRELATION = 0.78
_BATCH = 4096
_MEETINGS_AT_ONCE = 4_000_000
_MEETINGS_IN_CACHE = 100_000


@dataclass(frozen=True, slots=True)
class _Pool:
    """Thumbnails of all images, and to which image each belongs."""

    ids: list[str]
    owner: np.ndarray  # int64 [N]: index in ids
    pixels: np.ndarray  # uint8 [N, S, S]
    is_new: np.ndarray  # bool [N]


def copies(thumbnails: Iterable[tuple[str, str]], new: Collection[str]) -> set[tuple[str, str]]:
    """Pairs of images, the smaller id first, of which one is a changed copy of the other and at least one is new.

    `thumbnails`: (image id, what `thumbnails.thumbnails` gave) of each image, in any order; read once, and only pixels are kept.
    """
    pool = _pool(thumbnails, set(new)) if new else None
    if pool is None or len(pool.ids) < 2:
        return set()
    found = set()
    for first, second in _verified(pool):
        one, other = pool.ids[pool.owner[first]], pool.ids[pool.owner[second]]
        found.add((min(one, other), max(one, other)))
    return found


def _pool(thumbnails: Iterable[tuple[str, str]], new: set[str]) -> _Pool:
    import numpy as np

    ids, number, content = [], [], bytearray()
    for image_id, text in thumbnails:
        pixels = pixels_of(text)
        ids.append(image_id)
        number.append(len(pixels))
        content += pixels.tobytes()
    owner = np.repeat(np.arange(len(ids)), number)
    is_new = np.array([image_id in new for image_id in ids], bool)
    return _Pool(ids, owner, np.frombuffer(content, np.uint8).reshape(-1, SIDE_PX, SIDE_PX), is_new[owner])


def _verified(pool: _Pool) -> Iterator[tuple[int, int]]:
    """Pairs of thumbnails that are copies, perhaps several times."""
    import numpy as np

    turned = [_hashes(pool.pixels, WHOLE, number) for number in range(NUM_TURNS)]
    for view in VIEWS:
        of_view = _hashes(pool.pixels, view)
        for number in range(NUM_TURNS):
            for left, right in _near(turned[number], of_view, pool, HASH_BITS):
                mean, share = likeness(
                    turn(pool.pixels[left].astype(np.float32), number),
                    look(pool.pixels[right].astype(np.float32), view),
                )
                is_copy = (mean >= _MEAN_CORRELATION) | (share >= _SHARE_SAME)
                yield from zip(left[is_copy].tolist(), right[is_copy].tolist(), strict=True)
    yield from _with_writing(pool)


def _with_writing(pool: _Pool) -> Iterator[tuple[int, int]]:
    import numpy as np

    for view in UNWRITTEN:
        of_view = _hashes(pool.pixels, view)
        for left, right in _near(of_view, of_view, pool, UNWRITTEN_BITS):
            _, share = likeness(*(pool.pixels[side].astype(np.float32) for side in (left, right)))
            is_copy = share >= _SHARE_SAME_UNWRITTEN
            yield from zip(left[is_copy].tolist(), right[is_copy].tolist(), strict=True)


def _hashes(pixels: np.ndarray, view: View, number: int = 0) -> np.ndarray:
    """uint64 [N] of `pixels` uint8 [N, S, S], seen through a view and turned, some thousands at a time."""
    import numpy as np

    parts = [pixels[start : start + _BATCH].astype(np.float32) for start in range(0, len(pixels), _BATCH)]
    return np.concatenate([hashes(turn(look(part, view), number)) for part in parts])


def likeness(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of two stacks float32 [N, S, S]: mean correlation of their squares, and share of squares correlated by _SAME.

    float64 [N] each, over squares that show something in either; 0 if fewer than _MIN_SQUARES do.
    """
    import numpy as np

    (squares, texture), (others, other_texture) = _squares(one), _squares(other)
    correlation = (squares * others).sum(axis=2)
    shows = (texture > _TEXTURE_LEVELS) | (other_texture > _TEXTURE_LEVELS)
    number = shows.sum(axis=1)
    is_enough = number >= _MIN_SQUARES
    mean = np.where(is_enough, (correlation * shows).sum(axis=1) / np.maximum(number, 1), 0)
    share = np.where(is_enough, ((correlation >= _SAME) & shows).sum(axis=1) / np.maximum(number, 1), 0)
    return mean, share


def _squares(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squares with mean 0 and norm 1 [N, squares, pixels of a square], and their standard deviations [N, squares]."""
    import numpy as np

    side = SIDE_PX // _SQUARE_PX
    cut = pixels.reshape(-1, side, _SQUARE_PX, side, _SQUARE_PX).transpose(0, 1, 3, 2, 4)
    cut = cut.reshape(len(pixels), side * side, _SQUARE_PX**2)
    cut = cut - cut.mean(axis=2, keepdims=True)
    norm = np.sqrt((cut * cut).sum(axis=2))
    return cut / np.maximum(norm, 1e-6)[:, :, None], norm / _SQUARE_PX


def _near(
    one: np.ndarray, other: np.ndarray, pool: _Pool, max_bits: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Blocks of (i, j), int64 each: `one[i]` within `max_bits` of `other[j]`, of two images of which one is new."""
    import numpy as np

    new, old = np.nonzero(pool.is_new)[0], np.nonzero(~pool.is_new)[0]
    for rows, columns in ((new, np.arange(len(other))), (old, new)):
        if not len(rows) or not len(columns):
            continue
        meet = _all_with_all if min(len(rows), len(columns)) <= ALL_WITH_ALL else _same_key
        for left, right in meet(one[rows], other[columns], max_bits):
            left, right = rows[left], columns[right]
            are_two = pool.owner[left] != pool.owner[right]
            left, right = left[are_two], right[are_two]
            for start in range(0, len(left), _BATCH):
                yield left[start : start + _BATCH], right[start : start + _BATCH]


def _all_with_all(
    one: np.ndarray, other: np.ndarray, max_bits: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    import numpy as np

    halves, other_halves = one.astype(np.uint32), other.astype(np.uint32)  # of 64 bits
    rows = max(1, _MEETINGS_IN_CACHE // len(other))
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for start in range(0, len(one), rows):
        bits = np.bitwise_count(halves[start : start + rows, None] ^ other_halves)
        left, right = np.divmod(np.flatnonzero(bits <= max_bits), len(other))
        is_near = np.bitwise_count(one[start + left] ^ other[right]) <= max_bits
        if is_near.any():
            found.append((start + left[is_near], right[is_near]))
        if found and (sum(len(pairs) for pairs, _ in found) > _BATCH or start + rows >= len(one)):
            left, right = (np.concatenate(side) for side in zip(*found, strict=True))
            found = []
            yield left, right


def _same_key(one: np.ndarray, other: np.ndarray, max_bits: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Those of equal keys, table by table: a pair may come several times."""
    import numpy as np

    for bits in _tables(len(other)):
        keys, of_other = _keys(one, bits), _keys(other, bits)
        order = np.argsort(of_other, kind="stable")
        start, end = (np.searchsorted(of_other[order], keys, side) for side in ("left", "right"))
        block_of = np.cumsum(end - start) // _MEETINGS_AT_ONCE
        for block in range(int(block_of[-1]) + 1):
            left, right = _ranges(np.nonzero(block_of == block)[0], start, end)
            right = order[right]
            is_near = np.bitwise_count(one[left] ^ other[right]) <= max_bits
            yield left[is_near], right[is_near]


def _ranges(rows: np.ndarray, start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each row as often as its range is long, and beside it the places start to end - 1."""
    import numpy as np

    size = end[rows] - start[rows]
    left = np.repeat(rows, size)
    within = np.arange(len(left)) - np.repeat(np.cumsum(size) - size, size)
    return left, np.repeat(start[rows], size) + within


def _tables(number: int) -> Iterator[np.ndarray]:
    """NUM_TABLES choices of hash bits, so many that some 32 of `number` hashes share a key; always the same."""
    import numpy as np

    num_bits = max(1, round(np.log2(number / 32)))
    rng = np.random.default_rng(0)
    for _ in range(NUM_TABLES):
        yield rng.choice(HASH_SIDE**2, size=num_bits, replace=False)


def _keys(values: np.ndarray, bits: np.ndarray) -> np.ndarray:
    import numpy as np

    keys = np.zeros(len(values), dtype=np.uint64)
    for place, bit in enumerate(bits):
        keys |= ((values >> np.uint64(bit)) & np.uint64(1)) << np.uint64(place)
    return keys
