"""The OpenAI chat format: a Request as a body, a reply's bytes as an Answer.

The body holds only what every server takes: `transformers serve` rejects response_format, n, logprobs, user and more.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field, ValidationError

from spavl.inference.pictures import media_type
from spavl.inference.request import Answer, Request

if TYPE_CHECKING:
    from spavl.config import EndpointModel


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Reply(BaseModel):
    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage | None = None


class UnreadableReply(ValueError):
    """A reply came, but not in the chat format; the message never holds the reply."""


def chat_body(request: Request, spec: EndpointModel) -> dict[str, Any]:
    """The body of `POST /chat/completions`; raises BadPicture for image bytes of an unknown format.

    The image comes before the text, so requests that share an image share a prefix in the server's cache.
    """
    body: dict[str, Any] = {
        "model": spec.model,
        "messages": _messages(request),
        "temperature": request.sampling.temperature,
        "top_p": request.sampling.top_p,
        "max_tokens": request.sampling.max_tokens,
        "seed": request.sampling.seed,
    }
    if spec.structured_output and request.response_schema is not None:
        schema = {"name": "reply", "schema": dict(request.response_schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


def read_reply(request_id: str, content: bytes) -> Answer:
    """The Answer in a reply's bytes; raises UnreadableReply for anything but a whole chat completion with a text."""
    try:
        reply = _Reply.model_validate_json(content)
    except ValidationError:
        raise UnreadableReply("unreadable reply") from None
    choice = reply.choices[0]
    # a refusal in its own field is the model's answer too
    text = choice.message.content if choice.message.content is not None else choice.message.refusal
    if text is None:
        raise UnreadableReply("reply without text")
    usage = reply.usage or _Usage()
    return Answer(
        request_id,
        text,
        "ok",
        finish_reason=choice.finish_reason,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
    )


def _messages(request: Request) -> list[dict[str, Any]]:
    system = [{"role": "system", "content": request.system}] if request.system else []
    if request.image is None:
        return [*system, {"role": "user", "content": request.prompt}]
    url = f"data:{media_type(request.image)};base64,{base64.b64encode(request.image).decode('ascii')}"
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": request.prompt}]
    return [*system, {"role": "user", "content": content}]
