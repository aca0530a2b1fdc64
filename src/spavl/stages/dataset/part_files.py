"""Writes rows with their images into part files, some hundred rows at a time.

Rows come in the order of their images, and an image is written once per row group however many rows show it (a dictionary),
without a compression that PNG, JPEG and WEBP have already. A row group has ROWS_PER_GROUP rows, the size that Hugging Face
takes for images: never more images than that are in memory, and each of them once.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from spavl.errors import UserError
from spavl.stages.dataset.published import PREFIXES, schema
from spavl.stages.dataset.rows import VersionPart
from spavl.stages.dataset.version_parts import PART_BYTES, PART_ROWS

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_PER_GROUP = 100
_DICTIONARY_BYTES = (
    2**30
)  # never give up the dictionary: at the default of 1 MB repeated images would be written again


@dataclass
class PartFiles:
    """Writes parts into `folder`; each has its name once it is whole."""

    folder: Path
    image_bytes: Callable[[Sequence[str]], Iterable[bytes]]  # by image ids; no image twice in a row
    unfinished: Path  # a file outside of the folder
    parts: list[VersionPart] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._places: list[pa.Table] = []  # of each part
        self._last: dict[str, bytes] = {}  # the last group's last image, which the next may begin with

    def write(self, split: str, batches: Iterable[pa.RecordBatch]) -> Iterator[int]:
        """Write a split's rows (the columns of `published_sql`), in order; yields the number of rows of each group written."""
        part = None
        for group in _groups(batches):
            part = part or _OpenPart(self.unfinished, split)
            part.write(self._with_images(group, split), group)
            yield group.num_rows
            if part.is_full:
                part = self._end(part)
        self._end(part)

    def _with_images(self, group: pa.Table, split: str) -> pa.Table:
        import pyarrow as pa

        of_rows = group["image_id"].combine_chunks().dictionary_encode()
        content = _binary(self._contents(of_rows.dictionary.to_pylist()))
        path = group["image_name"].combine_chunks().cast(pa.string())
        fields = _written_schema(split)
        image = pa.StructArray.from_arrays(
            [pa.DictionaryArray.from_arrays(of_rows.indices, content), path],
            fields=list(fields.field("image").type),
        )
        columns = (group[name].cast(fields.field(name).type) for name in fields.names[1:])
        return pa.Table.from_arrays([image, *columns], schema=fields)

    def _contents(self, image_ids: list[str]) -> list[bytes]:
        known = self._last
        wanted = [image_id for image_id in image_ids if image_id not in known]
        known |= zip(wanted, self.image_bytes(wanted), strict=True)
        self._last = {image_ids[-1]: known[image_ids[-1]]}
        return [known[image_id] for image_id in image_ids]

    def _end(self, part: _OpenPart | None) -> None:
        import pyarrow as pa

        if part is None:
            return
        made = part.close()
        target = self.folder / made.id
        target.parent.mkdir(parents=True, exist_ok=True)
        self.unfinished.rename(target)
        self.parts.append(made)
        columns = {"id": part.ids, "part": [made.id] * made.num_rows, "split": [made.split] * made.num_rows}
        self._places.append(pa.table({**columns, "value": part.values}, _places_schema()))

    def places(self) -> pa.Table:
        """Of each row so far: id, part, split, and the hash of its values."""
        import pyarrow as pa

        return pa.concat_tables([_places_schema().empty_table(), *self._places])


class _OpenPart:
    def __init__(self, path: Path, split: str) -> None:
        import pyarrow.parquet as pq

        self._split = split
        self._file = _HashedFile(path.open("wb"))
        names = [name for name in schema(split).names if name != "image"]
        compression = {"image.bytes": "NONE", "image.path": "ZSTD", **dict.fromkeys(names, "ZSTD")}
        self._writer = pq.ParquetWriter(
            self._file,
            _written_schema(split),
            compression=compression,
            dictionary_pagesize_limit=_DICTIONARY_BYTES,
            store_schema=False,
        )
        self.ids: list[str] = []
        self.values: list[str] = []

    def write(self, rows: pa.Table, group: pa.Table) -> None:
        self._writer.write_table(rows, row_group_size=ROWS_PER_GROUP)
        self.ids += rows["id"].to_pylist()
        self.values += group["value"].to_pylist()

    @property
    def is_full(self) -> bool:
        return len(self.values) + ROWS_PER_GROUP > PART_ROWS or self._file.num_bytes >= PART_BYTES

    def close(self) -> VersionPart:
        self._writer.add_key_value_metadata(_metadata(self._split))
        self._writer.close()
        self._file.close()
        digest = self._file.digest.hexdigest()
        return VersionPart(
            id=f"{PREFIXES[self._split]}-{digest[:16]}.parquet",
            split=self._split,
            sha256=digest,
            num_bytes=self._file.num_bytes,
            num_rows=len(self.values),
            value=hashlib.sha256("".join(sorted(self.values)).encode()).hexdigest(),
        )


def _binary(contents: Sequence[bytes]) -> pa.BinaryArray:
    """As `pa.array` makes it, but that each content is copied once."""
    import numpy as np
    import pyarrow as pa

    ends = np.cumsum([0, *map(len, contents)])
    if ends[-1] >= 2**31:
        raise UserError(
            f"{len(contents)} images of one row group have {ends[-1]} bytes; a group may have 2 GB.",
            next_step="Lower images.max_file_bytes: larger files are quarantined.",
        )
    buffers = [None, pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(b"".join(contents))]
    return pa.Array.from_buffers(pa.binary(), len(contents), buffers)


@functools.cache
def _written_schema(split: str) -> pa.Schema:
    """`schema(split)` with the images' bytes as a dictionary, so that each goes to the writer once per row group."""
    import pyarrow as pa

    published = schema(split)
    image = pa.struct([("bytes", pa.dictionary(pa.int32(), pa.binary())), ("path", pa.string())])
    return pa.schema([pa.field("image", image), *list(published)[1:]])


def _places_schema() -> pa.Schema:
    import pyarrow as pa

    name = pa.dictionary(pa.int32(), pa.string())
    return pa.schema([("id", pa.string()), ("part", name), ("split", name), ("value", pa.string())])


@functools.cache
def _metadata(split: str) -> dict[str, str]:
    """What the writer would store beside `schema(split)`: readers get plain bytes, as published."""
    published = schema(split)
    features = {name.decode(): value.decode() for name, value in (published.metadata or {}).items()}
    return {**features, "ARROW:schema": base64.b64encode(published.serialize()).decode()}


class _HashedFile:
    """A file that is written from start to end; its sha256 needs no reading."""

    closed = False

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest, self.num_bytes = hashlib.sha256(), 0

    def write(self, content: bytes) -> int:
        self.digest.update(content)
        self.num_bytes += len(content)
        return self._file.write(content)

    def tell(self) -> int:
        return self.num_bytes

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()
        self.closed = True

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False


def _groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The rows in tables of ROWS_PER_GROUP, and a last one of what is left."""
    import pyarrow as pa

    waiting: pa.Table | None = None
    for batch in batches:
        table = pa.Table.from_batches([batch])
        waiting = table if waiting is None or not waiting.num_rows else pa.concat_tables([waiting, table])
        while waiting.num_rows >= ROWS_PER_GROUP:
            yield waiting.slice(0, ROWS_PER_GROUP)
            waiting = waiting.slice(ROWS_PER_GROUP)
    if waiting is not None and waiting.num_rows:
        yield waiting
