"""Blobs: bytes under their sha256, as objects of their own (`blobs/aa/<sha256>`) or many in one pack (`packs.py`).

A pack's index is written after it and commits it. A pack is replaced by writing the new one, its index, and only then
removing the old one and the old index: killed at any moment, every blob that is kept lies in a whole pack. A reader whose
pack has vanished finds the blob through the new index.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from spavl.artifacts.packs import (
    DIGEST_BYTES,
    FOLDER,
    PACK_BYTES,
    Pack,
    Place,
    Places,
    blob_path,
    in_groups,
    index_path,
    listed,
    make_pack,
    pack_path,
)  # fmt: skip
from spavl.artifacts.reading_ahead import ReadingAhead
from spavl.errors import TryAgain, UserError

if TYPE_CHECKING:
    from spavl.artifacts.store import Store

SMALL_PACK_BYTES = PACK_BYTES // 2  # packs below it are joined
WRITING_S = 3600.0  # no writer takes longer from a pack to its index, so an older pack without one is left by a killed writer
_NUM_LOOKS = 3  # at a listing whose indexes another process replaces while they are read


class Blobs:
    """All blobs of a store; safe in several threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.RLock()
        self._places: Places | None = None  # what was listed; None before the first look
        self._loose: set[bytes] | None = None
        self._ahead = ReadingAhead(lambda pack, *span: store.read_range(pack_path(pack), *span))

    # ------------------------------------------------------------------ one blob

    def put(self, content: bytes) -> str:
        """Store bytes as an object of their own; bytes that are in a pack are not sent."""
        digest = hashlib.sha256(content)
        if not self._in_packs(digest.digest()):
            self._store.create_if_absent(blob_path(digest.hexdigest()), content)
        return digest.hexdigest()

    def get(self, digest: str) -> bytes:
        """The bytes, checked; raises UserError if they are missing or not what the name says."""
        content = self._packed(digest)
        if content is None:
            with contextlib.suppress(FileNotFoundError):
                content = self._store.read(blob_path(digest))
        if content is None:  # packed by another process since this one looked
            self._look()
            content = self._packed(digest)
        if content is None:
            raise UserError(
                f"the blob {digest} is not in the store.",
                next_step="Was it pruned? Start a new run of `images`.",
            )
        return _checked(digest, content)

    def get_many(self, digests: Sequence[str]) -> Iterator[bytes]:
        """`get` of each, in order, for the price of one look-up."""
        keys = [_key(digest) for digest in digests]
        if self._store.reads_ahead or not all(len(key) == DIGEST_BYTES for key in keys):
            yield from map(self.get, digests)
            return
        with self._lock:
            places = self._seen().first_of_each(keys)
        for digest, place in zip(digests, places, strict=True):
            content = self._at(place) if place else None
            yield self.get(digest) if content is None else _checked(digest, content)

    def _at(self, place: Place) -> bytes | None:
        """None if the pack was replaced."""
        with contextlib.suppress(FileNotFoundError):
            return self._store.read_range(pack_path(place.pack), place.offset, place.num_bytes)
        return None

    def packing(self) -> Packing:
        return Packing(self)

    def has(self, digest: bytes) -> bool:
        """Whether a blob is in the store, as far as this process has seen; one listing at the first call."""
        with self._lock:
            if self._loose is None:
                self._loose = {bytes.fromhex(path[-64:]) for path in self._store.sizes("blobs")}
            return digest in self._loose or self._in_packs(digest)

    # ------------------------------------------------------------------ all blobs

    def sizes(self) -> Iterator[tuple[str, int]]:
        """Every blob of the store once, with its bytes; two listings and the indexes that are new."""
        places = self._look()
        for digest, num_bytes in places.blobs():
            yield digest.hex(), num_bytes
        for path, num_bytes in self._store.sizes("blobs").items():
            if not places.find(bytes.fromhex(path[-64:])):
                yield path[-64:], num_bytes

    def remove(self, digests: Iterable[str]) -> int:
        """Remove blobs and return how many were there. No run may be adding images.

        Packs that hold some are written again without them. What a killed writer or a killed removal has left goes too.
        """
        doomed = {bytes.fromhex(digest) for digest in digests}
        places = self._look()
        there = {digest for digest in doomed if places.find(digest)}
        loose = [path for path in self._store.sizes("blobs") if bytes.fromhex(path[-64:]) in doomed]
        self._store.remove_files(loose)
        with self._lock:
            self._loose = None
        kept = {
            pack: sum(place.num_bytes for digest, place in held if digest not in doomed)
            for pack, held in ((pack, places.of_pack(pack)) for pack in _packs_of(places, there))
        }
        for group in in_groups(kept):
            self._replace(group, doomed)
        self._remove_leftovers()
        return len(there | {bytes.fromhex(path[-64:]) for path in loose})

    def compact(self) -> int:
        """Join packs below half of PACK_BYTES to packs of up to PACK_BYTES; returns how many packs fewer there are."""
        small = {
            pack: size for pack, size in self._look().bytes_of_packs().items() if size < SMALL_PACK_BYTES
        }
        joined = [group for group in in_groups(small) if len(group) > 1]
        for group in joined:
            self._replace(group, set())
        return sum(len(group) - 1 for group in joined)

    def uncommitted(self) -> list[str]:
        """Paths of packs without an index: of writers at work, or left by killed ones until `remove` takes them away."""
        return [pack_path(name) for name in sorted(listed(self._store.sizes(FOLDER)).without_index)]

    def commit(self, pack: Pack) -> None:
        """Write a pack and then its index."""
        self._store.write(pack_path(pack.name), pack.content)
        self._store.write(index_path(pack.name), pack.places.to_index())
        with self._lock:
            self._places = Places.joined([self._seen().without([pack.name]), pack.places])

    # ------------------------------------------------------------------ inside

    def _packed(self, digest: str) -> bytes | None:
        """From a pack; None if no pack has it."""
        with self._lock:
            for _ in range(_NUM_LOOKS):
                if not (found := self._seen().find(_key(digest))):
                    return None
                try:
                    return self._read(found[0])
                except FileNotFoundError:  # its pack was replaced
                    self._ahead.forget(found[0].pack)
                    self._look()
        raise TryAgain(
            f"the packs in {self._store.url_of(FOLDER)} are being rewritten.",
            next_step="Run the same command again; nothing is lost.",
        )

    def _read(self, place: Place) -> bytes:
        if self._store.reads_ahead:
            return self._ahead.read(place, len(self._seen().packs))
        return self._store.read_range(pack_path(place.pack), place.offset, place.num_bytes)

    def _in_packs(self, digest: bytes) -> bool:
        with self._lock:
            return bool(self._seen().find(digest))

    def _seen(self) -> Places:
        return self._look() if self._places is None else self._places

    def _look(self) -> Places:
        """List the packs and read the indexes that are new."""
        with self._lock:
            for _ in range(_NUM_LOOKS):
                whole = listed(self._store.sizes(FOLDER)).whole
                known = self._places or Places.joined([])
                new = sorted(whole - set(known.packs))
                with contextlib.suppress(FileNotFoundError):  # replaced since it was listed
                    indexes = [
                        self._index(name, content)
                        for name, content in zip(
                            new, self._store.read_many(map(index_path, new)), strict=True
                        )
                    ]
                    self._places = Places.joined([known.without(set(known.packs) - whole), *indexes])
                    return self._places
        raise TryAgain(
            f"the packs in {self._store.url_of(FOLDER)} are being rewritten.",
            next_step="Run the same command again; nothing is lost.",
        )

    def _index(self, name: str, content: bytes) -> Places:
        import pyarrow as pa

        try:
            return Places.from_index(name, content)
        except (pa.ArrowException, KeyError, ValueError) as error:
            raise UserError(
                f"{self._store.url_of(index_path(name))} is damaged: {type(error).__name__}.",
                next_step="Remove it and its pack, and start a new run of `images`.",
            ) from error

    def _replace(self, packs: list[str], doomed: set[bytes]) -> None:
        """One pack in place of several, without the doomed blobs."""
        kept: dict[bytes, bytes] = {}
        for pack in packs:
            content = self._store.read(pack_path(pack))
            for digest, place in self._seen().of_pack(pack):
                if digest not in doomed:
                    blob = content[place.offset : place.offset + place.num_bytes]
                    kept[digest] = _checked(digest.hex(), blob)
        new = make_pack(kept)
        if kept:
            self.commit(new)
        # The pack first: an index without a pack is seen to be void, a pack without an index might be a writer's at work
        old = [pack for pack in packs if pack != new.name or not kept]
        self._store.remove_files(map(pack_path, old))
        self._store.remove_files(map(index_path, old))
        with self._lock:
            self._places = self._seen().without(old)
            for pack in old:
                self._ahead.forget(pack)

    def _remove_leftovers(self) -> None:
        seen = listed(self._store.sizes(FOLDER))
        self._store.remove_files(map(index_path, sorted(seen.without_pack)))
        if seen.without_index:
            ages = self._store.ages(FOLDER)
            oldest = time.time() - WRITING_S
            paths = (pack_path(name) for name in sorted(seen.without_index))
            self._store.remove_files(
                path for path in paths if ages.get(path.rpartition("/")[2], oldest) < oldest
            )


class Packing:
    """Collects blobs in memory and writes them as packs of up to PACK_BYTES; safe in several threads.

    A digest that `put` returned is in the store once `flush` has returned, or the context has ended without an error.
    """

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._lock = threading.Lock()
        self._waiting: dict[bytes, bytes] = {}
        self._num_bytes = 0

    def put(self, content: bytes) -> str:
        """Take a blob and return its digest; one that is in the store is not written again."""
        digest = hashlib.sha256(content)
        key = digest.digest()
        with self._lock:
            if key not in self._waiting and not self._blobs.has(key):
                if self._num_bytes + len(content) > PACK_BYTES:
                    self._flush()
                self._waiting[key] = content
                self._num_bytes += len(content)
        return digest.hexdigest()

    def flush(self) -> None:
        """Write what was taken so far."""
        with self._lock:
            self._flush()

    def __enter__(self) -> Packing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.flush()

    def _flush(self) -> None:
        if self._waiting:
            self._blobs.commit(make_pack(self._waiting))
            self._waiting, self._num_bytes = {}, 0


def _packs_of(places: Places, digests: Iterable[bytes]) -> list[str]:
    return sorted({place.pack for digest in digests for place in places.find(digest)})


def _key(digest: str) -> bytes:
    try:
        return bytes.fromhex(digest)
    except ValueError:
        return b""


def _checked(digest: str, content: bytes) -> bytes:
    if hashlib.sha256(content).hexdigest() != digest:
        raise UserError(
            f"the blob {digest} is damaged: its bytes have another sha256.",
            next_step="Remove it and start a new run of `images`.",
        )
    return content
