"""The data order is decided by the seed alone, and every pair of a step is forwarded exactly once, on any number of ranks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spavl.learning.steps import EncodedPair, Layout, cut_steps, share_of

IMAGE_TOKEN, PAD = 9, 0


def pair(number: int, image: int, question: int = 0, num_answer: int = 3) -> EncodedPair:
    prompt = np.array([1, IMAGE_TOKEN, IMAGE_TOKEN, 10 + question], dtype=np.int32)
    chosen, rejected = (np.full(num_answer, 20 + side, dtype=np.int32) for side in (0, 1))
    return EncodedPair(f"p{number}", f"image-{image}", prompt, None, chosen, rejected)


def layout(is_tree: bool = True, max_forward_tokens: int = 10_000) -> Layout:
    return Layout(is_tree, PAD, IMAGE_TOKEN, max_forward_tokens)


def three_each(num_images: int) -> list[EncodedPair]:
    return [pair(3 * image + k, image, k) for image in range(num_images) for k in range(3)]


def steps_of(pairs, size=8, epochs=1.0, seed=0, grouped=True):
    return cut_steps(pairs, num_epochs=epochs, global_batch_size=size, seed=seed, group_by_image=grouped)


@pytest.mark.parametrize("grouped", [True, False])
def test_every_pair_is_in_each_epoch_once(grouped):
    pairs = three_each(7)
    steps = steps_of(pairs, epochs=2, grouped=grouped)
    first, second = steps[:3], steps[3:]
    assert [len(step) for step in steps] == [8, 8, 5, 8, 8, 5]
    flat = [sorted(number for step in epoch for number in step) for epoch in (first, second)]
    assert flat == [list(range(21))] * 2
    assert first != second


def test_half_an_epoch_is_half_of_its_steps():
    assert len(steps_of(three_each(16), epochs=0.5)) == 3  # of 6


def test_another_seed_is_another_order_and_the_same_seed_the_same():
    pairs = three_each(16)
    assert steps_of(pairs, seed=1) == steps_of(pairs, seed=1) != steps_of(pairs, seed=2)


def test_grouped_steps_split_an_image_only_where_nothing_else_fits():
    # steps of 9 hold three images of three pairs each; steps of 8 must split one of three
    whole = [len({k // 3 for k in step}) for step in steps_of(three_each(9), size=9)]
    assert whole == [3, 3, 3]
    split = [len({k // 3 for k in step}) for step in steps_of(three_each(8), size=8)]
    assert sum(split) == 8 + 2  # two borders cut through an image, and no image is cut twice


def test_an_image_with_fewer_pairs_fills_what_is_left():
    pairs = [*three_each(2), pair(6, 2), pair(7, 2, 1), pair(8, 3), pair(9, 3, 1)]
    for seed in range(5):
        steps = steps_of(pairs, size=5, seed=seed)
        assert [sorted({pairs[k].image for k in step}) for step in steps] in (
            [["image-0", "image-2"], ["image-1", "image-3"]],
            [["image-0", "image-3"], ["image-1", "image-2"]],
            [["image-1", "image-2"], ["image-0", "image-3"]],
            [["image-1", "image-3"], ["image-0", "image-2"]],
        )


@pytest.mark.parametrize("is_tree", [True, False])
def test_no_pairs_are_no_steps(is_tree):
    assert steps_of([]) == []


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(1, 9)), min_size=1, max_size=12),
    st.integers(1, 5),
    st.integers(8, 200),
    st.booleans(),
)
def test_ranks_forward_each_pair_once_and_equally_often(kinds, num_ranks, max_tokens, is_tree):
    step = [pair(number, *kind) for number, kind in enumerate(kinds)]
    shares = [share_of(step, rank, num_ranks, layout(is_tree, max_tokens)) for rank in range(num_ranks)]
    assert len({len(share) for share in shares}) == 1 and shares[0]
    forwards = [forward for share in shares for forward in share]
    real = [forward for forward in forwards if forward.weight]
    assert sorted(p.id for forward in real for p in forward.pairs) == sorted(p.id for p in step)
    assert {forward.weight for forward in forwards} <= {0.0, 1.0}
    assert {forward.num_step_pairs for forward in forwards} == {len(step)}
    assert {forward.num_step_chosen_tokens for forward in forwards} == {sum(len(p.chosen_ids) for p in step)}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(1, 9)), min_size=1, max_size=12),
    st.integers(8, 200),
    st.booleans(),
)
def test_each_answer_number_stands_at_its_own_tokens(kinds, max_tokens, is_tree):
    step = [pair(number, *kind) for number, kind in enumerate(kinds)]
    for forward in share_of(step, 0, 1, layout(is_tree, max_tokens)):
        labels, answers = forward.forward.shift_labels.numpy(), forward.forward.answers.numpy()
        for number, one in enumerate(forward.pairs):
            for side, ids in ((0, one.chosen_ids), (1, one.rejected_ids)):
                assert labels[answers == 2 * number + side].tolist() == ids.tolist()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 2), st.integers(1, 9)), min_size=1, max_size=12),
    st.integers(8, 200),
    st.booleans(),
)
def test_a_forward_keeps_to_its_tokens_unless_one_unit_alone_is_longer(kinds, max_tokens, is_tree):
    step = [pair(number, *kind) for number, kind in enumerate(kinds)]
    for forward in share_of(step, 0, 1, layout(is_tree, max_tokens)):
        is_single = len({p.image for p in forward.pairs}) == 1 if is_tree else len(forward.pairs) == 1
        assert forward.forward.input_ids.numel() <= max_tokens or is_single


def test_a_tree_reads_its_image_once_and_the_plain_layout_once_per_answer():
    step = three_each(1)
    (tree,), (plain,) = (share_of(step, 0, 1, layout(is_tree)) for is_tree in (True, False))
    count = lambda forward: int((forward.forward.input_ids == IMAGE_TOKEN).sum())  # noqa: E731
    assert (count(tree), count(plain)) == (2, 12)
    assert tree.forward.images == ["image-0"] and plain.forward.images == ["image-0"] * 6


def test_a_filler_has_no_weight_and_keeps_ranks_in_step():
    shares = [share_of([pair(0, 0)], rank, 3, layout()) for rank in range(3)]
    assert sorted(forward.weight for share in shares for forward in share) == [0.0, 0.0, 1.0]
