"""Stage `images`: prepare lists the sources, work reads and decodes each file, seal drops duplicates and splits off quarantine."""

from __future__ import annotations

import collections
import dataclasses
import functools
import hashlib
import itertools
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from spavl.audit.image_table import image_measures
from spavl.audit.tallies import former_view
from spavl.audit.thumbnails import THUMBNAIL_TABLE
from spavl.errors import UserError
from spavl.records import stable_hash
from spavl.stage import Answered, Chunk, Derived, Sealed, StageContext, WorkItem
from spavl.stages.images.candidates import Candidate, candidates, check_source
from spavl.stages.images.config import ImagesConfig, ImageSource
from spavl.stages.images.decoding import decode
from spavl.stages.images.folder import SourceFolder
from spavl.stages.images.quarantine import Rejected
from spavl.stages.images.rows import Image, ImageCandidate, Quarantined, Thumbnail
from spavl.stages.images.sorting_out import counts_of, sort_out
from spavl.stages.images.table import parse_table
from spavl.taxonomy import load_taxonomy

if TYPE_CHECKING:
    from spavl.artifacts.blobs import Packing

PART = ImageCandidate

_RULES = (
    "2"  # raised whenever the code decides differently on the same bytes: rows of former rules are not reused
)
_NUM_READERS = 4  # files read at once: hides S3's latency; each may hold one decoded image of max_pixels


def prepare(context: StageContext) -> Iterator[WorkItem]:
    """One item per CSV row or file of each source, made one by one; raises UserError if a source's config or table is wrong."""
    config: ImagesConfig = context.section()
    if not config.sources:
        raise UserError(
            "images.sources is empty: there is nothing to read.", next_step="Name a source in the profile."
        )
    return itertools.chain.from_iterable(_items(source, config) for source in config.sources)


def work(context: StageContext, group: str, chunks: Iterator[Chunk]) -> Iterator[ImageCandidate]:
    """One ImageCandidate per item, in order; the bytes of accepted images become blobs, packed chunk by chunk."""
    config: ImagesConfig = context.section()
    source = next(source for source in config.sources if source.name == group)
    folder = SourceFolder(source.name, source.url)
    with context.store.packing() as blobs, ThreadPoolExecutor(_NUM_READERS) as pool:
        reading = _Reading(config, source, folder, blobs, context.forgotten)
        ingest = functools.partial(_candidate_row, reading)
        for chunk in chunks:
            rows = list(pool.map(ingest, chunk.items))
            blobs.flush()  # before the rows that name these blobs
            yield from rows


def seal(context: StageContext, answered: Answered) -> Sealed:
    """Images by (source, key), the first of identical bytes kept; everything else is in the table `quarantine`."""
    tables = context.tables
    context.store.compact_packs()  # each chunk has written a pack of its own
    made = sort_out(tables, answered.relation(), context.scratch)
    former = former_view(tables, "images")
    return Sealed(
        made.images,
        counts_of(tables, answered.num_rows()),
        {
            "quarantine": Derived(made.quarantine, Quarantined),
            THUMBNAIL_TABLE: Derived(made.thumbnails, Thumbnail),
        },
        measures=image_measures(tables, "images", former, context.config.dataset),
    )


def _items(source: ImageSource, config: ImagesConfig) -> Iterator[WorkItem]:
    taxonomy = load_taxonomy()
    check_source(source, taxonomy)
    folder = SourceFolder(source.name, source.url)
    files = folder.listing()
    if not files:
        raise UserError(
            f"image source {source.name!r}: {source.url!r} has no files.",
            next_step="Set its url to a folder of images.",
        )
    table = None
    if source.table is not None:
        table = parse_table(
            _table_bytes(source, folder, list(files)), f"image source {source.name!r}: {source.table}"
        )
    decided_by = [
        _RULES,
        metadata.version("pillow"),
        metadata.version("imagehash"),
        source.name,
        source.licence,
    ]
    decided_by += [config.max_file_bytes, config.max_pixels, config.min_side_px, config.max_question_chars]
    seen: collections.Counter[Candidate] = collections.Counter()
    for candidate in candidates(source, files, table, config, taxonomy):
        said = {**candidate.payload(), "classes": taxonomy.classes(candidate.leaf)}
        # Identical rows of a table differ only by their count, so that a row added above them changes no id
        yield WorkItem(stable_hash("images", decided_by, said, seen[candidate]), source.name, said)
        seen[candidate] += 1


def _table_bytes(source: ImageSource, folder: SourceFolder, keys: list[str]) -> bytes:
    if source.table not in keys:
        tables = ", ".join(key for key in keys if key.lower().endswith(".csv")) or "none"
        raise UserError(
            f"image source {source.name!r}: there is no table {source.table!r} under {source.url!r}.",
            next_step=f"CSV files there: {tables}.",
        )
    try:
        return folder.read(source.table)
    except Rejected as rejected:
        raise UserError(
            f"image source {source.name!r}: the table {source.table!r}: {rejected.detail}."
        ) from None


@dataclass(frozen=True)
class _Reading:
    """What one shard reads with."""

    config: ImagesConfig
    source: ImageSource
    folder: SourceFolder
    blobs: Packing
    forgotten: frozenset[str]


def _candidate_row(reading: _Reading, item: WorkItem) -> ImageCandidate:
    key, source = item.payload["source_key"], reading.source
    try:
        image, thumbnails = _ingest(reading, item)
    except Rejected as rejected:
        return ImageCandidate(item.id, source.name, key, rejected.reason, rejected.detail, None)
    return ImageCandidate(
        item.id, source.name, key, None, None, json.dumps(dataclasses.asdict(image)), thumbnails
    )


def _ingest(reading: _Reading, item: WorkItem) -> tuple[Image, str]:
    """The Image of one item, its bytes given to `blobs`, and its thumbnails; raises Rejected."""
    said, config, source = item.payload, reading.config, reading.source
    if said["reason"] is not None:
        raise Rejected(said["reason"], said["detail"])
    _check_num_bytes(said["num_bytes"], config.max_file_bytes)
    content = reading.folder.read(said["source_key"])
    _check_num_bytes(len(content), config.max_file_bytes)  # it may have grown since it was listed
    if hashlib.sha256(content).hexdigest() in reading.forgotten:
        raise Rejected("forgotten", "on the list of `spavl forget`")
    decoded = decode(
        content, said["source_key"], max_pixels=config.max_pixels, min_side_px=config.min_side_px
    )
    facts = dataclasses.asdict(decoded)
    thumbnails = facts.pop("thumbnails")
    class1, class2, class3 = said["classes"]
    image = Image(
        id=reading.blobs.put(content),
        source=source.name,
        source_key=said["source_key"],
        class1=class1,
        class2=class2,
        class3=class3,
        licence=source.licence,
        caption=said["caption"],
        provided_question=said["question"],
        provided_question_kind=said["question_kind"],
        num_bytes=len(content),
        **facts,
    )
    return image, thumbnails


def _check_num_bytes(num_bytes: int, max_file_bytes: int) -> None:
    if num_bytes == 0:
        raise Rejected("empty_file", "0 bytes")
    if num_bytes > max_file_bytes:
        raise Rejected("too_large_bytes", f"{num_bytes} bytes; at most {max_file_bytes}")
