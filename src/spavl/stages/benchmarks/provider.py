"""spavl's inference seam as a model provider of Inspect: `spavl/<name>` is an opened model of this process.

A prompt is one user turn with at most one image, and a system text, as everywhere behind the seam: a task that says more
(several turns, several images, tools) gets an error for that sample, never a prompt that was silently cut.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections.abc import Iterator
from typing import Any

from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    ContentImage,
    ContentText,
    GenerateConfig,
    Model,
    ModelAPI,
    ModelOutput,
    ModelUsage,
    get_model,
    modelapi,
)
from inspect_ai.tool import ToolChoice, ToolInfo

from spavl.inference.pictures import media_type
from spavl.inference.request import Answer, Request, Sampling
from spavl.judging import response_schema
from spavl.records import stable_hash
from spavl.stages.benchmarks.collector import Collector

PROVIDER = "spavl"
FACTS = "spavl_facts"  # key in a message's metadata: the facts of a request that a rule-based judge reads
_STOP_REASONS = {"length": "max_tokens"}
_OPENED: dict[str, tuple[Collector, Sampling]] = {}


class NotAsked(RuntimeError):
    """A prompt that the seam cannot put, or an answer that did not come; short, and without content."""


@contextlib.contextmanager
def opened_as(name: str, collector: Collector, sampling: Sampling) -> Iterator[Model]:
    """Inside, Inspect knows the collector's model as `spavl/<name>`; `sampling` holds where a task says nothing."""
    _OPENED[name] = collector, sampling
    try:
        yield get_model(f"{PROVIDER}/{name}", memoize=False)
    finally:
        del _OPENED[name]


@modelapi(name=PROVIDER)
class SpavlModel(ModelAPI):
    """Inspect's view of one opened model."""

    def __init__(self, model_name: str, *args: Any, **options: Any) -> None:
        super().__init__(model_name, *args, **options)
        if model_name not in _OPENED:
            raise NotAsked(f"spavl/{model_name} is not opened here; there are {', '.join(_OPENED) or 'none'}")
        self._collector, self._sampling = _OPENED[model_name]

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        """One answer; raises NotAsked for a prompt that the seam cannot put, or if no answer came."""
        if tools:
            raise NotAsked("spavl's models call no tools")
        answer = await self._collector.ask(request_of(input, sampled(self._sampling, config)))
        if answer.text is None:
            raise NotAsked(f"no answer: {answer.error}")
        return self._output(answer)

    def max_connections(self) -> int:
        return self._collector.max_batch

    def _output(self, answer: Answer) -> ModelOutput:
        message = ChatMessageAssistant(content=answer.text or "", model=self.model_name, source="generate")
        reason: Any = _STOP_REASONS.get(answer.finish_reason or "", "stop")
        read, written = answer.prompt_tokens or 0, answer.completion_tokens or 0
        usage = ModelUsage(input_tokens=read, output_tokens=written, total_tokens=read + written)
        choice = ChatCompletionChoice(message=message, stop_reason=reason)
        return ModelOutput(model=self.model_name, choices=[choice], usage=usage)


def sampled(sampling: Sampling, config: GenerateConfig) -> Sampling:
    """How this prompt is drawn: the task's own temperature, top_p, max_tokens and seed, or ours if it sets none."""
    own = {name: getattr(config, name) for name in ("temperature", "top_p", "max_tokens", "seed")}
    given = {name: value for name, value in own.items() if value is not None}
    return Sampling(**{"temperature": sampling.temperature, "top_p": sampling.top_p, "max_tokens": sampling.max_tokens, "seed": sampling.seed, **given})  # fmt: skip


def request_of(messages: list[ChatMessage], sampling: Sampling) -> Request:
    """The request that these messages say; its id is a hash of all that the model is given."""
    system = "\n\n".join(message.text for message in messages if isinstance(message, ChatMessageSystem))
    turns = [message for message in messages if not isinstance(message, ChatMessageSystem)]
    if len(turns) != 1 or not isinstance(turns[0], ChatMessageUser):
        raise NotAsked(f"{len(turns)} turns, and spavl's models take one user turn")
    text, image = _parts_of(turns[0])
    facts = dict((turns[0].metadata or {}).get(FACTS) or {})
    image_id = hashlib.sha256(image).hexdigest() if image else None
    return Request(
        id=stable_hash("benchmark", system, text, image_id, sorted(facts.items()), repr(sampling)),
        prompt=text,
        image=image,
        image_id=facts.pop("image_id", image_id),
        system=system or None,
        sampling=sampling,
        response_schema=response_schema() if facts.get("task") == "judgement" else None,
        facts=facts,
    )


def _parts_of(message: ChatMessageUser) -> tuple[str, bytes | None]:
    if isinstance(message.content, str):
        return message.content, None
    texts = [part.text for part in message.content if isinstance(part, ContentText)]
    images = [part.image for part in message.content if isinstance(part, ContentImage)]
    if len(images) > 1 or len(texts) + len(images) < len(message.content):
        raise NotAsked(f"{len(message.content)} parts, and spavl's models take text and one image")
    return "\n".join(texts), image_bytes(images[0]) if images else None


def image_bytes(image: str) -> bytes:
    """The encoded image of a data URI, which is all that Inspect lets through to a model; no address or path is followed."""
    if not image.startswith("data:"):
        raise NotAsked("the image is no data URI")
    return base64.b64decode(image.partition(",")[2])


def data_uri(image: bytes) -> str:
    """The encoded image as Inspect takes it."""
    return f"data:{media_type(image)};base64,{base64.b64encode(image).decode()}"
