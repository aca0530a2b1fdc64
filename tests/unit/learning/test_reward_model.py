"""A reward model reads an answer's last token in both layouts, and is saved whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests import tiny_vlms
from tests.tiny_llava import build_tiny_llava

from spavl.errors import UserError
from spavl.learning.heads import head_of
from spavl.learning.reward_model import (
    HEAD_CONFIG,
    HEAD_WEIGHTS,
    answer_ends,
    answer_scores,
    load_reward_model,
    prepare_reward_model,
    restored,
    save_reward_model,
)
from spavl.learning.tree import Forward, PlainSequence, grow, pack, plain_forward, tree_forward
from spavl.learning.vision import encoder_outputs, join_image_inputs, tower_features

ANSWERS = {
    "star": {"what is shown here": ["a red square", "sorry I cannot"], "red": ["sure", "no"]},
    "moon": {"what is shown here": ["a blue square"]},
}
NUM_ANSWERS = 5


def numbered(answer: int, ids: tuple[int, ...], num_prompt: int) -> PlainSequence:
    return PlainSequence(answer, ids, num_prompt, (tuple(range(len(ids))),))


def test_ends_in_the_plain_layout_are_the_last_tokens_of_the_rows() -> None:
    # rows of 6: prompt 1 2 3, answer 4 5 9 | prompt 1 2 3, answer 9 and two paddings
    sequences = [numbered(0, (1, 2, 3, 4, 5, 9), 3), numbered(1, (1, 2, 3, 9), 3)]
    forward = plain_forward(sequences, 0, ["image"] * 2)
    assert answer_ends(forward.answers, 2).tolist() == [5, 6 + 3]
    assert forward.input_ids.flatten()[[5, 9]].tolist() == [9, 9]


def test_ends_in_a_tree_are_the_last_tokens_of_the_leaves() -> None:
    # 1 2 | 3 4 5 8 | 3 9: the last token of the prompt stands at the head of each leaf
    tree = grow("image", [numbered(1, (1, 2, 3, 9), 3), numbered(0, (1, 2, 3, 4, 5, 8), 3)])
    other = grow("other", [numbered(2, (1, 7, 6), 2)])
    forward = tree_forward([[tree, other]], 0)
    assert forward.input_ids.tolist() == [[1, 2, 3, 4, 5, 8, 3, 9, 1, 7, 6]]
    assert answer_ends(forward.answers, 3).tolist() == [5, 7, 10]


def forwards_of(vlm: tiny_vlms.TinyVlm) -> tuple[Forward, Forward]:
    """The same five answers in trees and one by one."""
    sequences, trees, images = [], [], []
    for image, answers in ANSWERS.items():
        made = vlm.sequences(tiny_vlms.draw_image(image), answers, len(sequences))
        trees.append(grow(image, made, vlm.image_token_id))
        sequences += made
        images += [image] * len(made)
    return tree_forward(pack(trees, 110), vlm.pad_id), plain_forward(sequences, vlm.pad_id, images)


def pixels(vlm: tiny_vlms.TinyVlm, forward: Forward) -> dict[str, Any]:
    return join_image_inputs([vlm.image_inputs(tiny_vlms.draw_image(image)) for image in forward.images])


def read(vlm: tiny_vlms.TinyVlm, forward: Forward, **images: Any) -> tuple[torch.Tensor, dict[str, Any]]:
    """Scores, and gradients by name of a sum in which every score has its own weight."""
    vlm.model.zero_grad()
    scores = answer_scores(vlm.model, forward, images or pixels(vlm, forward), NUM_ANSWERS)
    (scores * torch.arange(1.0, 11.0).view(5, 2)).sum().backward()
    return scores.detach(), {n: p.grad.clone() for n, p in vlm.model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("name", ["llava_llama", "qwen2_vl", "idefics3"])
def test_both_layouts_and_kept_features_give_the_same_scores_and_gradients(name: str) -> None:
    vlm = tiny_vlms.build(name)
    prepare_reward_model(vlm.model, ("reward", "cost"))
    tree, plain = forwards_of(vlm)
    kept = {
        image: tower_features(vlm.model, vlm.image_inputs(tiny_vlms.draw_image(image))) for image in ANSWERS
    }
    outputs = encoder_outputs(vlm.model, [kept[image] for image in tree.images])
    expected, expected_grads = read(vlm, plain)
    for scores, grads in (read(vlm, tree), read(vlm, tree, mm_encoder_outputs=outputs)):
        assert scores.shape == (NUM_ANSWERS, 2)
        torch.testing.assert_close(scores, expected, rtol=1e-5, atol=1e-6)
        errors = [float((grads[n] - g).norm() / g.norm()) for n, g in expected_grads.items()]
        assert max(errors) <= 1e-5


def test_every_trained_parameter_has_a_part_in_the_scores() -> None:
    # DDP waits for the gradient of each; the head over the vocabulary would have none
    vlm = tiny_vlms.build("llava_llama")
    prepare_reward_model(vlm.model)
    _, plain = forwards_of(vlm)
    answer_scores(vlm.model, plain, pixels(vlm, plain), NUM_ANSWERS).sum().backward()
    trained = {name for name, p in vlm.model.named_parameters() if p.requires_grad}
    assert {name for name, p in vlm.model.named_parameters() if p.grad is not None} == trained
    assert "lm_head.weight" not in trained
    assert any("multi_modal_projector" in name for name in trained)


def test_a_score_depends_on_the_last_token_and_the_image_only_through_what_it_sees() -> None:
    vlm = tiny_vlms.build("llava_llama")
    prepare_reward_model(vlm.model)
    _, plain = forwards_of(vlm)
    before = answer_scores(vlm.model, plain, pixels(vlm, plain), NUM_ANSWERS)
    ends = answer_ends(plain.answers, NUM_ANSWERS)
    plain.input_ids.view(-1)[ends[0]] = vlm.processor.tokenizer.convert_tokens_to_ids("a")
    after = answer_scores(vlm.model, plain, pixels(vlm, plain), NUM_ANSWERS)
    assert (before[0] - after[0]).abs() > 1e-3
    assert torch.equal(before[1:], after[1:])


def untrained(folder: Path, *, has_lora: bool, trains_projector: bool = False) -> Any:
    """A tiny LLaVA as training begins with it: adapters on the language model, and on the projector or all of that."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForImageTextToText

    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    if has_lora:
        where = r".*language_model.*(q_proj|down_proj)"
        if not trains_projector:
            where = rf"({where}|.*multi_modal_projector.*linear_\d)"
        model = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules=where)).eval()
    for name, parameter in model.named_parameters():
        if trains_projector and "multi_modal_projector" in name:
            parameter.requires_grad_(True)
    prepare_reward_model(model, ("reward", "cost"), seed=3)
    return model


def trained(folder: Path, **how: bool) -> tuple[Any, dict[str, torch.Tensor]]:
    """The same after every trained weight has moved, and those weights by name."""
    model = untrained(folder, **how)
    drawn = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=drawn) * 0.1)
    return model, {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}


def tiny_scene(folder: Path) -> tuple[Any, Forward, dict[str, Any]]:
    """Processor, two answers about a noisy image, and its pixels."""
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(folder, backend="pil")
    inputs = processor(
        images=[[tiny_vlms.draw_image("star")]],
        text=["USER: <image>\nwhat is shown here\nASSISTANT: "],
        add_special_tokens=False,
        return_tensors="pt",
    )
    prompt = tuple(inputs["input_ids"][0].tolist())
    answers = [processor.tokenizer(text)["input_ids"] for text in ("a red square</s>", "sorry</s>")]
    sequences = [numbered(k, prompt + tuple(ids), len(prompt)) for k, ids in enumerate(answers)]
    forward = plain_forward(sequences, processor.tokenizer.pad_token_id, ["star"] * 2)
    return processor, forward, {"pixel_values": inputs["pixel_values"].repeat(2, 1, 1, 1)}


def one_image(images: dict[str, Any]) -> dict[str, Any]:
    return {name: value[:1] for name, value in images.items()}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_llava(tmp_path_factory.mktemp("base"))


HOW = [
    {"has_lora": True},
    {"has_lora": True, "trains_projector": True},
    {"has_lora": False},
]


@pytest.fixture(scope="module")
def saved(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reward") / "model"
    processor, _, _ = tiny_scene(base)
    _, state = trained(base, **HOW[1])
    save_reward_model(restored(untrained(base, **HOW[1]), state), processor, ("reward", "cost"), folder)
    return folder


@pytest.mark.parametrize("how", HOW, ids=str)
def test_what_was_trained_is_restored(base: Path, how: dict[str, bool]) -> None:
    _, forward, images = tiny_scene(base)
    model, state = trained(base, **how)
    expected = answer_scores(model, forward, images, 2)
    fresh = untrained(base, **how)
    assert (answer_scores(fresh, forward, images, 2) - expected).abs().min() > 1e-2
    whole = restored(fresh, state)
    torch.testing.assert_close(answer_scores(whole, forward, images, 2), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("how", HOW, ids=str)
def test_a_saved_and_loaded_model_gives_bitwise_the_same_scores(
    base: Path, tmp_path: Path, how: dict[str, bool]
) -> None:
    processor, forward, images = tiny_scene(base)
    _, state = trained(base, **how)
    whole = restored(untrained(base, **how), state)
    save_reward_model(whole, processor, ("reward", "cost"), tmp_path)
    loaded = load_reward_model(tmp_path, "float32")
    assert loaded.outputs == ("reward", "cost")
    assert torch.equal(loaded.scores(forward, images, 2), answer_scores(whole, forward, images, 2))
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())
    again = loaded.processor.tokenizer("a red square</s>")["input_ids"]
    assert again == processor.tokenizer("a red square</s>")["input_ids"]


def test_a_model_saved_in_bfloat16_keeps_its_head_in_float32(base: Path, tmp_path: Path) -> None:
    processor, forward, images = tiny_scene(base)
    _, state = trained(base, **HOW[0])
    whole = restored(untrained(base, **HOW[0]), state)
    weight = head_of(whole).weight.clone()
    save_reward_model(whole, processor, ("reward", "cost"), tmp_path, torch.bfloat16)
    loaded = load_reward_model(tmp_path, "bfloat16")
    assert torch.equal(head_of(loaded.model).weight, weight)
    assert not torch.equal(weight, weight.bfloat16().float())
    assert loaded.model.dtype == torch.bfloat16
    scores = loaded.scores(forward, images, 2)
    assert scores.dtype == torch.float32
    features = {
        name: value.float() for name, value in tower_features(loaded.model, one_image(images)).items()
    }
    kept = {"mm_encoder_outputs": encoder_outputs(loaded.model, [features] * 2)}
    torch.testing.assert_close(loaded.scores(forward, kept, 2), scores, rtol=0.05, atol=0.05)


def test_a_weight_without_a_place_is_refused(base: Path) -> None:
    _, state = trained(base, **HOW[0])
    with pytest.raises(ValueError, match="lora_A"):
        restored(untrained(base, has_lora=False), state)


def test_the_saved_trunk_is_a_plain_model_without_the_head(saved: Path) -> None:
    from transformers import AutoModelForImageTextToText

    _, report = AutoModelForImageTextToText.from_pretrained(saved, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]


def copy_of(saved: Path, folder: Path) -> Path:
    import shutil

    return Path(shutil.copytree(saved, folder / "copy"))


def without_head(folder: Path) -> None:
    (folder / HEAD_WEIGHTS).unlink()


def without_head_config(folder: Path) -> None:
    (folder / HEAD_CONFIG).unlink()


def with_other_outputs(folder: Path) -> None:
    (folder / HEAD_CONFIG).write_text(json.dumps({"format": 1, "outputs": ["reward"]}))


def without_a_weight(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    gone = next(name for name in weights if "multi_modal_projector" in name)
    save_file({n: w for n, w in weights.items() if n != gone}, folder / "model.safetensors", {"format": "pt"})


def with_half_a_file(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.parametrize(
    "harm", [without_head, without_head_config, with_other_outputs, without_a_weight, with_half_a_file]
)
def test_a_model_that_is_not_whole_is_refused(
    saved: Path, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    folder = copy_of(saved, tmp_path)
    load_reward_model(folder, "float32")
    harm(folder)
    with pytest.raises(UserError, match="no whole reward model"):
        load_reward_model(folder, "float32")


def test_an_adapter_alone_is_never_saved(base: Path, tmp_path: Path) -> None:
    processor, _, _ = tiny_scene(base)
    with pytest.raises(ValueError, match="merged"):
        save_reward_model(untrained(base, **HOW[0]), processor, ("reward", "cost"), tmp_path)
