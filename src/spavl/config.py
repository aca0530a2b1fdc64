"""The one typed, frozen Config: sections in pipeline order, with defaults, ranges, and a sentence under each field.

`spavl.profiles` fills it from a profile. Secrets are never in it: it names the environment variable that holds one.
Thresholds are not here either: they live in `expectations/`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,39}$")]


def spavl_home() -> Path:
    """The folder that holds all local state: SPAVL_HOME, or `.spavl` in the working directory."""
    return Path(os.environ.get("SPAVL_HOME") or ".spavl").resolve()


class Section(BaseModel):
    """Base of every section: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


# ---------------------------------------------------------------------------------------------- models behind a seam


class EndpointModel(Section):
    """A model behind any OpenAI-compatible server: vLLM, `transformers serve`, a closed API."""

    kind: Literal["endpoint"]
    name: Name = Field(description="The word for this model in tables and reports.")
    model: str = Field(description="The model id the server knows.")
    revision: str = Field(
        description="Pinned revision of the weights or of the API model; part of every row's id."
    )
    base_url: str = Field(description="Server address up to and with /v1.")
    api_key_env: str | None = Field(
        None, description="Environment variable that holds the key; unset sends none."
    )
    max_concurrency: int = Field(32, ge=1, le=4096, description="Requests in flight at once.")
    timeout_s: float = Field(120.0, gt=0, description="Seconds one attempt may take.")
    max_attempts: int = Field(5, ge=1, le=20, description="Attempts per request, the first included.")
    max_retry_wait_s: float = Field(
        60.0, gt=0, description="Longest pause between attempts, Retry-After included."
    )
    structured_output: bool = Field(
        False, description="Send response_format json_schema; off asks for JSON in words."
    )


class TransformersModel(Section):
    """A model run in this process with transformers: the embedded default, CPU or GPU."""

    kind: Literal["transformers"]
    name: Name = Field(description="The word for this model in tables and reports.")
    path: str = Field(description="Folder with safetensors weights, or a hub id.")
    revision: str | None = Field(
        None, description="Hub revision; for a folder it is computed from the files."
    )
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N.")
    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="Precision of the weights."
    )
    batch_size: int = Field(32, ge=1, description="Requests per generate call.")


class FakeModel(Section):
    """A deterministic stand-in that can misbehave on demand: for tests and fault drills, never a fallback."""

    kind: Literal["fake"]
    name: Name = Field(description="The word for this model in tables and reports.")
    revision: str = Field("fake-1", description="Part of every row's id.")
    replies: tuple[str, ...] = Field(
        ("ok",), min_length=1, description="Replies, chosen by a hash of the request id."
    )
    error_share: float = Field(0.0, ge=0, le=1, description="Share of requests answered with an error.")
    garbage_share: float = Field(
        0.0, ge=0, le=1, description="Share of requests answered with unparsable text."
    )
    delay_s: float = Field(0.0, ge=0, description="Seconds per answer.")


class DemoRulesModel(Section):
    """The demo world's rules in the place of a question writer or a judge; says so in every row."""

    kind: Literal["demo_rules"]
    name: Name = Field("demo-rules", description="The word for this model in tables and reports.")
    flip_share: float = Field(
        0.0, ge=0, le=1, description="Share of labels given upside down: for poisoned-night drills."
    )
    garbage_share: float = Field(
        0.0, ge=0, le=1, description="Share of replies that cannot be parsed: for drills."
    )


ModelSpec = Annotated[
    EndpointModel | TransformersModel | FakeModel | DemoRulesModel, Field(discriminator="kind")
]


class SamplingConfig(Section):
    temperature: float = Field(1.0, ge=0, le=5, description="0 is greedy.")
    top_p: float = Field(1.0, gt=0, le=1, description="Nucleus mass.")
    max_tokens: int = Field(512, ge=1, description="Longest answer, in tokens.")
    seed: int = Field(0, ge=0, description="Part of every row's id.")


# ------------------------------------------------------------------------------------------- sections, in pipeline order


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


class JudgementsConfig(Section):
    judge: ModelSpec | None = Field(None, description="The model that labels responses.")
    modes: tuple[Literal["image", "text"], ...] = Field(
        ("image", "text"), description="With and without the image."
    )
    sampling: SamplingConfig = SamplingConfig(temperature=0.0)
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


class LoraConfig(Section):
    r: int = Field(16, ge=1, description="Rank.")
    alpha: int = Field(32, ge=1, description="Scale numerator.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout on the adapter's input.")


class LearningConfig(Section):
    """What every training of a vision-language model has; `reward` and `training` are both."""

    base: ModelSpec | None = Field(None, description="The model to start from; a transformers model.")
    lora: LoraConfig | None = Field(
        None, description="Adapter settings; unset trains projector and language model in full."
    )
    learning_rate: float = Field(1e-6, gt=0, description="Peak rate.")
    num_epochs: float = Field(1.0, gt=0, description="Passes over the pairs (PPO: over the prompts).")
    global_batch_size: int = Field(8, ge=1, description="Pairs per optimizer step, over all ranks.")
    group_by_image: bool = Field(
        True,
        description="Pairs of one image go into one step and share its reading; off shuffles pairs freely.",
    )
    share_prefix: bool = Field(
        True,
        description="Read an image and each question once for all of their answers, where that is exact.",
    )
    max_forward_tokens: int = Field(
        16_384, ge=1, description="Tokens of one forward, padding included: less memory, more forwards."
    )
    keep_features_gb: float = Field(
        2.0,
        ge=0,
        description="Room for the frozen vision tower's outputs, in GB per process; 0 encodes images every time.",
    )
    keep_features_on: Literal["memory", "disk"] = Field(
        "memory", description="Where they lie; disk is memory-mapped."
    )
    attention: Literal["sdpa", "eager", "flash_attention_2"] = Field(
        "sdpa", description="Attention implementation; flash_attention_2 cannot share the prefix."
    )
    zero_stage: Literal[0, 2, 3] = Field(
        0, description="DeepSpeed ZeRO: 2 splits gradients and optimizer over the ranks, 3 the weights too."
    )
    warmup_steps: int = Field(10, ge=0, description="Linear warm-up steps (SPA-VL: 10).")
    max_length: int = Field(
        2048,
        ge=1,
        description="Longest pair member in tokens, image tokens included; longer pairs are filtered and counted.",
    )
    bf16: bool = Field(False, description="Train in bfloat16.")
    activation_checkpointing: bool = Field(
        False, description="Recompute activations in the backward pass: less memory, about 20 % slower."
    )
    max_loss: float | None = Field(None, gt=0, description="A step with a larger loss stops the run.")
    checkpoint_every_steps: int = Field(
        50, ge=1, description="Steps between checkpoints: the most that a kill costs."
    )
    log_every_steps: int = Field(5, ge=1, description="Steps between logged metrics.")
    report_to: tuple[str, ...] = Field(
        (),
        description="Trackers that transformers knows (tensorboard, mlflow, wandb, …), beside the metric table.",
    )
    seed: int = Field(0, ge=0, description="Order of the pairs and the start of adapters and heads.")


class RewardConfig(LearningConfig):
    """The reward model that PPO follows; not trained for other methods."""

    base: ModelSpec | None = Field(
        None, description="The model to start from; unset starts from training.base."
    )
    learning_rate: float = Field(3e-5, gt=0, description="Peak rate (SPA-VL: 3e-5).")
    global_batch_size: int = Field(32, ge=1, description="Pairs per optimizer step (SPA-VL: 32).")
    margin_weight: float = Field(
        0.0,
        ge=0,
        description="Reward by which a pair with the judge's margin 1 must differ; 0 is Bradley-Terry.",
    )
    centering_weight: float = Field(
        0.0, ge=0, description="Weight of (chosen + rejected) squared: keeps rewards around 0."
    )
    with_cost: bool = Field(
        False, description="Give the model a second output, the cost, learnt from the judge's safety labels."
    )
    cost_weight: float = Field(1.0, ge=0, description="Weight of the cost's cross-entropy in the loss.")


class PpoConfig(Section):
    """PPO's own settings (SPA-VL: KL 0.1 fixed, clip 0.2, gamma 1, lambda 1, value coefficient 0.1)."""

    prompts_per_iteration: int = Field(
        64, ge=1, description="Answers sampled at a time, on all ranks together."
    )
    passes_per_iteration: int = Field(1, ge=1, description="Times that every sampled answer is trained on.")
    minibatch_size: int = Field(
        16, ge=1, description="Answers per optimizer step, on all ranks; divides prompts_per_iteration."
    )
    micro_batch_size: int = Field(4, ge=1, description="Answers per forward; changes no number.")
    sampling_batch_size: int = Field(
        16, ge=1, description="Answers sampled at once on a rank; changes no number."
    )
    max_new_tokens: int = Field(256, ge=1, description="Longest sampled answer, in tokens.")
    gamma: float = Field(1.0, gt=0, le=1, description="Discount per token.")
    lam: float = Field(1.0, ge=0, le=1, description="Lambda of generalized advantage estimation.")
    clip: float = Field(0.2, gt=0, description="Clip of the probability ratio.")
    value_clip: float = Field(0.2, gt=0, description="Clip of a value's change.")
    value_weight: float = Field(0.1, ge=0, description="Weight of the value loss.")
    kl_coef: float = Field(0.1, ge=0, description="Reward taken off per nat of KL to the base.")
    kl_target: float | None = Field(
        None,
        gt=0,
        description="Nats per answer that an adaptive coefficient aims at; unset keeps it fixed. It is in no "
        "checkpoint: a run with it begins anew after a kill.",
    )
    cost_weight: float = Field(
        1.0, ge=0, description="Weight of the reward model's cost, where it has one: reward - this x cost."
    )
    missing_eos_penalty: float = Field(
        0.0, ge=0, description="Taken off the score of an answer that was cut at max_new_tokens."
    )
    shifts_advantages: bool = Field(True, description="Whitening also takes the advantages' mean off.")
    max_kl: float | None = Field(None, gt=0, description="Nats per token; a step with more stops the run.")

    @model_validator(mode="after")
    def _minibatch_divides(self) -> PpoConfig:
        if self.prompts_per_iteration % self.minibatch_size:
            raise ValueError(
                f"minibatch_size {self.minibatch_size} does not divide prompts_per_iteration {self.prompts_per_iteration}"
            )
        return self


class TrainingConfig(LearningConfig):
    method: Literal["dpo", "ppo"] = Field("dpo", description="How preferences become weights.")
    learning_rate: float = Field(1e-6, gt=0, description="Peak rate (SPA-VL: 1e-6 for DPO, 5e-7 for PPO).")
    global_batch_size: int = Field(8, ge=1, description="DPO's pairs per optimizer step (SPA-VL: 8).")
    loss: Literal["sigmoid", "ipo", "margin_weight", "margin_beta"] = Field(
        "sigmoid",
        description="DPO's loss; margin_weight multiplies it by the judge's margin, margin_beta raises beta with it.",
    )
    beta: float = Field(0.1, gt=0, description="DPO temperature (SPA-VL: 0.1).")
    margin_scale: float = Field(
        0.5, ge=0, description="With margin_beta: beta of a pair is beta x (1 + this x its margin)."
    )
    sft_weight: float = Field(
        1.0, ge=0, description="Weight of DPO's SFT term on the chosen answer; 0 is plain DPO."
    )
    max_chosen_fall_nats: float | None = Field(
        None,
        gt=0,
        description="Chosen answers may become this much less likely than under the base (mean per answer in a step).",
    )
    ppo: PpoConfig = PpoConfig()

    @model_validator(mode="after")
    def _ppo_has_no_dropout(self) -> TrainingConfig:
        if self.method == "ppo" and self.lora and self.lora.dropout:
            raise ValueError(
                f"PPO needs lora.dropout 0, not {self.lora.dropout}: its ratios compare one policy with itself"
            )
        return self


class EvaluationConfig(Section):
    judge: ModelSpec | None = Field(None, description="The judge of the answers to held-out prompts.")
    decodings: tuple[Literal["greedy", "sampled"], ...] = Field(
        ("greedy", "sampled"), description="How answers are drawn; the gate reads greedy."
    )
    max_tokens: int = Field(512, ge=1, description="Longest answer, in tokens.")
    batch_size: int = Field(32, ge=1, description="Prompts per generate call.")
    seed: int = Field(0, ge=0, description="Seed of the sampled answers and of the bootstrap.")
    num_bootstrap: int = Field(2000, ge=100, description="Resamples of the paired bootstrap.")
    num_shards: int = Field(1, ge=1, description="Shards per model.")
    chunk_size: int = Field(512, ge=1, description="Answers per part file: the most that a kill costs.")

    @model_validator(mode="after")
    def _gate_has_its_scores(self) -> EvaluationConfig:
        if "greedy" not in self.decodings:
            raise ValueError("decodings must hold 'greedy': the release gate reads those scores")
        return self


class ReleaseConfig(Section):
    channel: Name = Field("stable", description="Channel that a release is published to.")


class LaunchConfig(Section):
    kind: Literal["local"] = Field("local", description="Where stages run: local starts a process here.")
    max_parallel_shards: int = Field(2, ge=1, description="Shards of one group that run at once.")
    num_training_processes: int = Field(
        1,
        ge=1,
        description="Processes (ranks) of a training on this machine; more than one are started by torchrun.",
    )
    timeout_s: float = Field(6 * 3600, gt=0, description="A step that takes longer is stopped.")
    num_threads: int = Field(1, ge=1, description="OMP_NUM_THREADS of each process.")


class ReuseConfig(Section):
    max_runs: int = Field(
        3, ge=0, description="Earlier runs whose rows may be reused, newest first; 0 recomputes all."
    )


class Config(Section):
    """The whole configuration; saved, resolved, in every run's plan."""

    profile: str = Field(description="Name or path of the profile this came from.")
    installation: Name = Field("local", description="Name of this installation; part of every run id.")
    images: ImagesConfig = ImagesConfig()
    questions: QuestionsConfig = QuestionsConfig()
    responses: ResponsesConfig = ResponsesConfig()
    judgements: JudgementsConfig = JudgementsConfig()
    comparisons: ComparisonsConfig = ComparisonsConfig()
    preferences: PreferencesConfig = PreferencesConfig()
    dataset: DatasetConfig = DatasetConfig()
    reward: RewardConfig = RewardConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    release: ReleaseConfig = ReleaseConfig()
    launch: LaunchConfig = LaunchConfig()
    reuse: ReuseConfig = ReuseConfig()

    @model_validator(mode="after")
    def _names_differ(self) -> Config:
        for what, names in (
            ("images.sources", [source.name for source in self.images.sources]),
            ("responses.models", [model.name for model in self.responses.models]),
        ):
            repeated = sorted({name for name in names if names.count(name) > 1})
            if repeated:
                raise ValueError(f"{what} has the name {repeated[0]!r} twice; names must differ")
        return self
