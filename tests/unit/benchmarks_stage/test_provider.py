"""Inspect's messages become one request of the seam, or an error that says why not; nothing is cut silently."""

import asyncio
import base64

import pytest
from inspect_ai.model import (
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    ContentImage,
    ContentText,
    GenerateConfig,
)
from tests.made_rows import png

from spavl.config import FakeModel
from spavl.inference import Sampling, open_model
from spavl.stages.benchmarks.collector import Collector
from spavl.stages.benchmarks.provider import (
    FACTS,
    NotAsked,
    data_uri,
    image_bytes,
    opened_as,
    request_of,
    sampled,
)


def shown(text, *images):
    return ChatMessageUser(
        content=[*(ContentImage(image=data_uri(image)) for image in images), ContentText(text=text)]
    )


def test_text_image_and_system_reach_the_request():
    request = request_of([ChatMessageSystem(content="be kind"), shown("what is it?", png(1))], Sampling())
    assert (request.prompt, request.image, request.system) == ("what is it?", png(1), "be kind")
    assert request.response_schema is None


def test_equal_prompts_have_one_id_and_others_another():
    one = request_of([shown("a", png(1))], Sampling())
    assert one.id == request_of([shown("a", png(1))], Sampling()).id
    others = [
        request_of([shown("a", png(2))], Sampling()),
        request_of([shown("b", png(1))], Sampling()),
        request_of([shown("a", png(1))], Sampling(seed=1)),
        request_of([ChatMessageSystem(content="s"), shown("a", png(1))], Sampling()),
    ]
    assert len({one.id, *(other.id for other in others)}) == 5


def test_a_judging_prompt_carries_its_facts_and_asks_for_the_judges_form():
    message = ChatMessageUser(
        content="judge this", metadata={FACTS: {"task": "judgement", "kind": "easy_question"}}
    )
    request = request_of([message], Sampling())
    assert request.facts == {"task": "judgement", "kind": "easy_question"}
    assert request.response_schema["required"][0] == "is_unsafe"


@pytest.mark.parametrize(
    "messages",
    [
        [shown("a"), ChatMessageAssistant(content="b"), shown("c")],
        [shown("two images", png(1), png(2))],
        [ChatMessageUser(content=[ContentImage(image="https://example.org/a.png"), ContentText(text="a")])],
        [ChatMessageUser(content=[ContentImage(image="/etc/hostname"), ContentText(text="a")])],
        [ChatMessageSystem(content="only a system text")],
    ],
)
def test_what_the_seam_cannot_ask_is_an_error_without_content(messages):
    with pytest.raises(NotAsked) as raised:
        request_of(messages, Sampling())
    assert "example.org" not in str(raised.value) and "hostname" not in str(raised.value)


def test_a_tasks_own_sampling_wins_over_ours():
    ours = Sampling(temperature=0.0, max_tokens=24, seed=7)
    assert sampled(ours, GenerateConfig()) == ours
    own = GenerateConfig(temperature=0.7, max_tokens=5)
    assert sampled(ours, own) == Sampling(temperature=0.7, max_tokens=5, seed=7)


def test_a_data_uri_comes_back_as_the_bytes_that_it_was_made_of():
    assert data_uri(png(3)).startswith("data:image/png;base64,")
    assert image_bytes(data_uri(png(3))) == png(3)
    assert base64.b64decode(data_uri(png(3)).partition(",")[2]) == png(3)


def answered(spec):
    """What Inspect gets for one prompt to this model."""

    async def ask():
        with open_model(spec, "1") as model, opened_as("f", Collector(model, 1, 0.01), Sampling()) as opened:
            return await opened.generate([shown("how are you?")])

    return asyncio.run(ask())


def test_an_answer_of_the_seam_is_an_output_of_inspect():
    output = answered(FakeModel(kind="fake", name="f", replies=("a reply of five words",)))
    assert (output.completion, output.stop_reason) == ("a reply of five words", "stop")
    assert output.usage.output_tokens == 5


def test_an_error_answer_raises_and_is_never_an_empty_answer():
    with pytest.raises(NotAsked, match="no answer: the fake model was told to fail"):
        answered(FakeModel(kind="fake", name="f", error_share=1.0))
