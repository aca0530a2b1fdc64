"""What the policy and its reference say about answers, in any layout and from pixels or kept features."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.toy_ppo import Scene, build_scene

from spavl.errors import UserError
from spavl.learning.base_model import adapter_targets
from spavl.learning.feature_cache import FeatureCache
from spavl.learning.pictures import KeptFeatures, Pictures
from spavl.learning.scoring import add_scoring
from spavl.learning.tree import PlainSequence, grow, tree_forward
from spavl.stages.training.ppo.policy import (
    AnswerBatch,
    add_value_head,
    as_batch,
    batch_of,
    check_dropout,
    check_reference,
    read_policy,
    read_reference,
)
from spavl.stages.training.ppo.rollouts import sample
from spavl.stages.training.ppo.sampling import prompt_key

ANSWERS = [(70, 71, 72, 2), (75, 2), (80, 81, 82)]


@pytest.fixture(scope="module", params=["llava_llama", "qwen2_vl"])
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return build_scene(request.param, tmp_path_factory.mktemp("pictures"))


def batch_for(scene: Scene) -> AnswerBatch:
    """Three answers to three prompts about one image."""
    prompts = scene.prompts[:3]
    sequences = [prompt.sequence(ids) for prompt, ids in zip(prompts, ANSWERS, strict=True)]
    return batch_of(sequences, [prompt.image for prompt in prompts], scene.vocabulary.pad_id)


def read(
    scene: Scene, batch: AnswerBatch, pictures: Pictures | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    pictures = pictures or scene.pictures
    with torch.no_grad():
        return read_policy(scene.model, pictures.attach(batch), pictures)


def test_places_are_those_that_predict_the_answers_tokens() -> None:
    # prompts of 2 and 3 tokens; a token is predicted one place before it stands
    sequences = [
        PlainSequence(0, (5, 6, 7, 8, 9), 2, (tuple(range(5)),)),
        PlainSequence(0, (5, 6, 6, 7), 3, (tuple(range(4)),)),
    ]
    batch = batch_of(sequences, ["a", "b"], 0)
    assert batch.places.tolist() == [[1, 2, 3], [5 + 2, 0, 0]]
    assert batch.mask.tolist() == [[True] * 3, [True, False, False]]


def test_log_probs_and_values_are_those_of_plain_forwards(scene: Scene) -> None:
    batch = batch_for(scene)
    logps, values = read(scene, batch)
    for row, (prompt, ids) in enumerate(zip(scene.prompts, ANSWERS, strict=False)):
        alone = scene.pictures.attach(batch_of([prompt.sequence(ids)], [prompt.image], 0))
        inputs = {"input_ids": alone.forward.input_ids, "position_ids": alone.forward.position_ids}
        with torch.no_grad():
            out = scene.model(**inputs, **alone.image_inputs, output_hidden_states=True)
        start, size = len(prompt.input_ids) - 1, len(ids)
        expected = out.logits[0, start:-1].log_softmax(-1).gather(1, torch.tensor(ids)[:, None])[:, 0]
        hidden = out.hidden_states[-1][0, start:-1]
        torch.testing.assert_close(logps[row, :size], expected, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(
            values[row, :size], scene.model.scalar_head(hidden)[:, 0], rtol=1e-5, atol=1e-5
        )
        assert not logps[row, size:].any() and not values[row, size:].any()


def test_a_tree_of_answers_reads_the_same(scene: Scene) -> None:
    prompts = scene.prompts[:3]
    sequences = [
        replace(p.sequence(ids), answer=n) for n, (p, ids) in enumerate(zip(prompts, ANSWERS, strict=True))
    ]
    tree = grow(prompts[0].image, sequences, scene.vlm.image_token_id)
    in_tree = as_batch(tree_forward([[tree]], scene.vocabulary.pad_id), 3)
    for seen, expected in zip(read(scene, in_tree), read(scene, batch_for(scene)), strict=True):
        torch.testing.assert_close(seen, expected, rtol=1e-5, atol=1e-5)


def test_kept_features_read_and_sample_as_pixels_do(scene: Scene, tmp_path: Path) -> None:
    files = scene.pictures._files
    kept = KeptFeatures(FeatureCache(10**8), {image: image for image in files})
    pictures = Pictures(scene.vlm.processor, scene.vlm.prompt("red"), files, kept)
    for seen, expected in zip(
        read(scene, batch_for(scene), pictures), read(scene, batch_for(scene)), strict=True
    ):
        torch.testing.assert_close(seen, expected, rtol=1e-5, atol=1e-6)
    keys = [prompt_key(0, prompt.id) for prompt in scene.prompts]
    pixels = scene.sampler()
    answers = [
        sample(scene.model, scene.prompts, keys, of) for of in (pixels, replace(pixels, pictures=pictures))
    ]
    assert [answer.ids for answer in answers[0]] == [answer.ids for answer in answers[1]]


def adapted(scene: Scene, *, trains_projector: bool = False) -> Any:
    """The scene's model in a PEFT wrapper, with adapters that have learnt something."""
    from peft import LoraConfig, get_peft_model

    add_scoring(scene.model)
    model = get_peft_model(scene.model, LoraConfig(r=2, target_modules=adapter_targets(scene.model)))
    add_value_head(model)
    for name, parameter in model.named_parameters():
        if trains_projector and "multi_modal_projector" in name:
            parameter.requires_grad_(True)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0.0, 0.1, generator=torch.Generator().manual_seed(0))
    return model.eval()


def test_with_adapters_the_reference_is_the_base(tmp_path: Path) -> None:
    base = build_scene("llava_llama", tmp_path)
    expected, _ = read(base, batch_for(base))
    scene = build_scene("llava_llama", tmp_path, has_values=False)
    model = adapted(scene)
    batch = scene.pictures.attach(batch_for(scene))
    with torch.no_grad():
        reference = read_reference(model, None, batch, scene.pictures)
        policy, _ = read_policy(model, batch, scene.pictures)
    torch.testing.assert_close(reference, expected, rtol=1e-6, atol=1e-6)
    assert (policy - expected).abs().max() > 1e-3


def test_without_adapters_the_reference_is_the_frozen_copy(tmp_path: Path) -> None:
    scene, other = build_scene("llava_llama", tmp_path), build_scene("llava_llama", tmp_path, seed=1)
    expected, _ = read(other, batch_for(other))
    batch = scene.pictures.attach(batch_for(scene))
    with torch.no_grad():
        seen = read_reference(scene.model, other.model, batch, scene.pictures)
    assert torch.equal(seen, expected)


def test_a_policy_without_a_reference_is_refused(tmp_path: Path) -> None:
    scene = build_scene("llava_llama", tmp_path)
    with pytest.raises(UserError, match="frozen copy"):
        check_reference(scene.model, None)
    check_reference(scene.model, scene.model)


def test_adapters_beside_other_trained_weights_are_refused(tmp_path: Path) -> None:
    check_reference(adapted(build_scene("llava_llama", tmp_path, has_values=False)), None)
    model = adapted(build_scene("llava_llama", tmp_path, has_values=False), trains_projector=True)
    with pytest.raises(UserError, match="outside the adapters"):
        check_reference(model, None)


def test_dropout_is_refused(tmp_path: Path) -> None:
    scene = build_scene("llava_llama", tmp_path)
    check_dropout(scene.model)
    scene.model.add_module("dropping", torch.nn.Dropout(0.1))
    with pytest.raises(UserError, match=r"dropout is 0\.1"):
        check_dropout(scene.model)
