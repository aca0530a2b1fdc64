"""The frozen tower's kept output gives the forward and the gradients of the pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from tests import tiny_vlms

from spavl.learning.scoring import add_scoring
from spavl.learning.tree import Forward, grow, pack, tree_forward
from spavl.learning.vision import encoder_outputs, features_allowed, join_image_inputs, tower_features

ARCHITECTURES = sorted(set(tiny_vlms.ARCHITECTURES) - {"llava_mistral"})
IMAGES = sorted(tiny_vlms.SIDES_PX)


@dataclass
class Read:
    scores: torch.Tensor
    gradients: dict[str, torch.Tensor]


def build(name: str) -> tiny_vlms.TinyVlm:
    vlm = tiny_vlms.build(name)
    add_scoring(vlm.model)
    return vlm


def forward_of(vlm: tiny_vlms.TinyVlm) -> Forward:
    """Two answers about each of three images of different sizes, packed into rows."""
    trees = []
    for number, image in enumerate(IMAGES):
        answers = {"what is shown here": ["a red square", "no"]}
        made = vlm.sequences(tiny_vlms.draw_image(image), answers, 2 * number)
        trees.append(grow(image, made, vlm.image_token_id))
    return tree_forward(pack(trees, 110), vlm.pad_id)


def read(vlm: tiny_vlms.TinyVlm, forward: Forward, **images: Any) -> Read:
    vlm.model.zero_grad()
    scores = vlm.model(
        input_ids=forward.input_ids,
        attention_mask=forward.attention_mask,
        position_ids=forward.position_ids,
        shift_labels=forward.shift_labels,
        scored=True,
        **images,
    )
    weights = torch.randn(scores.shape, generator=torch.Generator().manual_seed(0))
    (scores * weights).sum().backward()
    trained = {name: p.grad.float() for name, p in vlm.model.named_parameters() if p.requires_grad}
    return Read(scores.detach(), {name: grad.clone() for name, grad in trained.items()})


def from_pixels(vlm: tiny_vlms.TinyVlm, forward: Forward) -> Read:
    inputs = [vlm.image_inputs(tiny_vlms.draw_image(image)) for image in forward.images]
    return read(vlm, forward, **join_image_inputs(inputs))


def from_features(vlm: tiny_vlms.TinyVlm, forward: Forward) -> Read:
    kept = {
        image: tower_features(vlm.model, vlm.image_inputs(tiny_vlms.draw_image(image))) for image in IMAGES
    }
    outputs = encoder_outputs(vlm.model, [kept[image] for image in forward.images])
    return read(vlm, forward, mm_encoder_outputs=outputs)


def relative(mine: torch.Tensor, theirs: torch.Tensor) -> float:
    return float((mine - theirs).norm() / theirs.norm())


def gradient_error(mine: Read, theirs: Read) -> float:
    assert mine.gradients.keys() == theirs.gradients.keys()
    return max(relative(mine.gradients[name], grad) for name, grad in theirs.gradients.items())


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_scores_and_gradients_are_those_of_the_pixels(name: str) -> None:
    vlm = build(name)
    forward = forward_of(vlm)
    pixels, features = from_pixels(vlm, forward), from_features(vlm, forward)
    assert relative(features.scores, pixels.scores) <= 1e-6  # measured: 0
    assert gradient_error(features, pixels) <= 1e-6  # measured: 2e-7 on qwen2_5_vl, else 0


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_in_bfloat16_only_the_towers_batch_size_makes_a_difference(name: str) -> None:
    vlm = build(name)
    vlm.model.bfloat16()
    forward = forward_of(vlm)
    pixels, features = from_pixels(vlm, forward), from_features(vlm, forward)
    assert relative(features.scores, pixels.scores) <= 1e-2  # measured: 2.3e-3 on llava, else 0
    assert gradient_error(features, pixels) <= 0.15  # measured: 6e-2 on llava, else 0


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_projector_learns_from_kept_features_and_the_tower_is_not_run(name: str) -> None:
    vlm = build(name)
    forward = forward_of(vlm)
    kept = [tower_features(vlm.model, vlm.image_inputs(tiny_vlms.draw_image(i))) for i in forward.images]
    tower_runs: list[str] = []
    for part, module in vlm.model.named_modules():
        if tiny_vlms.in_tower(part):
            module.register_forward_hook(lambda *_, part=part: tower_runs.append(part))
    seen = read(vlm, forward, mm_encoder_outputs=encoder_outputs(vlm.model, kept))
    words = ("multi_modal_projector", "connector", "merger", "deepstack_merger_list")
    projector = {n: g for n, g in seen.gradients.items() if set(n.split(".")) & set(words)}
    assert projector
    assert all(grad.norm() > 0 for grad in projector.values())
    assert tower_runs == []


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_features_of_another_picture_give_other_scores(name: str) -> None:
    vlm = build(name)
    image = tiny_vlms.draw_image("sun")
    made = vlm.sequences(image, {"what is shown here": ["a red square"]})
    forward = tree_forward([[grow("sun", made, vlm.image_token_id)]], vlm.pad_id)
    right, wrong = (
        read(vlm, forward, mm_encoder_outputs=encoder_outputs(vlm.model, [features])).scores
        for features in (
            tower_features(vlm.model, vlm.image_inputs(image)),
            tower_features(vlm.model, vlm.image_inputs(image.rotate(180))),
        )
    )
    assert relative(wrong, right) > 1e-3


def test_windowed_patches_are_kept_in_the_order_of_the_image() -> None:
    from transformers.vision_utils import get_vision_window_index

    vlm = build("qwen2_5_vl")
    inputs = vlm.image_inputs(tiny_vlms.draw_image("star"))
    windows, _ = get_vision_window_index(inputs["image_grid_thw"], 2, 16, 4)
    assert windows.tolist() != sorted(windows.tolist())  # 4 x 3 merged patches do not fit into one window
    kept = tower_features(vlm.model, inputs)["projector"]
    with torch.no_grad():
        merged = vlm.model.model.visual.merger(kept)
        own = vlm.model.model.get_image_features(**inputs).pooler_output[0]
    torch.testing.assert_close(merged, own, rtol=1e-6, atol=1e-6)


def test_features_hold_no_graph() -> None:
    vlm = build("qwen3_vl")
    kept = tower_features(vlm.model, vlm.image_inputs(tiny_vlms.draw_image("star")))
    assert sorted(kept) == ["deepstack_0", "deepstack_1", "projector"]
    assert not any(tensor.requires_grad for tensor in kept.values())


def test_adapters_on_the_projector_are_trained_from_kept_features() -> None:
    from dataclasses import replace

    from peft import LoraConfig, get_peft_model

    vlm = build("llava_llama")
    torch.manual_seed(0)
    config = LoraConfig(r=2, target_modules=["linear_1", "linear_2"], init_lora_weights=False)
    vlm = replace(vlm, model=get_peft_model(vlm.model, config))
    assert features_allowed(vlm.model) is None
    forward = forward_of(vlm)
    pixels, features = from_pixels(vlm, forward), from_features(vlm, forward)
    assert len(pixels.gradients) == 4  # A and B of two layers
    assert gradient_error(features, pixels) <= 1e-6


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_features_may_be_kept_while_the_tower_is_frozen(name: str) -> None:
    assert features_allowed(build(name).model) is None


def test_features_are_refused_where_adapters_are_in_the_tower() -> None:
    from peft import LoraConfig, get_peft_model

    wrapped = get_peft_model(build("llava_llama").model, LoraConfig(r=2, target_modules="all-linear"))
    assert "parameters of the vision tower are trained" in features_allowed(wrapped)


def test_features_are_refused_where_one_parameter_of_the_tower_is_trained() -> None:
    vlm = build("qwen2_vl")
    vlm.model.model.visual.patch_embed.proj.weight.requires_grad_(True)
    assert "1 parameters of the vision tower are trained (patch_embed.proj.weight" in features_allowed(
        vlm.model
    )


def test_features_are_refused_for_an_unknown_tower() -> None:
    vlm = build("llava_llama")
    vlm.model.config.model_type = "llava_next"
    assert "'llava_next' is not known" in features_allowed(vlm.model)


def test_a_forward_without_images_is_refused() -> None:
    with pytest.raises(ValueError, match="every forward has an image"):
        join_image_inputs([])
