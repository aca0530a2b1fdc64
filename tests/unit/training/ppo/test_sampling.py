"""A sampled answer depends on its prompt, the seed and the weights, and on nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from tests.toy_ppo import Scene, build_scene

from spavl.learning.heads import text_arguments
from spavl.stages.training.ppo.policy import batch_of
from spavl.stages.training.ppo.rollouts import prompt_batch, sample
from spavl.stages.training.ppo.sampling import Answer, KeyedSampling, gumbel_noise, prompt_key

ARCHITECTURES = ["llava_llama", "qwen2_vl", "smolvlm"]
WORD = (1 << 64) - 1


def split_mix(state: int) -> int:
    """SplitMix64's output function on plain integers, as published."""
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & WORD
    return state ^ (state >> 31)


def test_noise_is_the_published_generator_on_every_machine() -> None:
    key, token = -123456789, 3
    start = split_mix((key + (token + 1) * 0xDB4F0B9175AE2165) & WORD)
    outputs = [split_mix((start + word * 0x9E3779B97F4A7C15) & WORD) for word in range(1, 6)]
    uniform = [((output >> 24) + 0.5) / 2**40 for output in outputs]
    expected = [-np.log(-np.log1p(-u)) for u in uniform]
    assert gumbel_noise(torch.tensor([key]), token, 5)[0].tolist() == pytest.approx(expected, rel=1e-5)


def test_noise_is_gumbel_and_of_one_word_independent_of_another() -> None:
    keys = torch.tensor([prompt_key(0, f"prompt {n}") for n in range(3)])
    tokens = [gumbel_noise(keys, token, 20_000) for token in (0, 1, 2)]
    for noise in torch.stack(tokens).flatten(0, 1):
        assert stats.kstest(noise.numpy(), "gumbel_r").pvalue > 1e-3
    rows = torch.stack(tokens).flatten(0, 1)
    shifted = rows.roll(1, dims=1)  # the next word's
    correlations = np.corrcoef(torch.cat([rows, shifted]).numpy()) - np.eye(18)
    assert np.abs(correlations).max() < 0.03  # 4 deviations of 1 / sqrt(20,000)


def test_draws_follow_the_softmax() -> None:
    logits = torch.tensor([2.0, 0.0, 1.0, -1.0, -3.0])
    keys = torch.tensor([prompt_key(7, f"prompt {n}") for n in range(20_000)])
    draws = (logits + gumbel_noise(keys, 4, 5)).argmax(dim=1)
    expected = logits.double().softmax(0) * len(keys)
    assert stats.chisquare(torch.bincount(draws, minlength=5), expected).pvalue > 1e-3


def test_noise_that_lets_rare_words_win_is_as_frequent_as_it_should() -> None:
    # above 15 with a probability of 3.06e-7, which is 9.2 times in 30 million
    keys = torch.tensor([prompt_key(1, f"prompt {n}") for n in range(30)])
    large = sum(int((gumbel_noise(of, 0, 1_000_000) > 15).sum()) for of in keys.split(2))
    assert stats.binomtest(large, 30_000_000, -np.expm1(-np.exp(-15))).pvalue > 1e-3


def test_noise_differs_by_seed_prompt_token_and_row() -> None:
    keys = {prompt_key(0, "a"), prompt_key(1, "a"), prompt_key(0, "b"), prompt_key(0, "a", 1)}
    assert len(keys) == 4
    noise = torch.cat([gumbel_noise(torch.tensor(sorted(keys)), token, 10) for token in (0, 1)])
    assert len({tuple(row.tolist()) for row in noise}) == 8


@pytest.fixture(scope="module", params=ARCHITECTURES)
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return build_scene(request.param, tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return build_scene("llava_llama", tmp_path_factory.mktemp("pictures"))


def answers_of(scene: Scene, batches: Sequence[Sequence[int]], **settings: Any) -> dict[int, Answer]:
    """The answers to these prompts, by number."""
    sampler = scene.sampler(**settings)
    made = {}
    for numbers in batches:
        prompts = [scene.prompts[number] for number in numbers]
        keys = [prompt_key(0, prompt.id) for prompt in prompts]
        made |= dict(zip(numbers, sample(scene.model, prompts, keys, sampler), strict=True))
    return made


def test_answers_at_batch_1_are_those_at_batch_9_token_for_token(scene: Scene) -> None:
    assert len({len(prompt.input_ids) for prompt in scene.prompts}) > 2
    alone = answers_of(scene, [[number] for number in range(9)])
    together = answers_of(scene, [range(9)])
    mixed = answers_of(scene, [[8, 0, 4], [5, 1], [2, 7, 3, 6]])
    for number in range(9):
        assert alone[number].ids == together[number].ids == mixed[number].ids
        assert alone[number].entropies == pytest.approx(together[number].entropies, rel=1e-4)
    assert len({answer.ids for answer in alone.values()}) == 9


def step_by_step(scene: Scene, number: int, num_tokens: int) -> tuple[list[int], list[float]]:
    """An answer and its entropies, by a whole forward without padding or kept keys for each token."""
    prompt, ids, entropies = scene.prompts[number], [], []
    never = list(scene.vocabulary.never_ids)
    for token in range(num_tokens):
        whole = batch_of([prompt.sequence([*ids, 0])], [prompt.image], scene.vocabulary.pad_id)
        batch = scene.pictures.attach(whole)
        with torch.no_grad():
            arguments = text_arguments(scene.model, batch.forward) | scene.pictures.arguments(
                scene.model, batch
            )
            logits = scene.model(**arguments).logits[0, -2]
        logits[never] = -torch.inf
        entropies.append(float(torch.distributions.Categorical(logits=logits).entropy()))
        noise = gumbel_noise(torch.tensor([prompt_key(0, prompt.id)]), token, len(logits))[0]
        ids.append(int((logits + noise).argmax()))
        if ids[-1] in scene.vocabulary.stop_ids:
            break
    return ids, entropies


def test_answers_are_those_of_whole_forwards_plus_noise(scene: Scene) -> None:
    made = answers_of(scene, [range(9)], max_new_tokens=5)
    for number in (0, 4, 8):
        ids, entropies = step_by_step(scene, number, 5)
        assert list(made[number].ids) == ids
        assert made[number].entropies == pytest.approx(entropies, rel=1e-4)


def test_another_seed_gives_other_answers(llava: Scene) -> None:
    prompts = llava.prompts
    of_seeds = [
        sample(llava.model, prompts, [prompt_key(seed, p.id) for p in prompts], llava.sampler())
        for seed in (0, 1)
    ]
    assert all(first.ids != second.ids for first, second in zip(*of_seeds, strict=True))


def test_answers_end_with_their_first_stop_token(llava: Scene) -> None:
    made = answers_of(llava, [range(9)], max_new_tokens=120).values()
    (stop,) = llava.vocabulary.stop_ids
    stopped = [answer for answer in made if answer.is_stopped]
    assert 0 < len(stopped) < 9
    assert all(answer.ids.count(stop) == 1 and answer.ids[-1] == stop for answer in stopped)
    assert all(len(a.ids) == 120 and stop not in a.ids for a in made if not a.is_stopped)
    assert all(len(answer.ids) == len(answer.entropies) for answer in made)


def test_a_placeholder_of_an_image_is_never_sampled(llava: Scene) -> None:
    (image,) = llava.vocabulary.never_ids
    processor = KeyedSampling(torch.arange(4), 0, llava.vocabulary.never_ids)
    logits = torch.zeros(4, 500)
    logits[:, image] = 100.0
    assert image not in processor(torch.zeros(4, 2, dtype=torch.int64), logits).argmax(dim=1).tolist()
    assert processor.entropies[0].tolist() == pytest.approx([np.log(499)] * 4)


def test_decoding_habits_of_the_model_play_no_part(llava: Scene) -> None:
    expected = answers_of(llava, [range(9)])
    own = llava.model.generation_config
    own.repetition_penalty, own.temperature, own.do_sample, own.min_new_tokens = 5.0, 0.1, True, 7
    try:
        assert answers_of(llava, [range(9)]) == expected
        assert llava.model.generation_config is own
    finally:
        own.repetition_penalty = own.temperature = own.do_sample = own.min_new_tokens = None


def test_prompts_are_padded_on_the_left_and_keep_their_positions(llava: Scene) -> None:
    batch = prompt_batch(llava.prompts[:3], llava.vocabulary.pad_id).forward
    for row, prompt in enumerate(llava.prompts[:3]):
        size = len(prompt.input_ids)
        assert batch.input_ids[row, -size:].tolist() == prompt.input_ids.tolist()
        assert batch.position_ids[row, -size:].tolist() == list(range(size))
        assert batch.attention_mask[row].tolist() == [0] * (batch.input_ids.shape[1] - size) + [1] * size
