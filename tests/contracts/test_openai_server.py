"""The endpoint client against a real OpenAI-compatible server: `transformers serve` on a tiny LLaVA with random weights."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.tiny_llava import NUM_IMAGE_TOKENS, build_tiny_llava

from spavl.config import EndpointModel, TransformersModel
from spavl.errors import UserError
from spavl.inference import Answer, Request, Sampling, open_model

pytestmark = pytest.mark.slow
SERVE = "import sys; from transformers.cli.transformers import main; sys.exit(main())"
GREEDY = Sampling(temperature=0.0, max_tokens=6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from transformers import AutoModelForImageTextToText

    folder = build_tiny_llava(tmp_path_factory.mktemp("serving") / "tiny")
    model = AutoModelForImageTextToText.from_pretrained(folder, local_files_only=True)
    with torch.no_grad():
        for weights in model.parameters():
            weights.mul_(4)  # random weights of the usual size hardly look at the picture; these do
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def base_url(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pytest.importorskip("fastapi", reason="transformers[serving] is not installed")
    home = tmp_path_factory.mktemp("hf-home")
    (home / "hub").mkdir()  # without it /v1/models is a 500
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    argv = [sys.executable, "-c", SERVE, "serve", str(folder), "--device", "cpu", "--dtype", "float32"]
    env = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with open(home / "log", "wb") as log:
        argv += ["--host", "127.0.0.1", "--port", str(port)]
        server = subprocess.Popen(argv, env=env, stdout=log, stderr=log)
    try:
        wait_until_ready(server, f"http://127.0.0.1:{port}", home / "log")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(timeout=20)


def wait_until_ready(server: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()[-2000:]
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5) as reply:
                if reply.status == 200:
                    return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"the server is not ready: {log.read_text()[-2000:]}")


def spec_of(base_url: str, model: Path | str) -> EndpointModel:
    return EndpointModel(
        kind="endpoint",
        name="served",
        model=str(model),
        revision="r1",
        base_url=base_url,
        max_concurrency=4,
        max_attempts=2,
        max_retry_wait_s=1.0,
    )


def picture(colour: str) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (40, 40), colour).save(buffer, "PNG")
    return buffer.getvalue()


def by_id(spec: Any, requests: list[Request]) -> dict[str, Answer]:
    with open_model(spec, "r1") as model:
        answers = list(model.answer(requests))
    assert sorted(answer.id for answer in answers) == sorted(request.id for request in requests)
    return {answer.id: answer for answer in answers}


def test_every_message_with_an_image_is_answered(base_url: str, folder: Path) -> None:
    requests = [
        Request(
            f"r{number}", f"what is shown? {number}", picture("red"), sampling=Sampling(1.0, 0.9, 6, number)
        )
        for number in range(12)
    ]
    answers = by_id(spec_of(base_url, folder), requests)
    assert {(answer.outcome, answer.error, answer.attempts) for answer in answers.values()} == {
        ("ok", None, 1)
    }
    assert all(answer.text is not None for answer in answers.values())
    assert all(answer.finish_reason in ("stop", "length") for answer in answers.values())


def test_the_server_sees_the_picture(base_url: str, folder: Path) -> None:
    requests = [
        Request("red", "what is shown?", picture("red"), sampling=GREEDY),
        Request("blue", "what is shown?", picture("blue"), sampling=GREEDY),
        Request("none", "what is shown?", sampling=GREEDY),
    ]
    answers = by_id(spec_of(base_url, folder), requests)
    assert answers["red"].text != answers["blue"].text
    assert answers["red"].prompt_tokens > answers["none"].prompt_tokens + NUM_IMAGE_TOKENS


def test_both_backends_ask_the_same_model_the_same_thing(base_url: str, folder: Path) -> None:
    requests = [
        Request(colour, "what is shown?", picture(colour), sampling=GREEDY) for colour in ("red", "blue")
    ]
    served = by_id(spec_of(base_url, folder), requests)
    in_process = by_id(
        TransformersModel(kind="transformers", name="tiny", path=str(folder), device="cpu"), requests
    )
    for request in requests:
        assert served[request.id].text.strip() == in_process[request.id].text
        assert served[request.id].prompt_tokens == in_process[request.id].prompt_tokens


def test_a_system_message_is_accepted(base_url: str, folder: Path) -> None:
    request = Request("a", "what is shown?", picture("red"), system="be brief", sampling=GREEDY)
    assert by_id(spec_of(base_url, folder), [request])["a"].outcome == "ok"


def test_a_schema_is_not_sent_where_the_server_would_refuse_it(base_url: str, folder: Path) -> None:
    request = Request(
        "a", "what is shown?", picture("red"), sampling=GREEDY, response_schema={"type": "object"}
    )
    assert by_id(spec_of(base_url, folder), [request])["a"].outcome == "ok"


def test_a_wrong_address_stops_the_run(base_url: str, folder: Path) -> None:
    with pytest.raises(UserError, match="HTTP 404"):
        by_id(spec_of(f"{base_url}/v1", folder), [Request("a", "what is shown?", sampling=GREEDY)])
