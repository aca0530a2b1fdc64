"""The section `images` of the config."""

from __future__ import annotations

from pydantic import Field, field_validator

from spavl.config.base import Name, Section, StageSection, refuse_same_names


class Columns(Section):
    """Which column of a source's table holds what; `file` may be a template over the row's columns."""

    file: str = Field(
        description="Path of the image under the source's url: a column in braces, e.g. '{file}' or 'images/q_{a}_{b}.png'."
    )
    label: str | None = Field(
        None, description="Column with the class, mapped by `classes`; unset needs `default_class`."
    )
    caption: str | None = Field(None, description="Column with a caption.")
    question: str | None = Field(None, description="Column with a ready question about the image.")


class ImageSource(Section):
    """A folder of images on any fsspec URL, with an optional CSV that describes them."""

    name: Name = Field(description="The word for this source in tables.")
    url: str = Field(description="Folder of the images: a path, file:// or s3://.")
    table: str | None = Field(None, description="CSV under the url; unset takes every file of the folder.")
    columns: Columns | None = Field(None, description="Column mapping; required with `table`.")
    classes: dict[str, str] = Field(
        {},
        description="Source label to taxonomy leaf id or 'benign'; a leaf id or SPA-VL name needs no entry.",
    )
    default_class: str | None = Field(None, description="Leaf id for rows without a label.")
    question_kind: str = Field(
        "hard_question", description="Kind given to the questions that came with the images."
    )
    licence: str = Field(description="Licence of the images, carried to every row.")


class ImagesConfig(StageSection):
    sources: tuple[ImageSource, ...] = Field((), description="Where images come from; names must differ.")
    max_file_bytes: int = Field(20_000_000, ge=1, description="A larger file is quarantined unread.")
    max_pixels: int = Field(
        40_000_000,
        ge=1,
        le=178_956_970,
        description="An image of more pixels is quarantined undecoded; at most what Pillow opens.",
    )
    min_side_px: int = Field(16, ge=1, description="A smaller image is quarantined.")
    max_question_chars: int = Field(
        2000, ge=1, description="A longer provided question puts its row in quarantine."
    )
    num_shards: int = Field(1, ge=1, description="Shards the files are read by.")
    chunk_size: int = Field(256, ge=1, description="Files per part file: the most that a kill costs.")

    @field_validator("sources")
    @classmethod
    def _names_differ(cls, sources: tuple[ImageSource, ...]) -> tuple[ImageSource, ...]:
        refuse_same_names(sources)
        return sources
