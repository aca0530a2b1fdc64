"""The tree layout gives the plain layout's log-probabilities and gradients, on every architecture that may use it.

Nine answers about three images: six to three questions about a star (questions that begin alike, one a prefix of another),
two to one question about a moon, one about a sun. The trees are packed into rows of unequal length, so some are padded.
Measured largest errors over all architectures and attentions: float32 4e-7 relative in a log-prob and 2e-6 in a
gradient, bfloat16 2e-3 and 4e-2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from tests import tiny_vlms

from spavl.learning.attention import IN_BLOCKS, attend_in_blocks
from spavl.learning.scoring import add_scoring
from spavl.learning.support import tree_support
from spavl.learning.tree import (
    Forward,
    PlainSequence,
    answer_logps,
    grow,
    mask_for,
    pack,
    plain_forward,
    tree_forward,
)
from spavl.learning.vision import join_image_inputs

EXACT = 1e-5  # relative, float32
MAX_ROW_TOKENS = 115
ARCHITECTURES = sorted(tiny_vlms.ARCHITECTURES)
ATTENTIONS = ["sdpa", "eager", IN_BLOCKS]
ANSWERS = {
    "star": {
        "what is shown here": ["a red square", "sorry I cannot"],
        "what is shown here I": ["sure a red square", "a red circle"],
        "red": ["sure", "I cannot help with that"],
    },
    "moon": {"what is shown here": ["a blue square", "a green star"]},
    "sun": {"a circle": ["sorry"]},
}
NUM_ANSWERS = 9


@dataclass
class Read:
    """What one layout gives: log-prob of every answer token, in the order of answers, and gradients by name."""

    logps: torch.Tensor
    gradients: dict[str, torch.Tensor]


@dataclass
class Errors:
    """Largest relative error of a log-prob, and of a gradient by its norm."""

    logps: float
    gradients: float


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows here are shorter than a block is in use; 115 tokens are seven blocks of 16 and a rest."""
    monkeypatch.setattr("spavl.learning.attention.BLOCK_TOKENS", 16)


def build(name: str, attention: str = "sdpa") -> tiny_vlms.TinyVlm:
    settings = {"sliding_window": None} if name == "llava_mistral" else {}
    vlm = tiny_vlms.build(name, attention="sdpa" if attention == IN_BLOCKS else attention, **settings)
    if attention == IN_BLOCKS:
        attend_in_blocks(vlm.model)
    add_scoring(vlm.model)
    return vlm


def sequences_of(vlm: tiny_vlms.TinyVlm) -> dict[str, list[PlainSequence]]:
    made: dict[str, list[PlainSequence]] = {}
    for image, answers in ANSWERS.items():
        first = sum(map(len, made.values()))
        made[image] = vlm.sequences(tiny_vlms.draw_image(image), answers, first)
    return made


def in_trees(vlm: tiny_vlms.TinyVlm) -> Forward:
    trees = [grow(image, made, vlm.image_token_id) for image, made in sequences_of(vlm).items()]
    return tree_forward(pack(trees, MAX_ROW_TOKENS), vlm.pad_id)


def one_by_one(vlm: tiny_vlms.TinyVlm) -> Forward:
    pairs = [(image, sequence) for image, made in sequences_of(vlm).items() for sequence in made]
    return plain_forward([sequence for _, sequence in pairs], vlm.pad_id, [image for image, _ in pairs])


def scores(vlm: tiny_vlms.TinyVlm, forward: Forward, attention: str, mask: Any = None) -> torch.Tensor:
    """Log-prob of every position [B, L]; `vlm.model` may have been wrapped meanwhile."""
    inputs = join_image_inputs([vlm.image_inputs(tiny_vlms.draw_image(image)) for image in forward.images])
    return vlm.model(
        input_ids=forward.input_ids,
        attention_mask=mask_for(forward, attention, vlm.model.dtype) if mask is None else mask,
        position_ids=forward.position_ids,
        shift_labels=forward.shift_labels,
        scored=True,
        **inputs,
    )


def read(vlm: tiny_vlms.TinyVlm, forward: Forward, attention: str = "sdpa", mask: Any = None) -> Read:
    vlm.model.zero_grad()
    per_token = scores(vlm, forward, attention, mask)
    by_answer = torch.cat([per_token[forward.answers == answer] for answer in range(NUM_ANSWERS)])
    weights = torch.randn(len(by_answer), generator=torch.Generator().manual_seed(1))
    (by_answer * weights).sum().backward()
    trained = {name: p.grad.float() for name, p in vlm.model.named_parameters() if p.requires_grad}
    return Read(by_answer.detach(), {name: grad.clone() for name, grad in trained.items()})


def compare(tree: Read, plain: Read) -> Errors:
    assert tree.gradients.keys() == plain.gradients.keys() != set()
    assert all(grad.norm() > 0 for grad in plain.gradients.values())
    return Errors(
        float(((tree.logps - plain.logps) / plain.logps).abs().max()),
        max(float((tree.gradients[n] - g).norm() / g.norm()) for n, g in plain.gradients.items()),
    )


def errors(vlm: tiny_vlms.TinyVlm, attention: str = "sdpa") -> Errors:
    return compare(
        read(vlm, in_trees(vlm), attention),
        read(vlm, one_by_one(vlm), attention),
    )


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_scores_and_gradients_equal_the_plain_layouts(name: str, attention: str) -> None:
    vlm = build(name, attention)
    assert tree_support(vlm.model) is None
    seen = errors(vlm, attention)
    assert seen.logps <= EXACT
    assert seen.gradients <= EXACT


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_compared_forward_packs_trees_and_pads_rows(name: str) -> None:
    vlm = build(name)
    forward = in_trees(vlm)
    assert len(forward.input_ids) == 2
    assert sorted(forward.images) == ["moon", "star", "sun"]
    assert (forward.input_ids == vlm.pad_id).any()
    assert forward.input_ids.numel() < 0.8 * one_by_one(vlm).input_ids.numel()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_adapters_get_the_plain_layouts_gradients(name: str) -> None:
    from peft import LoraConfig, get_peft_model

    vlm = build(name)
    targets = [
        part
        for part, module in vlm.model.named_modules()
        if isinstance(module, torch.nn.Linear) and part != "lm_head" and not tiny_vlms.in_tower(part)
    ]
    torch.manual_seed(0)
    # not initialised: B is drawn, so that the adapters count from the start
    config = LoraConfig(r=2, lora_alpha=4, target_modules=targets, init_lora_weights=False)
    vlm = replace(vlm, model=get_peft_model(vlm.model, config))
    seen = errors(vlm)
    assert seen.logps <= EXACT
    assert seen.gradients <= EXACT


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_activation_checkpointing_changes_nothing(name: str) -> None:
    vlm = build(name)
    plain = read(vlm, one_by_one(vlm))
    layer_runs = []
    vlm.model.get_decoder().layers[0].input_layernorm.register_forward_hook(lambda *_: layer_runs.append(1))
    vlm.model.train()
    vlm.model.activation_checkpointing_enable({"use_reentrant": False})
    seen = compare(read(vlm, in_trees(vlm)), plain)
    assert len(layer_runs) == 2  # forward, and again in backward
    assert seen.logps <= EXACT
    assert seen.gradients <= EXACT


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_in_bfloat16_the_layouts_differ_by_rounding_only(name: str) -> None:
    vlm = build(name)
    vlm.model.bfloat16()
    seen = errors(vlm)
    assert seen.logps <= 5e-3
    assert seen.gradients <= 0.1


@pytest.mark.parametrize("name", ["llava_llama", "qwen3_vl"])
def test_sums_by_answer_agree_between_the_layouts(name: str) -> None:
    vlm = build(name)
    sums = []
    with torch.no_grad():
        for forward in (in_trees(vlm), one_by_one(vlm)):
            sums.append(answer_logps(scores(vlm, forward, "sdpa"), forward.answers, NUM_ANSWERS))
    torch.testing.assert_close(sums[0], sums[1], rtol=EXACT, atol=0)


@pytest.mark.parametrize("name", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
def test_plain_forwards_stand_where_the_model_itself_would_put_them(name: str) -> None:
    vlm = build(name)
    forward = one_by_one(vlm)
    own = replace(forward, position_ids=None)
    is_image = (forward.input_ids == vlm.image_token_id).int()
    inputs = join_image_inputs([vlm.image_inputs(tiny_vlms.draw_image(image)) for image in forward.images])
    with torch.no_grad():
        counted_by_model = vlm.model(
            input_ids=own.input_ids,
            attention_mask=own.attention_mask,
            mm_token_type_ids=is_image,
            shift_labels=own.shift_labels,
            scored=True,
            **inputs,
        )
        assert torch.equal(scores(vlm, forward, "sdpa"), counted_by_model)


def with_row_positions(forward: Forward) -> Forward:
    """Mutation: positions are indices in the row."""
    index = torch.arange(forward.input_ids.shape[1])
    return replace(forward, position_ids=index.expand_as(forward.position_ids).contiguous())


def with_sibling_shown(forward: Forward) -> Forward:
    """Mutation: the second answer of the first tree sees the first one's tokens."""
    first, second = ((forward.answers == answer).nonzero() for answer in (0, 1))
    mask = forward.attention_mask.clone()
    for row, query in second.tolist():
        keys = [key for of_row, key in first.tolist() if of_row == row]
        mask[row, 0, query, keys] = True
    assert not torch.equal(mask, forward.attention_mask)
    return replace(forward, attention_mask=mask)


@pytest.mark.parametrize("mutation", [with_row_positions, with_sibling_shown])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_wrong_positions_and_leaking_masks_are_seen(
    name: str, mutation: Callable[[Forward], Forward]
) -> None:
    vlm = build(name)
    seen = compare(read(vlm, mutation(in_trees(vlm))), read(vlm, one_by_one(vlm)))
    assert seen.logps > 10 * EXACT
    assert seen.gradients > 10 * EXACT


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_boolean_mask_under_eager_attention_is_seen(name: str) -> None:
    vlm = build(name, "eager")
    forward = in_trees(vlm)
    seen = compare(
        read(vlm, forward, "eager", mask=forward.attention_mask), read(vlm, one_by_one(vlm), "eager")
    )
    assert seen.logps > 10 * EXACT
    assert seen.gradients > 10 * EXACT


def test_a_model_with_a_window_goes_the_plain_way_because_its_tree_would_be_wrong() -> None:
    vlm = tiny_vlms.build("llava_mistral", sliding_window=16)
    add_scoring(vlm.model)
    assert "window" in tree_support(vlm.model)
    assert errors(vlm).logps > 10 * EXACT
