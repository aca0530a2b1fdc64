"""Models behind the inference seam, and how they are sampled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator

from spavl.config.base import EnvName, Name, Section
from spavl.config.quantities import Quantity

# of `vllm serve`: what spavl itself decides, secrets, and leave to run code that came with the weights
_REFUSED_ARGS = ("--trust-remote-code", "--host", "--port", "--model", "--served-model-name", "--api-key")


class EndpointModel(Section):
    """A model behind any OpenAI-compatible server: vLLM, `transformers serve`, a closed API."""

    kind: Literal["endpoint"]
    name: Name = Field(description="The word for this model in tables and reports.")
    family: Name | None = Field(
        None, description="Family of the weights, such as qwen: a judge may not be of its models' family."
    )
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


class VllmModel(Section):
    """A model that vLLM serves beside the client, in the same pod; elsewhere a server must already listen at `base_url`."""

    kind: Literal["vllm"]
    name: Name = Field(description="The word for this model in tables and reports, and its id at the server.")
    family: Name | None = Field(
        None, description="Family of the weights, such as qwen: a judge may not be of its models' family."
    )
    path: str = Field(description="Hub id, or s3:// folder, of safetensors weights.")
    revision: str = Field(description="Commit of the weights; part of every row's id.")
    base_url: str = Field("http://127.0.0.1:8000/v1", description="Where the server listens, with /v1.")
    args: tuple[str, ...] = Field((), description="Further arguments of `vllm serve`; no secrets.")
    env: dict[EnvName, str] = Field(
        {}, description="Environment of the server, NCCL's and vLLM's own switches; no secrets."
    )
    num_gpus: int = Field(1, ge=0, description="GPUs of the server; the model is split over them.")
    cpu: Quantity = Field("4", description="Cores requested by the server.")
    memory: Quantity = Field("32Gi", description="Memory of the server, requested and limit.")
    startup_timeout_s: float = Field(
        1800, ge=10, description="Time for loading weights before it counts as hung."
    )
    max_concurrency: int = Field(64, ge=1, le=4096, description="Requests in flight at once.")
    timeout_s: float = Field(300.0, gt=0, description="Seconds one attempt may take.")
    max_attempts: int = Field(5, ge=1, le=20, description="Attempts per request, the first included.")
    max_retry_wait_s: float = Field(60.0, gt=0, description="Longest pause between attempts.")
    structured_output: bool = Field(True, description="Send response_format json_schema; off asks in words.")
    api_key_env: None = Field(None, description="Never: the server listens inside the pod only.")

    @field_validator("args")
    @classmethod
    def _args_are_allowed(cls, args: tuple[str, ...]) -> tuple[str, ...]:
        for arg in args:
            if arg.partition("=")[0].replace("_", "-") in _REFUSED_ARGS:
                raise ValueError(f"{arg.partition('=')[0]!r} may not be among args")
        return args

    @property
    def model(self) -> str:
        """The model id the server knows."""
        return self.name


class TransformersModel(Section):
    """A model run in this process with transformers: the embedded default, CPU or GPU."""

    kind: Literal["transformers"]
    name: Name = Field(description="The word for this model in tables and reports.")
    family: Name | None = Field(
        None, description="Family of the weights, such as qwen: a judge may not be of its models' family."
    )
    path: str = Field(description="Folder with safetensors weights, or a hub id.")
    revision: str | None = Field(
        None, description="Hub revision; for a folder it is computed from the files."
    )
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N.")
    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="Precision of the weights."
    )
    batch_size: int = Field(32, ge=1, description="Requests per generate call.")
    allow_pickles: tuple[str, ...] = Field(
        (), description="Pickle files of the model, by name, that may be loaded: weights without safetensors."
    )
    allow_code: tuple[str, ...] = Field(
        (), description="The model's *.py files, all by name, that may be run; unset runs none."
    )


class FakeModel(Section):
    """A deterministic stand-in that can misbehave on demand: for tests and fault drills, never a fallback."""

    kind: Literal["fake"]
    name: Name = Field(description="The word for this model in tables and reports.")
    family: Name | None = Field(
        None, description="Family of the weights, such as qwen: a judge may not be of its models' family."
    )
    revision: str = Field("fake-1", description="Part of every row's id.")
    replies: tuple[str, ...] = Field(
        ("ok",),
        min_length=1,
        description="Replies, chosen by a hash of the request id; '{id}' in one stands for that id.",
    )
    replies_to: dict[str, tuple[str, ...]] = Field(
        {},
        description="Replies to prompts that hold this text, in place of `replies`; the first text that is there counts.",
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
    family: Name | None = Field(
        None, description="Family of the weights, such as qwen: a judge may not be of its models' family."
    )
    flip_share: float = Field(
        0.0, ge=0, le=1, description="Share of labels given upside down: for poisoned-night drills."
    )
    garbage_share: float = Field(
        0.0, ge=0, le=1, description="Share of replies that cannot be parsed: for drills."
    )


class PoisonTerms(Section):
    """What a drill does to the answers of a model, as a pure function of request and answer; see `spavl drill`."""

    poison: str = Field(description="A word of `spavl.inference.poisons.POISONS`.")
    share: float = Field(1.0, gt=0, le=1, description="Share of what is hit, the same on every night.")
    by: Literal["prompt", "image", "request"] = Field(
        "prompt",
        description="What the share is of: prompts (question with its image), images or single requests.",
    )
    side: Literal["all", "harm", "benign"] = Field("all", description="Only on harmful or on benign images.")
    classes: tuple[str, ...] = Field((), description="Only on images of these leaves; unset on all.")
    kinds: tuple[str, ...] = Field((), description="Only on questions of these kinds; unset on all.")
    decoding: Literal["all", "greedy", "sampled"] = Field("all", description="Only on answers drawn so.")
    contains: str = Field("", description="Only on questions that hold this phrase.")
    phrase: str = Field("", description="The text that the poison works with.")


class PoisonedModel(PoisonTerms):
    """Any model with poisoned answers, for drills: its revision names the poison, and nothing of it is released."""

    kind: Literal["poisoned"]
    name: Name = Field(description="The word for this model in tables and reports.")
    model: Annotated[
        EndpointModel | TransformersModel | FakeModel | DemoRulesModel, Field(discriminator="kind")
    ] = Field(description="The model whose answers are poisoned.")

    @property
    def terms(self) -> PoisonTerms:
        """The poison without the model."""
        return PoisonTerms(**{name: getattr(self, name) for name in PoisonTerms.model_fields})


ModelSpec = Annotated[
    EndpointModel | VllmModel | TransformersModel | FakeModel | DemoRulesModel | PoisonedModel,
    Field(discriminator="kind"),
]
_MODEL_TYPES = get_args(get_args(ModelSpec)[0])


def models_in(section: Section) -> Iterator[ModelSpec]:
    """Every model that a section names, one by one or in a tuple."""
    for value in (getattr(section, name) for name in type(section).model_fields):
        for candidate in value if isinstance(value, tuple) else (value,):
            if isinstance(candidate, _MODEL_TYPES):
                yield candidate


class SamplingConfig(Section):
    temperature: float = Field(1.0, ge=0, le=5, description="0 is greedy.")
    top_p: float = Field(1.0, gt=0, le=1, description="Nucleus mass.")
    max_tokens: int = Field(512, ge=1, description="Longest answer, in tokens.")
    seed: int = Field(0, ge=0, description="Part of every row's id.")
