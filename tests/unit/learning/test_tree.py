"""Token trees: small tries written out by hand, and the property that every leaf reads as its plain sequence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spavl.learning.tree import (
    NO_ANSWER,
    NOT_SCORED,
    Forward,
    PlainSequence,
    TreeTokens,
    answer_logps,
    grow,
    mask_for,
    pack,
    plain_forward,
    token_counts,
    tree_forward,
)

PAD = 0


def plain(answer: int, prompt: list[int], words: list[int], num_axes: int = 1) -> PlainSequence:
    """A sequence whose position on every axis is its index."""
    ids = (*prompt, *words)
    return PlainSequence(answer, ids, len(prompt), (tuple(range(len(ids))),) * num_axes)


def parents(tree: TreeTokens) -> list[int]:
    """Index of each token's parent, -1 at a root: the last token before it whose descendants reach it."""
    ends = tree.subtree_ends
    return [max((k for k in range(q) if q < ends[k]), default=-1) for q in range(len(tree))]


def forward_of(*trees: TreeTokens) -> Forward:
    return tree_forward([list(trees)], PAD)


def test_two_answers_share_image_and_question_and_copy_only_the_last_prompt_token() -> None:
    #       image, image, question, "go"
    tree = grow("star", [plain(0, [9, 9, 5, 7], [11, 2]), plain(1, [9, 9, 5, 7], [12, 13, 2])])
    assert tree.input_ids.tolist() == [9, 9, 5, 7, 11, 2, 7, 12, 13, 2]
    assert parents(tree) == [-1, 0, 1, 2, 3, 4, 2, 6, 7, 8]
    assert tree.positions.tolist() == [[0, 1, 2, 3, 4, 5, 3, 4, 5, 6]]
    assert tree.labels.tolist() == [-100, -100, -100, 11, 2, -100, 12, 13, 2, -100]
    assert tree.answers.tolist() == [-1, -1, -1, 0, 0, -1, 1, 1, 1, -1]


def test_the_mask_shows_each_token_its_ancestors_and_itself() -> None:
    tree = grow("star", [plain(0, [9, 5, 7], [11]), plain(1, [9, 5, 7], [12]), plain(2, [9, 6, 7], [13])])
    assert tree.input_ids.tolist() == [9, 5, 7, 11, 7, 12, 6, 7, 13]
    shown = """
        x . . . . . . . .
        x x . . . . . . .
        x x x . . . . . .
        x x x x . . . . .
        x x . . x . . . .
        x x . . x x . . .
        x . . . . . x . .
        x . . . . . x x .
        x . . . . . x x x
    """
    expected = [[cell == "x" for cell in line.split()] for line in shown.split("\n") if line.split()]
    assert forward_of(tree).attention_mask[0, 0].tolist() == expected


def test_identical_questions_are_read_once() -> None:
    twice = [plain(0, [9, 5, 7], [11]), plain(1, [9, 5, 7], [12]), plain(2, [9, 5, 7], [11])]
    tree = grow("star", twice)
    assert tree.input_ids.tolist() == [9, 5, 7, 11, 7, 12, 7, 11]
    assert tree.answers.tolist() == [-1, -1, 0, -1, 1, -1, 2, -1]


def test_a_question_that_another_begins_with_ends_inside_it() -> None:
    tree = grow("star", [plain(0, [9, 5, 7], [11]), plain(1, [9, 5, 7, 6, 7], [12])])
    #                                short's leaf | the longer one goes on below the same 5
    assert tree.input_ids.tolist() == [9, 5, 7, 11, 7, 6, 7, 12]
    assert parents(tree) == [-1, 0, 1, 2, 1, 4, 5, 6]
    assert tree.labels.tolist() == [-100, -100, 11, -100, -100, -100, 12, -100]


def test_questions_are_shared_as_far_as_their_words_agree() -> None:
    tree = grow("star", [plain(0, [9, 5, 6, 1, 7], [11]), plain(1, [9, 5, 8, 7], [12])])
    assert tree.input_ids.tolist() == [9, 5, 6, 1, 7, 11, 8, 7, 12]
    assert parents(tree) == [-1, 0, 1, 2, 3, 4, 1, 6, 7]


def test_answers_that_begin_alike_stay_apart() -> None:
    tree = grow("star", [plain(0, [9, 7], [11, 12, 2]), plain(1, [9, 7], [11, 12, 3])])
    assert tree.input_ids.tolist() == [9, 7, 11, 12, 2, 7, 11, 12, 3]
    assert tree.labels.tolist() == [-100, 11, 12, 2, -100, 11, 12, 3, -100]


def test_prompts_that_differ_in_their_last_token_only_share_all_before_it() -> None:
    tree = grow("star", [plain(0, [9, 5, 7], [11]), plain(1, [9, 5, 8], [12])])
    assert tree.input_ids.tolist() == [9, 5, 7, 11, 8, 12]


def test_equal_tokens_at_other_positions_are_not_shared() -> None:
    left = PlainSequence(0, (9, 5, 7, 11), 3, ((0, 1, 2, 3),))
    right = PlainSequence(1, (9, 5, 7, 12), 3, ((0, 4, 5, 6),))
    tree = grow("star", [left, right])
    assert tree.input_ids.tolist() == [9, 5, 7, 11, 5, 7, 12]
    assert tree.positions.tolist() == [[0, 1, 2, 3, 4, 5, 6]]


def test_three_axes_of_positions_are_copied_from_the_plain_sequences() -> None:
    axes = ((0, 0, 2, 3, 4), (0, 1, 2, 3, 4), (0, 0, 2, 3, 4))
    other = tuple((*axis[:3], 3, 4, 5) for axis in axes)
    tree = grow(
        "star", [PlainSequence(0, (9, 9, 5, 7, 11), 4, axes), PlainSequence(1, (9, 9, 5, 6, 7, 12), 5, other)]
    )
    assert tree.input_ids.tolist() == [9, 9, 5, 7, 11, 6, 7, 12]
    assert tree.positions.tolist() == [
        [0, 0, 2, 3, 4, 3, 4, 5],
        [0, 1, 2, 3, 4, 3, 4, 5],
        [0, 0, 2, 3, 4, 3, 4, 5],
    ]
    assert forward_of(tree).position_ids.shape == (3, 1, 8)


def test_the_tree_does_not_depend_on_the_order_of_its_answers() -> None:
    sequences = [plain(n, [9, 9, 5 + n % 3, 7], [11 + n, 2]) for n in range(6)]
    first = grow("star", sequences)
    second = grow("star", [sequences[n] for n in (3, 0, 5, 1, 4, 2)])
    for name in ("input_ids", "positions", "subtree_ends", "labels", "answers"):
        assert getattr(first, name).tolist() == getattr(second, name).tolist()


def test_prompts_that_differ_before_their_image_each_bring_it() -> None:
    early = [plain(0, [3, 9, 9, 5, 7], [11]), plain(1, [4, 9, 9, 5, 7], [12])]
    assert grow("star", early, image_token_id=9).num_image_copies == 2
    assert forward_of(grow("star", early, image_token_id=9)).images == ["star", "star"]
    late = [plain(0, [3, 9, 9, 5, 7], [11]), plain(1, [3, 9, 9, 6, 7], [12])]
    assert grow("star", late, image_token_id=9).num_image_copies == 1


def test_prompts_that_part_inside_their_image_are_refused() -> None:
    parted = [plain(0, [9, 9, 5, 7], [11]), plain(1, [9, 8, 9, 7], [12])]
    with pytest.raises(ValueError, match="same whole image"):
        grow("star", parted, image_token_id=9)


@pytest.mark.parametrize("num_prompt", [0, 3])
def test_a_sequence_without_prompt_or_answer_is_refused(num_prompt: int) -> None:
    with pytest.raises(ValueError, match="answer 4"):
        PlainSequence(4, (1, 2, 3), num_prompt, ((0, 1, 2),))


def test_tokens_are_counted_in_both_layouts() -> None:
    one = grow("star", [plain(0, [9, 9, 5, 7], [11, 2]), plain(1, [9, 9, 5, 7], [12, 13, 2])])
    two = grow("moon", [plain(2, [9, 9, 7], [2])])
    counts = token_counts([one, two])
    assert (counts.plain, counts.tree) == (6 + 7 + 4, 10 + 4)


def tree_of(num_tokens: int, image: str) -> TreeTokens:
    return grow(image, [plain(0, [9] * (num_tokens - 1), [2])])


def test_rows_are_filled_largest_first_into_the_first_row_with_room() -> None:
    trees = [tree_of(size, f"{size}") for size in (3, 6, 4, 7, 2)]
    packed = [[tree.image for tree in row] for row in pack(trees, 10)]
    assert packed == [["7", "3"], ["6", "4"], ["2"]]


def test_a_tree_longer_than_the_limit_has_a_row_of_its_own() -> None:
    packed = pack([tree_of(2, "small"), tree_of(12, "long"), tree_of(9, "big")], 10)
    assert [[tree.image for tree in row] for row in packed] == [["long"], ["big"], ["small"]]


def test_trees_of_one_length_are_packed_in_their_order() -> None:
    packed = pack([tree_of(4, name) for name in "abcde"], 8)
    assert [[tree.image for tree in row] for row in packed] == [["a", "b"], ["c", "d"], ["e"]]


def test_trees_of_one_row_do_not_see_each_other_and_padding_sees_itself() -> None:
    first, second = grow("star", [plain(0, [9, 7], [2])]), grow("moon", [plain(1, [9, 7], [3])])
    forward = tree_forward([[first, second], [grow("sun", [plain(2, [9, 7, 8], [4])])]], PAD)
    assert forward.input_ids.tolist() == [[9, 7, 2, 9, 7, 3], [9, 7, 8, 4, PAD, PAD]]
    assert forward.position_ids.tolist() == [[0, 1, 2, 0, 1, 2], [0, 1, 2, 3, 0, 0]]
    assert forward.shift_labels.tolist() == [
        [-100, 2, -100, -100, 3, -100],
        [-100, -100, 4, -100, -100, -100],
    ]
    assert forward.answers.tolist() == [[-1, 0, -1, -1, 1, -1], [-1, -1, 2, -1, -1, -1]]
    assert forward.images == ["star", "moon", "sun"]
    seen = [[row.nonzero().flatten().tolist() for row in mask[0]] for mask in forward.attention_mask]
    assert seen[0] == [[0], [0, 1], [0, 1, 2], [3], [3, 4], [3, 4, 5]]
    assert seen[1] == [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3], [4], [5]]


def test_a_plain_forward_has_one_answer_a_row_padded_on_the_right() -> None:
    forward = plain_forward(
        [plain(0, [9, 7], [11, 2]), plain(1, [9, 5, 7], [12, 13, 2])], PAD, ["star", "star"]
    )
    assert forward.input_ids.tolist() == [[9, 7, 11, 2, PAD, PAD], [9, 5, 7, 12, 13, 2]]
    assert forward.attention_mask.tolist() == [[1, 1, 1, 1, 0, 0], [1] * 6]
    assert forward.position_ids.tolist() == [[0, 1, 2, 3, 0, 0], [0, 1, 2, 3, 4, 5]]
    assert forward.shift_labels.tolist() == [[-100, 11, 2, -100, -100, -100], [-100, -100, 12, 13, 2, -100]]
    assert forward.answers.tolist() == [[-1, 0, 0, -1, -1, -1], [-1, -1, 1, 1, 1, -1]]
    assert forward.images == ["star", "star"]


def test_a_length_can_be_rounded_up() -> None:
    assert tree_forward([[tree_of(5, "star")]], PAD, multiple_of=4).input_ids.shape == (1, 8)
    assert plain_forward([plain(0, [9, 7], [2])], PAD, ["star"], multiple_of=8).input_ids.shape == (1, 8)


def test_a_plain_forward_without_an_image_for_every_sequence_is_refused() -> None:
    with pytest.raises(ValueError, match="as many images"):
        plain_forward([plain(0, [9, 7], [2])], PAD, [])


def test_eager_attention_gets_a_mask_to_add_and_sdpa_the_boolean_one() -> None:
    import torch

    forward = forward_of(grow("star", [plain(0, [9, 7], [2])]))
    assert mask_for(forward, "sdpa", torch.float32).dtype == torch.bool
    lowest = torch.finfo(torch.float32).min
    added = mask_for(forward, "eager", torch.float32)
    assert added[0, 0].tolist() == [[0, lowest, lowest], [0, 0, lowest], [0, 0, 0]]
    with pytest.raises(ValueError, match="flash_attention_2"):
        mask_for(forward, "flash_attention_2", torch.float32)


def test_log_probabilities_are_summed_by_answer() -> None:
    import torch

    per_token = torch.tensor([[0.0, -1.0, -2.0, 0.0], [0.0, -4.0, -8.0, -16.0]], requires_grad=True)
    answers = torch.tensor([[-1, 2, 0, -1], [-1, 0, 0, 2]])
    summed = answer_logps(per_token, answers, num_answers=4)
    assert summed.tolist() == [-14.0, 0.0, -17.0, 0.0]
    summed[0].backward()
    assert per_token.grad.tolist() == [[0, 0, 1, 0], [0, 1, 1, 0]]


@st.composite
def sequences(draw: st.DrawFn) -> list[PlainSequence]:
    """Answers over a tiny alphabet, so that prompts share beginnings in every way; positions grow by 0, 1 or 2."""
    num_axes = draw(st.sampled_from([1, 3]))
    tokens = st.lists(st.integers(1, 3), min_size=1, max_size=6)
    made = []
    for answer in range(draw(st.integers(1, 7))):
        prompt, words = draw(tokens), draw(tokens)
        size = len(prompt) + len(words)
        steps = st.lists(st.sampled_from([1, 1, 1, 0, 2]), min_size=size, max_size=size)
        positions = tuple(tuple(np.cumsum(draw(steps)).tolist()) for _ in range(num_axes))
        made.append(PlainSequence(answer, (*prompt, *words), len(prompt), positions))
    return made


@settings(max_examples=150, deadline=None)
@given(sequences())
def test_every_leaf_reads_as_its_plain_sequence(made: list[PlainSequence]) -> None:
    tree = grow("star", made)
    mask = forward_of(tree).attention_mask[0, 0].numpy()
    for sequence in made:
        scored = np.flatnonzero(tree.answers == sequence.answer)
        path = np.flatnonzero(mask[scored[-1] + 1])  # what the answer's last token sees
        assert tree.input_ids[path].tolist() == list(sequence.input_ids)
        assert tree.positions[:, path].tolist() == [list(axis) for axis in sequence.positions]
        assert scored.tolist() == path[sequence.num_prompt - 1 : -1].tolist()
        assert tree.labels[scored].tolist() == list(sequence.input_ids[sequence.num_prompt :])
    scored_anywhere = tree.labels != NOT_SCORED
    assert (scored_anywhere == (tree.answers != NO_ANSWER)).all()


@settings(max_examples=100, deadline=None)
@given(sequences())
def test_no_beginning_of_a_prompt_stands_twice(made: list[PlainSequence]) -> None:
    beginnings = {
        tuple((s.input_ids[n], *(axis[n] for axis in s.positions)) for n in range(size))
        for s in made
        for size in range(1, s.num_prompt)
    }
    in_leaves = sum(len(s.input_ids) - s.num_prompt + 1 for s in made)
    assert len(grow("star", made)) == len(beginnings) + in_leaves
