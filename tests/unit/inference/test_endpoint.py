"""The endpoint client against a real server that misbehaves."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.inference.misbehaving_server import Server, running_server

from spavl.config import EndpointModel, VllmModel
from spavl.errors import TryAgain, UserError
from spavl.inference import Request, Sampling, open_model

KEY = "sk-a-very-secret-key"
PNG = b"\x89PNG\r\n\x1a\n and the rest"


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with running_server() as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    running.forget()
    return running


def spec_of(server: Server | str, **changes: Any) -> EndpointModel:
    values = {
        "kind": "endpoint",
        "name": "judge",
        "model": "judge-7b",
        "revision": "r1",
        "base_url": server if isinstance(server, str) else server.base_url,
        "max_concurrency": 4,
        "timeout_s": 3.0,
        "max_attempts": 3,
        "max_retry_wait_s": 0.01,
    }
    return EndpointModel(**(values | changes))


def requests_for(*ids: str) -> list[Request]:
    return [Request(request_id, f"{request_id} prompt text") for request_id in ids]


def answers_of(spec: EndpointModel, requests: Any) -> dict[str, Any]:
    with open_model(spec, "r1") as model:
        answers = list(model.answer(requests))
    assert len({answer.id for answer in answers}) == len(answers)
    return {answer.id: answer for answer in answers}


def unused_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def num_sockets() -> int:
    links = (f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd"))
    return sum(os.readlink(link).startswith("socket:") for link in links if os.path.lexists(link))


def endpoint_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("endpoint-")]


def test_an_answer_carries_text_reason_and_token_counts(server: Server) -> None:
    answer = answers_of(spec_of(server), requests_for("a"))["a"]
    assert (answer.text, answer.outcome, answer.error) == ("echo a prompt text", "ok", None)
    assert (answer.finish_reason, answer.prompt_tokens, answer.completion_tokens) == ("stop", 7, 3)
    assert answer.attempts == 1


def test_a_model_that_vllm_serves_is_asked_by_its_own_name_in_json_and_without_a_key(server: Server) -> None:
    spec = VllmModel(kind="vllm", name="judge-7b", path="a/b", revision="r1", base_url=server.base_url, timeout_s=3.0, max_retry_wait_s=0.01)  # fmt: skip
    server.script["a"] = [503]
    asked = Request("a", "a prompt text", response_schema={"type": "object"})
    answer = answers_of(spec, [asked])["a"]
    assert (answer.text, answer.attempts) == ("echo a prompt text", 2)
    body, headers = server.bodies[-1], server.headers[-1]
    assert body["model"] == "judge-7b" and "authorization" not in headers
    assert body["response_format"]["type"] == "json_schema"


PASSING = [
    408,
    409,
    429,
    500,
    503,
    "half",
    "garbage",
    "empty",
    "list",
    "no_choices",
    "null_choices",
    "nothing",
]


@pytest.mark.parametrize("trouble", [*PASSING, "no_text", "half_a_character"], ids=str)
def test_a_passing_trouble_is_retried(server: Server, trouble: Any) -> None:
    server.script["a"] = [trouble, trouble]
    answer = answers_of(spec_of(server), requests_for("a"))["a"]
    assert (answer.text, answer.attempts) == ("echo a prompt text", 3)


@pytest.mark.parametrize(
    ("trouble", "error"),
    [
        (500, "HTTP 500 after 3 attempts"),
        (429, "HTTP 429 after 3 attempts"),
        ("half", "broken connection (RemoteProtocolError) after 3 attempts"),
        ("nothing", "broken connection (RemoteProtocolError) after 3 attempts"),
        ("garbage", "unreadable reply after 3 attempts"),
        ("no_text", "reply without text after 3 attempts"),
    ],
)
def test_what_does_not_pass_becomes_an_error_row(server: Server, trouble: Any, error: str) -> None:
    server.script["bad"] = [trouble] * 3
    answers = answers_of(spec_of(server), requests_for("bad", "good"))
    assert (answers["bad"].outcome, answers["bad"].text, answers["bad"].error) == ("error", None, error)
    assert answers["bad"].attempts == 3
    assert answers["good"].outcome == "ok"


def test_a_hanging_server_is_a_timeout_of_the_whole_attempt(server: Server) -> None:
    server.script["slow"] = ["hang", "hang"]
    answers = answers_of(spec_of(server, timeout_s=0.6, max_attempts=2), requests_for("slow", "good"))
    assert answers["slow"].error == "timeout of 0.6 s after 2 attempts"
    assert answers["good"].outcome == "ok"


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_bad_request_is_not_retried_and_stops_nobody(server: Server, status: int) -> None:
    server.script["bad"] = [status]
    answers = answers_of(spec_of(server), requests_for(*"abc", "bad", *"def"))
    assert answers["bad"].error == f"HTTP {status} after 1 attempt"
    assert {answer.outcome for request_id, answer in answers.items() if request_id != "bad"} == {"ok"}


def test_a_refusal_in_its_own_field_is_an_answer(server: Server) -> None:
    server.script["a"] = ["refusal"]
    assert answers_of(spec_of(server), requests_for("a"))["a"].text == "sorry"


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_wrong_key_or_model_stops_the_run(
    server: Server, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGE_KEY", KEY)
    server.script["a"] = [status]
    with pytest.raises(UserError) as caught:
        answers_of(spec_of(server, api_key_env="JUDGE_KEY"), requests_for("a"))
    message = str(caught.value)
    assert server.base_url in message and "judge-7b" in message and f"HTTP {status}" in message
    assert status == 404 or "JUDGE_KEY" in message
    assert KEY not in message and "prompt text" not in message
    assert caught.value.__suppress_context__
    assert endpoint_threads() == []


def test_redirects_are_not_followed(server: Server) -> None:
    server.script["a"] = [(307, {"Location": "http://example.invalid/v1/chat/completions"})]
    with pytest.raises(UserError, match=r"HTTP 307.*final address"):
        answers_of(spec_of(server), requests_for("a"))


def test_retry_after_is_waited_for(server: Server) -> None:
    server.script["a"] = [(429, {"Retry-After": "1"})]
    assert answers_of(spec_of(server, max_retry_wait_s=1.2), requests_for("a"))["a"].outcome == "ok"
    first, second = server.arrivals["a"]
    assert second - first >= 1.0


def test_retry_after_is_not_waited_for_beyond_the_limit(server: Server) -> None:
    server.script["a"] = [(503, {"Retry-After": "3600"})]
    began = time.monotonic()
    assert answers_of(spec_of(server, max_retry_wait_s=0.1), requests_for("a"))["a"].outcome == "ok"
    assert time.monotonic() - began < 2


def test_no_more_than_max_concurrency_are_in_flight(server: Server) -> None:
    server.delay_s = 0.02
    answers = answers_of(spec_of(server, max_concurrency=3), requests_for(*map(str, range(30))))
    assert len(answers) == 30
    assert server.max_in_flight == 3


def test_requests_are_pulled_lazily(server: Server) -> None:
    pulled = []

    def requests() -> Iterator[Request]:
        for request in requests_for(*map(str, range(200))):
            pulled.append(request.id)
            yield request

    with open_model(spec_of(server), "r1") as model:
        for num_answered, _ in enumerate(model.answer(requests())):
            assert len(pulled) <= num_answered + 2 * 4  # the window is twice the concurrency
    assert len(pulled) == 200


def test_answers_come_before_the_requests_are_exhausted(server: Server) -> None:
    pulled = []

    def slow() -> Iterator[Request]:
        for request in requests_for(*map(str, range(8))):
            time.sleep(0.3)
            pulled.append(request.id)
            yield request

    with open_model(spec_of(server), "r1") as model:
        next(iter(model.answer(slow())))
    assert len(pulled) < 8  # the window would hold all eight


def test_an_error_in_the_requests_is_the_callers(server: Server) -> None:
    def requests() -> Iterator[Request]:
        yield from requests_for("a")
        raise OSError("the store is gone")

    with open_model(spec_of(server), "r1") as model, pytest.raises(OSError, match="the store is gone"):
        list(model.answer(requests()))
    assert endpoint_threads() == []


def test_closing_early_cancels_and_leaves_nothing_behind(server: Server) -> None:
    server.script = {str(number): ["hang"] for number in range(1, 8)}
    sockets_before = num_sockets()
    with open_model(spec_of(server), "r1") as model:
        answers = model.answer(requests_for(*map(str, range(8))))
        assert next(answers).id == "0"
        began = time.monotonic()
        answers.close()
        assert time.monotonic() - began < 1
        assert endpoint_threads() == []
    server.let_go()
    deadline = time.monotonic() + 3  # for the server's own ends of the sockets
    while num_sockets() > sockets_before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert num_sockets() <= sockets_before


def test_leaving_the_context_ends_an_iterator_left_open(server: Server) -> None:
    server.script = {"b": ["hang"]}
    with open_model(spec_of(server), "r1") as model:
        answers = model.answer(requests_for("a", "b"))
        next(answers)
        assert endpoint_threads() == ["endpoint-judge"]
    assert endpoint_threads() == []


def test_no_requests_give_no_answers(server: Server) -> None:
    assert answers_of(spec_of(server), []) == {}


def test_a_server_that_is_away_is_no_row() -> None:
    spec = spec_of(f"http://127.0.0.1:{unused_port()}/v1", max_attempts=2)
    for num_requests in (3, 500):
        with (
            open_model(spec, "r1") as model,
            pytest.raises(TryAgain, match=r"no connection after 2 attempts"),
        ):
            yielded = []
            for answer in model.answer(requests_for(*map(str, range(num_requests)))):
                yielded.append(answer)
        assert yielded == []


def test_a_server_that_goes_away_stops_the_run_before_it_makes_error_rows(server: Server) -> None:
    server.script = {str(number): [503] * 3 for number in range(10, 100)}
    yielded = []
    with open_model(spec_of(server), "r1") as model, pytest.raises(TryAgain, match=r"20 requests in a row"):
        for answer in model.answer(requests_for(*map(str, range(100)))):
            yielded.append(answer)
    assert {answer.outcome for answer in yielded} == {"ok"}
    assert len(yielded) == 10


def test_a_few_slow_requests_alone_are_error_rows(server: Server) -> None:
    server.script = {"a": ["hang"], "b": ["hang"]}
    answers = answers_of(spec_of(server, timeout_s=0.3, max_attempts=1), requests_for("a", "b"))
    assert [answer.error for answer in answers.values()] == ["timeout of 0.3 s after 1 attempt"] * 2


def test_silence_that_passes_is_error_rows(server: Server) -> None:
    server.script = {str(number): [503] * 3 for number in range(10)}
    answers = answers_of(spec_of(server), requests_for(*map(str, range(20))))
    assert sum(answer.error == "HTTP 503 after 3 attempts" for answer in answers.values()) == 10


def test_the_image_goes_first_and_only_what_every_server_takes_is_sent(server: Server) -> None:
    request = Request(
        "a",
        "a prompt text",
        image=PNG,
        system="be brief",
        sampling=Sampling(0.5, 0.9, 32, 7),
        response_schema={"type": "object"},
        facts={"class3": "never sent"},
    )
    answers_of(spec_of(server), [request])
    (body,) = server.bodies
    assert set(body) == {"model", "messages", "temperature", "top_p", "max_tokens", "seed"}
    assert (body["temperature"], body["top_p"], body["max_tokens"], body["seed"]) == (0.5, 0.9, 32, 7)
    system, user = body["messages"]
    assert system == {"role": "system", "content": "be brief"}
    assert [part["type"] for part in user["content"]] == ["image_url", "text"]
    assert user["content"][0]["image_url"]["url"].startswith("data:image/png;base64,iVBORw0KGgo")
    assert "never sent" not in str(body)


def test_a_schema_is_sent_where_the_server_can_follow_it(server: Server) -> None:
    request = Request("a", "a prompt", response_schema={"type": "object"})
    answers_of(spec_of(server, structured_output=True), [request])
    assert server.bodies[0]["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "reply", "schema": {"type": "object"}},
    }


def test_bytes_that_are_no_image_are_never_sent(server: Server) -> None:
    answers = answers_of(spec_of(server), [Request("a", "a prompt", image=b"GIF89a"), *requests_for("b")])
    assert answers["a"].error == "the image is not PNG, JPEG or WEBP"
    assert answers["b"].outcome == "ok"
    assert server.num_attempts["a"] == 0


def test_the_key_is_sent_and_never_told(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("JUDGE_KEY", f"{KEY}\n")
    caplog.set_level(logging.DEBUG)
    server.script = {"a": [500] * 3, "b": ["half"] * 3, "c": ["garbage"] * 3, "d": [400]}
    answers = answers_of(spec_of(server, api_key_env="JUDGE_KEY"), requests_for("a", "b", "c", "d", "e"))
    assert {headers["authorization"] for headers in server.headers} == {f"Bearer {KEY}"}
    told = f"{answers} {caplog.text} {[record.args for record in caplog.records]}"
    assert KEY not in told
    assert "prompt text" not in caplog.text
    assert not any("prompt text" in (answer.error or "") for answer in answers.values())


def test_without_a_key_of_its_own_a_server_gets_none(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    answers_of(spec_of(server), requests_for("a"))
    assert "authorization" not in server.headers[0]


@pytest.mark.parametrize("key", [None, "", " \n"])
def test_a_missing_key_names_its_variable(key: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    if key is not None:
        monkeypatch.setenv("JUDGE_KEY", key)
    with pytest.raises(UserError, match="JUDGE_KEY"):
        open_model(spec_of("http://127.0.0.1:1/v1", api_key_env="JUDGE_KEY"), "r1")


@pytest.mark.parametrize("key", ["schlüssel-geheim", "two\nlines-geheim"])
def test_a_key_that_no_header_holds_is_refused_untold(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", key)
    with pytest.raises(UserError) as caught:
        open_model(spec_of("http://127.0.0.1:1/v1", api_key_env="JUDGE_KEY"), "r1")
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("url", ["localhost:8000/v1", "file:///etc/passwd", "http://user:geheim@host/v1"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(UserError, match="base_url") as caught:
        open_model(spec_of(url), "r1")
    assert "geheim" not in str(caught.value)


TROUBLES = st.sampled_from(
    [429, 500, 503, "half", "garbage", "empty", "no_choices", "nothing", 400, 422, "ok"]
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scripts=st.lists(st.lists(TROUBLES, max_size=4), max_size=16), max_concurrency=st.integers(1, 8))
def test_no_mixture_of_failures_loses_or_doubles_an_id(
    running: Server, scripts: list[list[Any]], max_concurrency: int
) -> None:
    running.forget()
    running.script = {f"r{number}": script for number, script in enumerate(scripts)}
    spec = spec_of(running, max_concurrency=max_concurrency, max_retry_wait_s=0.001)
    answers = answers_of(spec, requests_for("good", *running.script))
    assert set(answers) == {"good", *running.script}
    for request_id, script in running.script.items():
        ends = [behaviour for behaviour in [*script, "ok", "ok", "ok"][:3] if behaviour in ("ok", 400, 422)]
        assert answers[request_id].outcome == ("ok" if ends[:1] == ["ok"] else "error")
