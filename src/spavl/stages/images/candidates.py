"""What a source offers: one candidate per CSV row, or per file where it has no CSV. Pure: listing and rows in, candidates out.

A candidate that is already known to be bad (unknown class, missing file) carries its reason, so that it too becomes
exactly one row.
"""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from spavl.errors import UserError
from spavl.records import BENIGN
from spavl.stages.images.config import ImagesConfig, ImageSource
from spavl.stages.images.folder import ListedFile
from spavl.stages.images.quarantine import Rejected
from spavl.stages.images.table import Cells, Table, check_columns, fill_template
from spavl.stages.questions.rows import QUESTION_KINDS
from spavl.taxonomy import Taxonomy, fold_label

_MAX_LABEL_CHARS = (
    40  # a longer "label" is a text from a wrongly mapped column, and texts stay out of details
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One file to ingest, with what its source says of it; `reason` is set where it is already rejected."""

    source_key: str
    fingerprint: str
    num_bytes: int = 0
    leaf: str = BENIGN  # leaf id or "benign"
    caption: str | None = None
    question: str | None = None
    question_kind: str | None = None
    reason: str | None = None
    detail: str | None = None

    def payload(self) -> dict[str, str | int | None]:
        """The fields as JSON values; `dataclasses.asdict` copies deeply, which is half of prepare's time."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


def check_source(source: ImageSource, taxonomy: Taxonomy) -> None:
    """Raise UserError where the source's config contradicts itself or names a class or kind that does not exist."""
    where = f"image source {source.name!r}"
    for label in (*source.classes.values(), *([source.default_class] if source.default_class else [])):
        try:
            taxonomy.resolve(label)
        except UserError as error:
            raise UserError(f"{where}: {error.message}", next_step=error.next_step) from None
    if source.question_kind not in QUESTION_KINDS:
        raise UserError(
            f"{where}: question_kind is {source.question_kind!r}.",
            next_step=f"Allowed are {', '.join(QUESTION_KINDS)}.",
        )
    if (source.table is None) != (source.columns is None):
        raise UserError(
            f"{where}: table and columns go together.", next_step="Set both, or neither to take every file."
        )
    if source.default_class is None and (source.columns is None or source.columns.label is None):
        raise UserError(
            f"{where} gives no classes.", next_step="Set default_class, or columns.label with a table."
        )


def candidates(
    source: ImageSource,
    files: Mapping[str, ListedFile],
    table: Table | None,
    config: ImagesConfig,
    taxonomy: Taxonomy,
) -> Iterator[Candidate]:
    """Every candidate of a checked source, in the order of its table, or of its keys where it has none."""
    if table is None:
        leaf = taxonomy.resolve(source.default_class)
        for key in files:
            yield _with_file(key, files, leaf=leaf)
        return
    check_columns(source.columns, table.columns, f"image source {source.name!r}: {source.table}")
    mapped = {fold_label(label): leaf for label, leaf in source.classes.items()}
    for number, cells in enumerate(table.rows, start=1):
        if cells is None:
            yield _rejected(
                f"row {number}", Rejected("bad_row", f"not the {len(table.columns)} cells of the header")
            )
        else:
            yield _of_row(source, number, cells, files, mapped, config, taxonomy)


def _of_row(
    source: ImageSource,
    number: int,
    cells: Cells,
    files: Mapping[str, ListedFile],
    mapped: Mapping[str, str],
    config: ImagesConfig,
    taxonomy: Taxonomy,
) -> Candidate:
    columns = source.columns
    path = fill_template(columns.file, cells)
    try:
        key = _key(path)
        leaf = _leaf(cells[columns.label].strip() if columns.label else "", source, mapped, taxonomy)
        question = _question(cells[columns.question], config.max_question_chars) if columns.question else None
    except Rejected as rejected:
        return _rejected(path or f"row {number}", rejected, files)
    kind = None if question is None else "benign_control" if leaf == BENIGN else source.question_kind
    caption = (cells[columns.caption].strip() or None) if columns.caption else None
    return _with_file(key, files, leaf=leaf, caption=caption, question=question, question_kind=kind)


def _key(path: str) -> str:
    if not path:
        raise Rejected("bad_row", "the row names no file")
    if path.startswith("/") or ".." in path.split("/") or "\0" in path:
        raise Rejected("path_escapes", "the path is absolute or has a part '..'")
    return posixpath.normpath(path)


def _leaf(label: str, source: ImageSource, mapped: Mapping[str, str], taxonomy: Taxonomy) -> str:
    if not label:
        if source.default_class is None:
            raise Rejected("unknown_class", "the row has no label, the source no default_class")
        return taxonomy.resolve(source.default_class)
    if fold_label(label) in mapped:
        return taxonomy.resolve(mapped[fold_label(label)])
    leaf = taxonomy.find(label)
    if leaf is None:
        seen = repr(label) if len(label) <= _MAX_LABEL_CHARS else f"a label of {len(label)} characters"
        raise Rejected("unknown_class", f"{seen} is neither in `classes` nor in the taxonomy")
    return leaf


def _question(text: str, max_chars: int) -> str:
    text = text.strip()
    if not text:
        raise Rejected("empty_question", "the question cell is empty")
    if len(text) > max_chars:
        raise Rejected("question_too_long", f"{len(text)} characters; at most {max_chars}")
    return text


def _with_file(key: str, files: Mapping[str, ListedFile], **said: str | None) -> Candidate:
    try:
        key.encode()
    except UnicodeEncodeError:
        return _rejected(
            key.encode("utf-8", "replace").decode(), Rejected("wrong_name", "the name is not UTF-8")
        )
    file = files.get(key)
    if file is None:
        return _rejected(key, Rejected("missing_file", "the listing has no such file"))
    if not file.is_regular:
        return _rejected(key, Rejected("unreadable", "not a regular file, or a broken link"), files)
    return Candidate(key, file.fingerprint, file.num_bytes, **said)


def _rejected(key: str, rejected: Rejected, files: Mapping[str, ListedFile] | None = None) -> Candidate:
    file = (files or {}).get(key)
    return Candidate(
        key, file.fingerprint if file else "absent", reason=rejected.reason, detail=rejected.detail
    )
