"""The in-process backend on a real, tiny LLaVA with random weights."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.tiny_llava import NUM_IMAGE_TOKENS, build_tiny_llava

from spavl.config import TransformersModel
from spavl.errors import UserError
from spavl.inference import Answer, Request, Sampling, open_model, resolve_revision

SAMPLED = Sampling(temperature=1.0, max_tokens=12, seed=5)
GREEDY = Sampling(temperature=0.0, max_tokens=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_llava(tmp_path_factory.mktemp("inference") / "tiny")


@pytest.fixture(scope="module")
def spec(folder: Path) -> TransformersModel:
    return TransformersModel(kind="transformers", name="tiny", path=str(folder), batch_size=4, device="cpu")


@pytest.fixture(scope="module")
def model(spec: TransformersModel) -> Iterator[Any]:
    with open_model(spec, resolve_revision(spec)) as model:
        import torch

        # random weights of the usual size hardly look at the picture; these do
        with torch.no_grad():
            for weights in model._model.parameters():
                weights.mul_(4)
        yield model


def picture(colour: str) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (40, 40), colour).save(buffer, "PNG")
    return buffer.getvalue()


RED, BLUE = picture("red"), picture("blue")


def questions(num: int, sampling: Sampling, chunk_size: int = 100) -> list[Request]:
    return [
        Request(
            f"r{number:02}",
            "what is shown?" + " red" * (number % 5),
            (RED, BLUE)[number % 2],
            sampling=sampling,
            chunk=number // chunk_size,
        )
        for number in range(num)
    ]


def by_id(answers: Any) -> dict[str, Answer]:
    listed = list(answers)
    found = {answer.id: answer for answer in listed}
    assert len(found) == len(listed)
    return found


def test_the_same_chunk_gives_the_same_samples_whatever_ran_before(model: Any) -> None:
    requests = questions(10, SAMPLED)
    first = by_id(model.answer(requests))
    by_id(model.answer(questions(3, Sampling(temperature=2.0, max_tokens=5))))
    assert by_id(model.answer(reversed(requests))) == first
    assert len({answer.text for answer in first.values()}) > 5


def test_a_resumed_chunk_equals_that_chunk_of_the_full_run(model: Any, spec: TransformersModel) -> None:
    requests = questions(14, SAMPLED, chunk_size=7)
    full = by_id(model.answer(requests))
    second = [request for request in requests if request.chunk == 1]
    assert by_id(model.answer(second)) == {request.id: full[request.id] for request in second}


def test_another_process_gives_the_same_samples(spec: TransformersModel) -> None:
    requests = questions(6, SAMPLED)
    runs = []
    for _ in range(2):  # a newly opened model knows nothing of the one before
        with open_model(spec, "r") as model:
            runs.append(by_id(model.answer(requests)))
    assert runs[0] == runs[1]


def test_another_seed_gives_other_samples(model: Any) -> None:
    seeds = [by_id(model.answer(questions(4, Sampling(1.0, 1.0, 12, seed)))) for seed in (1, 2)]
    assert {answer.text for answer in seeds[0].values()} != {answer.text for answer in seeds[1].values()}


def test_the_callers_random_state_is_left_alone(model: Any) -> None:
    import torch

    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    by_id(model.answer(questions(3, SAMPLED)))
    assert torch.equal(torch.rand(3), expected)


def test_greedy_answers_do_not_depend_on_the_batch(model: Any) -> None:
    requests = questions(6, GREEDY)
    together = by_id(model.answer(requests))
    alone = {request.id: by_id(model.answer([request]))[request.id] for request in requests}
    assert together == alone  # prompts of different lengths: left padding and its mask are right


def test_another_picture_gives_another_answer(model: Any) -> None:
    requests = [
        Request("red", "what is shown?", RED, sampling=GREEDY),
        Request("blue", "what is shown?", BLUE, sampling=GREEDY),
    ]
    answers = by_id(model.answer(requests))
    assert answers["red"].text != answers["blue"].text


def test_prompt_tokens_count_the_picture(model: Any) -> None:
    with_picture = Request("a", "what is shown?", RED, sampling=GREEDY)
    without = Request("b", "what is shown?", sampling=GREEDY)
    answers = by_id(model.answer([with_picture, without]))
    num_more = answers["a"].prompt_tokens - answers["b"].prompt_tokens
    assert (
        NUM_IMAGE_TOKENS < num_more <= NUM_IMAGE_TOKENS + 2
    )  # the template writes a line break after the picture


def test_bad_requests_are_error_rows_and_change_nobody_elses_greedy_answer(model: Any) -> None:
    good = questions(3, GREEDY)
    bad = {
        "noise": Request("noise", "what is shown?", b"\x89PNG\r\n\x1a\n no", sampling=GREEDY),
        "gif": Request("gif", "what is shown?", b"GIF89a", sampling=GREEDY),
        "long": Request("long", "what " * 600, RED, sampling=GREEDY),
        "token": Request("token", "what is <image> shown?", RED, sampling=GREEDY),
    }
    answers = by_id(model.answer([*good, *bad.values()]))
    assert {answer.id for answer in answers.values() if answer.outcome == "error"} == set(bad)
    assert answers["noise"].error.startswith("the image cannot be decoded")
    assert answers["gif"].error == "the image is not PNG, JPEG or WEBP"
    assert answers["long"].error.endswith("and max_tokens 8 exceed the model's 512")
    assert answers["token"].error == "the prompt holds the model's own image token"
    assert all(answers[request_id].text is None for request_id in bad)
    assert {request.id: answers[request.id] for request in good} == by_id(model.answer(good))


def test_nothing_but_bad_requests_is_no_crash(model: Any) -> None:
    answers = by_id(model.answer([Request("a", "x", b"no"), Request("b", "x", b"no")]))
    assert {answer.outcome for answer in answers.values()} == {"error"}


def test_an_answer_ends_at_the_end_token_or_at_its_limit(model: Any) -> None:
    from spavl.inference.transformers import TransformersBackend

    request = Request("a", "x")
    ends = model._model.generation_config.eos_token_id
    word = model._processor.tokenizer.encode("red", add_special_tokens=False)
    stopped = TransformersBackend._answer(model, request, [*word, ends, 0, 0], 5)
    assert (stopped.text, stopped.finish_reason, stopped.completion_tokens) == ("red", "stop", len(word) + 1)
    cut = TransformersBackend._answer(model, request, word, 5)
    assert (cut.text, cut.finish_reason, cut.completion_tokens) == ("red", "length", len(word))


def test_neither_prompt_nor_special_tokens_are_in_the_text(model: Any) -> None:
    for answer in by_id(model.answer(questions(8, SAMPLED))).values():
        assert "ASSISTANT:" not in answer.text and "what is shown" not in answer.text
        assert not any(token in answer.text for token in ("<pad>", "<s>", "</s>", "<image>"))
        assert answer.text == answer.text.strip()


def test_no_top_k_is_added_to_what_was_asked_for(model: Any) -> None:
    config = model._generation_config(SAMPLED)
    assert (config.do_sample, config.temperature, config.top_p, config.top_k) == (True, 1.0, 1.0, 0)
    assert model._generation_config(GREEDY).do_sample is False


def test_a_model_without_chat_template_is_refused(folder: Path, tmp_path: Path) -> None:
    bare = Path(shutil.copytree(folder, tmp_path / "bare"))
    (bare / "chat_template.jinja").unlink()
    spec = TransformersModel(kind="transformers", name="bare", path=str(bare))
    with pytest.raises(UserError, match="no chat template"), open_model(spec, "r"):
        pass


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    spec = TransformersModel(kind="transformers", name="broken", path=str(tmp_path))
    with pytest.raises(UserError, match="cannot be loaded"), open_model(spec, "r"):
        pass


def test_truncated_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(folder, tmp_path / "broken"))
    weights = (broken / "model.safetensors").read_bytes()
    (broken / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    spec = TransformersModel(kind="transformers", name="broken", path=str(broken))
    with pytest.raises(UserError, match="cannot be loaded"), open_model(spec, "r"):
        pass


def test_weights_that_are_missing_are_never_drawn_at_random(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    part = Path(shutil.copytree(folder, tmp_path / "part"))
    weights = load_file(part / "model.safetensors")
    del weights[next(name for name in sorted(weights) if "projector" in name)]
    save_file(weights, part / "model.safetensors", metadata={"format": "pt"})
    spec = TransformersModel(kind="transformers", name="part", path=str(part))
    with pytest.raises(UserError, match=r"lacks weights \(1, "), open_model(spec, "r"):
        pass


def test_a_device_that_is_not_there_is_refused(folder: Path) -> None:
    spec = TransformersModel(kind="transformers", name="tiny", path=str(folder), device="warp")
    with pytest.raises(UserError, match="'warp' is no device"), open_model(spec, "r"):
        pass
