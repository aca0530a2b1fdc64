"""Prompts asked one by one at the same time become batches; every prompt gets its own answer or the model's error."""

import asyncio

import pytest

from spavl.errors import UserError
from spavl.inference import Answer, Request
from spavl.stages.benchmarks.collector import Collector, distinct


class Recording:
    """A model that answers with the prompt in capitals and remembers its batches."""

    name, revision = "recording", "1"

    def __init__(self):
        self.batches = []

    def answer(self, requests):
        requests = list(requests)
        self.batches.append(sorted(request.prompt for request in requests))
        for request in reversed(requests):
            yield Answer(request.id, request.prompt.upper(), "ok")


class Broken(Recording):
    def answer(self, requests):
        raise UserError("the key is wrong.")


def asked(collector, prompts):
    async def all_at_once():
        requests = (Request(f"id of {prompt}", prompt) for prompt in prompts)
        return await asyncio.gather(*(collector.ask(request) for request in requests), return_exceptions=True)

    return asyncio.run(all_at_once())


def test_prompts_that_come_together_are_one_batch_and_each_gets_its_own_answer():
    model = Recording()
    answers = asked(Collector(model, max_batch=4, max_wait_s=5.0), ["a", "b", "c", "d"])
    assert [answer.text for answer in answers] == ["A", "B", "C", "D"]
    assert model.batches == [["a", "b", "c", "d"]]


def test_a_batch_that_does_not_fill_is_asked_after_the_wait():
    model = Recording()
    answers = asked(Collector(model, max_batch=8, max_wait_s=0.01), ["a", "b", "c"])
    assert [answer.text for answer in answers] == ["A", "B", "C"]
    assert model.batches == [["a", "b", "c"]]


def test_the_same_prompt_twice_is_asked_twice():
    model = Recording()
    answers = asked(Collector(model, max_batch=2, max_wait_s=0.01), ["a", "a"])
    assert [answer.text for answer in answers] == ["A", "A"]
    assert [request.id for request in distinct([Request("x", "a"), Request("y", "b"), Request("x", "a")])] == ["x", "y", "x-2"]  # fmt: skip


def test_a_failure_reaches_every_prompt_and_is_kept_for_the_stage():
    collector = Collector(Broken(), max_batch=2, max_wait_s=0.01)
    answers = asked(collector, ["a", "b"])
    assert all(isinstance(answer, UserError) for answer in answers)
    assert isinstance(collector.failure, UserError)


def test_a_collector_serves_one_event_loop_after_the_other():
    collector = Collector(Recording(), max_batch=2, max_wait_s=0.01)
    assert [answer.text for answer in asked(collector, ["a", "b"])] == ["A", "B"]
    assert [answer.text for answer in asked(collector, ["c", "d"])] == ["C", "D"]
    assert collector.num_asked == 4


@pytest.mark.parametrize("num", [1, 3, 7])
def test_every_prompt_is_answered_however_many_there_are(num):
    prompts = [f"p{number}" for number in range(num)]
    answers = asked(Collector(Recording(), max_batch=3, max_wait_s=0.01), prompts)
    assert [answer.text for answer in answers] == [prompt.upper() for prompt in prompts]
