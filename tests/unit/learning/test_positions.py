"""Positions of plain sequences: those that each model would give itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests import tiny_vlms

from spavl.learning.positions import prompt_positions, with_answer

QWEN = ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"]


def test_a_model_without_image_grids_counts_from_zero() -> None:
    vlm = tiny_vlms.build("llava_llama")
    assert prompt_positions(vlm.model, [5, 6, 7]).tolist() == [[0, 1, 2]]


def test_an_answer_goes_on_from_the_largest_position() -> None:
    # an image of 2 x 1 patches from position 1 on, then one word
    prompt = np.array([[0, 1, 1, 3], [0, 1, 2, 3], [0, 1, 1, 3]])
    assert with_answer(prompt, 2).tolist() == [[0, 1, 1, 3, 4, 5], [0, 1, 2, 3, 4, 5], [0, 1, 1, 3, 4, 5]]


def test_image_tokens_take_their_row_and_column() -> None:
    vlm = tiny_vlms.build("qwen2_vl")
    prompt = [9, *[vlm.image_token_id] * 6, 8]
    positions = prompt_positions(vlm.model, prompt, torch.tensor([[1, 4, 6]]))  # 2 x 3 merged patches
    assert positions.tolist() == [
        [0, 1, 1, 1, 1, 1, 1, 4],
        [0, 1, 1, 1, 2, 2, 2, 4],
        [0, 1, 2, 3, 1, 2, 3, 4],
    ]


@pytest.mark.parametrize("name", QWEN)
def test_positions_of_a_whole_sequence_are_the_models_own(name: str) -> None:
    vlm = tiny_vlms.build(name)
    image = tiny_vlms.draw_image("star")
    (sequence,) = vlm.sequences(image, {"what is shown here": ["a red square"]})
    read = vlm.processor(images=[[image]], text=[vlm.prompt("what is shown here")], return_tensors="pt")
    ids = torch.tensor([sequence.input_ids])
    types = torch.zeros_like(ids)
    types[:, : sequence.num_prompt] = read["mm_token_type_ids"]
    own, _ = vlm.model.model.get_rope_index(
        ids,
        mm_token_type_ids=types,
        image_grid_thw=read["image_grid_thw"],
        attention_mask=torch.ones_like(ids),
    )
    assert torch.tensor(sequence.positions).tolist() == own[:, 0].tolist()


def test_a_model_with_grids_refuses_a_prompt_without_one() -> None:
    with pytest.raises(ValueError, match="image grids"):
        prompt_positions(tiny_vlms.build("qwen3_vl").model, [1, 2, 3])


def test_a_model_that_counts_in_an_unknown_way_is_refused() -> None:
    inner = tiny_vlms.build("llava_llama").model.model
    inner.__class__ = type("Other", (type(inner),), {"get_rope_index": lambda self, input_ids: input_ids})
    with pytest.raises(ValueError, match="Other counts positions in an unknown way"):
        prompt_positions(inner, [1, 2, 3])
