"""A head reads last hidden states inside the model's own forward, alone or beside the scores."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests import tiny_vlms
from torch.utils._python_dispatch import TorchDispatchMode

from spavl.learning.heads import HEAD, add_head, head_of, text_arguments
from spavl.learning.scoring import add_scoring
from spavl.learning.tree import Forward, plain_forward
from spavl.learning.vision import join_image_inputs


def scene(vlm: tiny_vlms.TinyVlm) -> tuple[Forward, dict[str, Any]]:
    """Two answers about one image in the plain layout, and the model's arguments for it."""
    image = tiny_vlms.draw_image("star")
    sequences = vlm.sequences(image, {"what is shown here": ["a red square", "no"]})
    forward = plain_forward(sequences, vlm.pad_id, ["star", "star"])
    images = join_image_inputs([vlm.image_inputs(image)] * 2)
    return forward, text_arguments(vlm.model, forward) | images


def with_lora(model: Any) -> Any:
    from peft import LoraConfig, get_peft_model

    return get_peft_model(model, LoraConfig(r=2, target_modules=r".*language_model.*q_proj"))


def test_outputs_are_the_heads_on_the_states_at_the_places() -> None:
    vlm = tiny_vlms.build("llava_llama")
    head = add_head(vlm.model, 2, seed=0)
    forward, arguments = scene(vlm)
    places = torch.tensor([[3, 0], [forward.input_ids.shape[1] + 1, 2]])
    hidden = vlm.model.model(**arguments).last_hidden_state
    outputs = vlm.model(**arguments, head_at=places)
    expected = torch.stack([hidden[0, 3], hidden[0, 0], hidden[1, 1], hidden[0, 2]]) @ head.weight.T
    torch.testing.assert_close(outputs, expected.view(2, 2, 2), rtol=1e-5, atol=1e-6)


def test_scores_beside_a_head_are_the_scores_alone() -> None:
    vlm = tiny_vlms.build("qwen3_vl")
    add_scoring(vlm.model)
    add_head(vlm.model, 1, seed=0)
    forward, arguments = scene(vlm)
    labels, places = forward.shift_labels, torch.tensor([1, 5])
    both = vlm.model(**arguments, shift_labels=labels, scored=True, head_at=places)
    assert torch.equal(both[0], vlm.model(**arguments, shift_labels=labels, scored=True))
    assert torch.equal(both[1], vlm.model(**arguments, head_at=places))


def test_without_a_seed_outputs_and_their_pull_on_the_trunk_are_zero() -> None:
    vlm = tiny_vlms.build("llava_llama")
    add_head(vlm.model, 1)
    _, arguments = scene(vlm)
    outputs = vlm.model(**arguments, head_at=torch.tensor([4]))
    (outputs - 3.0).square().sum().backward()
    assert outputs.item() == 0.0
    assert head_of(vlm.model).weight.grad.norm() > 0
    assert all(
        not p.grad.any()
        for name, p in vlm.model.named_parameters()
        if HEAD not in name and p.grad is not None
    )


def test_a_head_added_after_peft_is_trained_with_the_adapters() -> None:
    vlm = tiny_vlms.build("llava_llama")
    model = with_lora(vlm.model)
    add_head(model.get_base_model(), 1, seed=0)
    _, arguments = scene(vlm)
    model(**arguments, head_at=torch.tensor([4])).sum().backward()
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert {f"base_model.model.{HEAD}.weight", f"base_model.model.{HEAD}.bias"} <= trained
    assert all("lora" in name or HEAD in name for name in trained)
    assert {name for name, p in model.named_parameters() if p.grad is not None} == trained


def test_a_head_stays_exact_under_autocast() -> None:
    vlm = tiny_vlms.build("llava_llama")
    head = add_head(vlm.model, 1, seed=0)
    hidden = torch.randn(3, 32, generator=torch.Generator().manual_seed(0))
    exact = head(hidden)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(head(hidden), exact)
        assert not torch.equal((hidden @ head.weight.T).float(), exact)


def test_no_word_is_projected_for_a_head_alone() -> None:
    vlm = tiny_vlms.build("llava_llama")
    add_head(vlm.model, 1, seed=0)
    _, arguments = scene(vlm)
    vocabulary, shapes = vlm.model.lm_head.out_features, []

    class Shapes(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            made = function(*args, **(kwargs or {}))
            if isinstance(made, torch.Tensor):
                shapes.append(made.shape)
            return made

    with torch.no_grad(), Shapes():
        vlm.model(**arguments, head_at=torch.tensor([4]))
    assert len(shapes) > 100
    assert not any(vocabulary in shape for shape in shapes)


@pytest.mark.parametrize("name", ["llava_qwen2", "qwen2_5_vl", "smolvlm"])
def test_generation_is_as_before(name: str) -> None:
    vlm = tiny_vlms.build(name)
    _, arguments = scene(vlm)
    images = {n: v for n, v in arguments.items() if n in tiny_vlms.IMAGE_INPUTS}
    asked = {"input_ids": arguments["input_ids"], "attention_mask": arguments["attention_mask"], **images}
    before = vlm.model.generate(**asked, max_new_tokens=4, do_sample=False)
    add_scoring(vlm.model)
    add_head(vlm.model, 1, seed=0)
    assert torch.equal(vlm.model.generate(**asked, max_new_tokens=4, do_sample=False), before)
