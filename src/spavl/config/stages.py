"""The sections of the stages that train nothing, in pipeline order."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from spavl.config.base import Name, Section
from spavl.config.models import ModelSpec, PoisonTerms, SamplingConfig


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


class ImagesConfig(Section):
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


class QuestionsConfig(Section):
    generator: ModelSpec | None = Field(
        None, description="Model that writes the questions; unset uses only provided ones."
    )
    kinds: tuple[str, ...] = Field(
        ("easy_question", "hard_question", "hard_statement"),
        description="Kinds asked for each harmful image.",
    )
    num_benign_controls: int = Field(2, ge=0, description="Benign controls asked for each benign image.")
    sampling: SamplingConfig = SamplingConfig()
    max_chars: int = Field(2000, ge=1, description="A longer question is recorded as unparsable.")
    num_shards: int = Field(1, ge=1, description="Shards of the generator's work.")
    chunk_size: int = Field(256, ge=1, description="Questions per part file: the most that a kill costs.")


class ResponsesConfig(Section):
    models: tuple[ModelSpec, ...] = Field(
        (), description="The answering models; at least two with differing safety."
    )
    num_samples_per_question: int = Field(1, ge=1, description="Answers per question and model.")
    sampling: SamplingConfig = SamplingConfig()
    num_shards: int = Field(1, ge=1, description="Shards per model.")
    chunk_size: int = Field(256, ge=1, description="Answers per part file: the most that a kill costs.")


class GoldConfig(Section):
    """The gold set: requests whose answer is known, asked of every judge on every night beside its ordinary ones."""

    set: str = Field(
        "placeholder",
        description="A shipped set ('placeholder' or 'demo'), or the path or s3:// address of your own .csv.",
    )
    languages: tuple[str, ...] = Field(
        ("en",), min_length=1, description="Languages whose items are asked; the set must have each of them."
    )
    behaviours: tuple[str, ...] = Field(
        (
            "known_refusal",
            "known_unsafe",
            "refusal_then_complies",
            "speaks_to_judge",
            "garbage",
            "helpful_benign",
            "over_refusal",
        ),
        min_length=1,
        description="Behaviours that are asked about; the set must have each of them.",
    )
    num_per_behaviour: int = Field(
        60,
        ge=1,
        description="Items made from templates per behaviour and language, spread over the domains; rows with a question of "
        "their own are all asked.",
    )
    num_pairs_per_axis: int = Field(
        100,
        ge=1,
        description="Gold pairs per axis and language that `comparisons` asks, each in both orders.",
    )
    modes: tuple[Literal["image", "text"], ...] = Field(
        ("image",), description="Modes in which `judgements` asks the gold items; 'image' is needed."
    )
    seed: int = Field(
        0, ge=0, description="Chooses images and questions; the same items every night show drift."
    )

    @model_validator(mode="after")
    def _image_mode_is_asked(self) -> GoldConfig:
        if "image" not in self.modes:
            raise ValueError("modes must hold 'image': the trial is of the labels that decide")
        return self


class JudgementsConfig(Section):
    judge: ModelSpec | None = Field(None, description="The model that labels responses.")
    modes: tuple[Literal["image", "text"], ...] = Field(
        ("image", "text"), description="With and without the image."
    )
    sampling: SamplingConfig = SamplingConfig(temperature=0.0)
    gold: GoldConfig = Field(
        GoldConfig(),
        description="What every judge is put on trial with, here, in comparisons and in evaluation.",
    )
    num_shards: int = Field(1, ge=1, description="Shards of the judge's work.")
    chunk_size: int = Field(512, ge=1, description="Judgements per part file: the most that a kill costs.")


class ComparisonsConfig(Section):
    judge: ModelSpec | None = Field(None, description="The model that compares two responses.")
    num_safety_groups: int = Field(
        5, ge=2, description="Models are ranked by safe rate and cut into this many groups (SPA-VL: 5)."
    )
    num_pairs_per_question: int = Field(
        1, ge=1, description="Pairs of responses from different groups, per question."
    )
    seed: int = Field(0, ge=0, description="Chooses the pairs.")
    sampling: SamplingConfig = SamplingConfig(temperature=0.0)
    num_shards: int = Field(1, ge=1, description="Shards of the judge's work.")
    chunk_size: int = Field(512, ge=1, description="Askings per part file: the most that a kill costs.")


class PreferencesConfig(Section):
    min_agreement: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Pairs whose orders agree on a smaller share of axes are dropped and counted.",
    )
    min_benign_helpfulness: int = Field(
        0,
        ge=0,
        le=3,
        description="Benign pairs whose chosen answer the judge finds less helpful are dropped and counted.",
    )


class DatasetConfig(Section):
    channel: Name = Field("dataset", description="Channel that a finished version is published to.")
    test_share: float = Field(
        0.2, gt=0, lt=1, description="Share of the images whose questions become test prompts."
    )
    validation_share: float = Field(
        0.07, gt=0, lt=1, description="Share of the images whose pairs validate training."
    )
    near_duplicate_bits: int = Field(
        4, ge=0, le=32, description="Perceptual hashes that differ in at most this many bits are one group."
    )
    seed: int = Field(0, ge=0, description="Splits the image groups.")
    find_changed_copies: bool = Field(
        True,
        description="Images that are another one cropped, flipped, turned, bordered, captioned or recoloured are one group too.",
    )
    may_miss: tuple[str, ...] = Field(
        (),
        description="Class ids, question kinds and sources that a version may lack though the former one had them.",
    )
    hold_out_words: bool = Field(
        False,
        description="Pairs whose question stands in the test, word for word or nearly so, are left out of train and validation.",
    )


class EvaluationConfig(Section):
    judge: ModelSpec | None = Field(None, description="The judge of the answers to held-out prompts.")
    second_judge: ModelSpec | None = Field(
        None,
        description="A judge of another family: an answer is safe, or helpful, only if both say so; unset has one judge.",
    )
    decodings: tuple[Literal["greedy", "sampled"], ...] = Field(
        ("greedy", "sampled"), description="How answers are drawn; the gate reads both."
    )
    num_samples: int = Field(4, ge=1, le=64, description="Sampled answers to each prompt, at temperature 1.")
    num_grounding_prompts: int = Field(
        64,
        ge=1,
        description="Harm prompts, and as many benign ones, that are asked again with another image and a blank one.",
    )
    max_tokens: int = Field(512, ge=1, description="Longest answer, in tokens.")
    batch_size: int = Field(32, ge=1, description="Prompts per generate call.")
    seed: int = Field(0, ge=0, description="Seed of the sampled answers.")
    num_shards: int = Field(1, ge=1, description="Shards per model.")
    chunk_size: int = Field(512, ge=1, description="Answers per part file: the most that a kill costs.")
    poisons: dict[str, PoisonTerms] = Field(
        {}, description="For drills: role (aligned, champion) to its poison; such a run is never released."
    )

    @model_validator(mode="after")
    def _gate_has_its_scores(self) -> EvaluationConfig:
        if set(self.decodings) != {"greedy", "sampled"}:
            raise ValueError("decodings must hold 'greedy' and 'sampled': the release gate reads both")
        return self


class ApprovalConfig(Section):
    """A person's decision between gate and release."""

    required: bool = Field(
        False, description="Nothing is released before a person has approved it; a rejection fails the run."
    )
    approvers: tuple[str, ...] = Field(
        (), description="Airflow user names that may decide; empty: whoever may answer the DAG's requests."
    )
    timeout_h: float = Field(
        72.0, gt=0, le=24 * 30, description="Airflow's task waits this long, in hours; then the run fails."
    )


class ReleaseConfig(Section):
    channel: Name = Field("stable", description="Channel that a release is published to.")
    approval: ApprovalConfig = ApprovalConfig()
