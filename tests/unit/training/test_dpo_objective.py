"""DPO's loss and gradients are the same in both layouts, with pixels or kept features, however a step is cut, on every architecture."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.tiny_vlms import build, draw_image

from spavl.artifacts.store import open_store
from spavl.learning.encoding import PairEncoder, usable_pairs
from spavl.learning.feature_cache import FeatureCache
from spavl.learning.pairs import Pair
from spavl.learning.pictures import KeptFeatures, Pictures
from spavl.learning.references import ReferenceCache, Terms
from spavl.learning.rendering import any_prompt, stop_tokens
from spavl.learning.scoring import add_scoring
from spavl.learning.steps import Layout
from spavl.stages.training.config import TrainingConfig
from spavl.stages.training.dpo_objective import DpoObjective, References

NAMES = ("llava_llama", "llava_qwen2", "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "idefics3", "smolvlm")
QUESTIONS = ("what is shown here", "is it a star", "what is red")
TERMS = Terms("base", "", "processor", "template", "float32", "sdpa", "code")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> list[Pair]:
    """Three questions about each of two images."""
    folder = tmp_path_factory.mktemp("images")
    made = []
    for image in ("star", "moon"):
        draw_image(image).save(folder / image, "PNG")
        made += [
            Pair(
                f"{image}/{k}",
                folder / image,
                question,
                "a red star",
                "sorry, I cannot",
                image_id=image,
                margin=(k + 1) / 3,
            )
            for k, question in enumerate(QUESTIONS)
        ]
    return made


def step_of(
    tiny, pairs, folder: Path, *, is_tree: bool, keeps: bool, max_forward_tokens: int = 10_000, **settings
):
    """Loss, and gradients of all trained weights, of one step of all pairs, half of the way to another policy."""
    model = tiny.model
    add_scoring(model)
    stop = stop_tokens(tiny.processor, model.generation_config)
    encoded, _ = usable_pairs(pairs, PairEncoder(model, tiny.processor), stop, 512)
    files = {pair.image_id: pair.image for pair in pairs}
    kept = KeptFeatures(FeatureCache(10**9), {image: image for image in files}) if keeps else None
    pictures = Pictures(tiny.processor, any_prompt(tiny.processor), files, kept)
    layout = Layout(is_tree, tiny.pad_id, tiny.image_token_id, max_forward_tokens)
    references = References(
        encoded, TERMS, ReferenceCache(open_store(f"file://{folder}"), TERMS), layout, pictures
    )
    config = TrainingConfig(global_batch_size=6, **settings)
    objective = DpoObjective(encoded, config, layout, pictures, references)
    objective.before_step(model, 0)
    with torch.no_grad():  # away from the reference, or every margin is zero
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.mul_(1.05)
    model.zero_grad()
    loss = 0.0
    for forward in objective.forwards(0, 0, 1):
        part = objective.loss(model, forward).loss
        part.backward()
        loss += part.item()
    gradients = {
        n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None and p.requires_grad
    }
    return loss, gradients


def assert_same(found, expected) -> None:
    assert found[0] == pytest.approx(expected[0], rel=1e-5)
    assert found[1].keys() == expected[1].keys() and found[1]
    for name, gradient in expected[1].items():
        error = (found[1][name] - gradient).norm() / gradient.norm().clamp(min=1e-6)
        assert error < 2e-5, f"{name}: {error:.1e}"


@pytest.mark.parametrize("name", NAMES)
def test_shared_prefixes_and_kept_features_change_neither_loss_nor_gradients(name, pairs, tmp_path):
    expected = step_of(build(name), pairs, tmp_path / "plain", is_tree=False, keeps=False)
    assert_same(step_of(build(name), pairs, tmp_path / "tree", is_tree=True, keeps=True), expected)


@pytest.mark.parametrize("loss", ["sigmoid", "ipo", "margin_weight", "margin_beta"])
def test_a_step_in_many_forwards_is_the_same_step(loss, pairs, tmp_path):
    one = step_of(build("llava_llama"), pairs, tmp_path / "one", is_tree=True, keeps=True, loss=loss)
    many = step_of(
        build("llava_llama"),
        pairs,
        tmp_path / "many",
        is_tree=True,
        keeps=True,
        loss=loss,
        max_forward_tokens=50,
    )
    assert_same(many, one)


def test_references_that_are_kept_are_not_computed_again(pairs, tmp_path):
    step_of(build("llava_llama"), pairs, tmp_path, is_tree=True, keeps=True)
    store = open_store(f"file://{tmp_path}")
    (kept,) = [store.read(path) for path in store.walk("references")]
    step_of(
        build("llava_llama", seed=1), pairs, tmp_path, is_tree=True, keeps=True
    )  # would give other numbers
    assert [store.read(path) for path in store.walk("references")] == [kept]
