"""Several answers about one image, laid out so that the model reads the image and each question once.

The plain way reads image and question again for every answer. Here the prompts of one image are merged into a trie, a token
that several prompts begin with stands in it once, and each answer hangs as a leaf below its prompt. A token attends to its
ancestors and itself and keeps the position it has in the plain sequence, so every answer sees exactly what it would see
alone. (Sharing a prefix in preference training: arXiv 2410.20305.)

The last token of a prompt predicts the answer's first, and answers differ there; so it is copied to the head of each leaf,
and the trie holds prompts without it. Pure arithmetic on token ids: no model, no tokenizer, no image.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from spavl.learning.attention import IN_BLOCKS

if TYPE_CHECKING:
    import numpy as np
    import torch

NOT_SCORED = -100  # label of a position whose next token is not trained
NO_ANSWER = -1


@dataclass(frozen=True, slots=True)
class PlainSequence:
    """One answer as the plain way reads it: `input_ids[:num_prompt]` is the prompt, the rest is trained.

    `positions` is P x tokens: P = 1, or 3 with M-RoPE. Both fields may also be integer arrays.
    """

    answer: int  # number of the answer in its step
    input_ids: tuple[int, ...]
    num_prompt: int
    positions: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        if not 0 < self.num_prompt < len(self.input_ids):
            raise ValueError(
                f"answer {self.answer} has {self.num_prompt} prompt tokens of {len(self.input_ids)}; "
                "a prompt and an answer need at least one token each"
            )


@dataclass(frozen=True, slots=True)
class TreeTokens:
    """One image's tokens in depth-first order, so that a token's descendants follow it without a gap.

    Arrays of int64 [tokens], `positions` [P, tokens]. Token k is an ancestor of token q, or q itself, exactly where
    `k <= q < subtree_ends[k]`.
    """

    image: Hashable
    input_ids: np.ndarray
    positions: np.ndarray
    subtree_ends: np.ndarray  # index after the last descendant
    labels: np.ndarray  # the next token of the answer, or NOT_SCORED
    answers: np.ndarray  # number of the answer where a label stands, NO_ANSWER elsewhere
    num_plain_tokens: int  # what the same answers take in the plain layout
    num_image_copies: int = 1  # more only where prompts differ before their image

    def __len__(self) -> int:
        return len(self.input_ids)


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Tokens of the same answers in both layouts, padding not counted."""

    plain: int
    tree: int


@dataclass
class Forward:
    """The tensors of one forward, in either layout; B rows of L positions."""

    input_ids: torch.Tensor  # [B, L] int64
    attention_mask: torch.Tensor  # [B, L] int64 (plain), or [B, 1, L, L] bool (tree; True = may attend)
    position_ids: torch.Tensor | None  # [B, L], or [3, B, L] with M-RoPE, int64
    shift_labels: torch.Tensor  # [B, L] int64: label of the next token, NOT_SCORED elsewhere
    answers: torch.Tensor  # [B, L] int64: number of the answer at scored positions, NO_ANSWER elsewhere
    images: list[Hashable]  # in the order of their tokens, row by row

    def to(self, device: Any) -> Forward:
        """The same forward with its tensors on `device`."""
        moved = {
            name: value.to(device, non_blocking=True)
            for name in ("input_ids", "attention_mask", "position_ids", "shift_labels", "answers")
            if (value := getattr(self, name)) is not None
        }
        return replace(self, **moved)


def grow(
    image: Hashable, sequences: Sequence[PlainSequence], image_token_id: int | None = None
) -> TreeTokens:
    """The tree of all answers about one image; the same one whatever the order of `sequences`.

    Tokens are shared where ids and positions agree from the first token on. With `image_token_id`, a prompt that differs
    from another before its image gets an image of its own (`num_image_copies`); without it, there is one.
    """
    import numpy as np

    if not sequences:
        raise ValueError("a tree needs at least one answer")
    sequences, symbols = _in_trie_order(sequences)
    blocks, starts_of_answers = [], []
    subtree_ends = np.empty(sum(map(len, symbols)), dtype=np.int64)
    open_tokens = np.empty(0, dtype=np.int64)  # index of each token on the path to the last answer, by depth
    size, previous = 0, symbols[0][:0]
    for sequence, now in zip(sequences, symbols, strict=True):
        depth = sequence.num_prompt - 1
        shared = _num_shared(previous, now[:depth])
        subtree_ends[open_tokens[shared:]] = size
        start = size + depth - shared
        open_tokens = np.concatenate([open_tokens[:shared], np.arange(size, start)])
        size = start + len(now) - depth
        subtree_ends[start:size] = size
        blocks.append(now[shared:])
        starts_of_answers.append(start)
        previous = now[:depth]
    subtree_ends[open_tokens] = size
    laid_out = np.concatenate(blocks)
    input_ids = np.ascontiguousarray(laid_out[:, 0])
    return TreeTokens(
        image,
        input_ids,
        np.ascontiguousarray(laid_out[:, 1:].T),
        subtree_ends[:size].copy(),
        *_targets(sequences, starts_of_answers, input_ids),
        num_plain_tokens=sum(map(len, symbols)),
        num_image_copies=_num_copies(input_ids, symbols[0][:, 0], image_token_id),
    )


def pack(trees: Sequence[TreeTokens], max_row_tokens: int) -> list[list[TreeTokens]]:
    """Trees put together into rows of at most `max_row_tokens`, the largest first, each into the first row with room.

    A tree that is longer than that has a row of its own.
    """
    rows: list[list[TreeTokens]] = []
    sizes: list[int] = []
    for tree in sorted(trees, key=len, reverse=True):
        row = next((n for n, size in enumerate(sizes) if size + len(tree) <= max_row_tokens), None)
        if row is None:
            row = len(rows)
            rows.append([])
            sizes.append(0)
        rows[row].append(tree)
        sizes[row] += len(tree)
    return rows


def token_counts(trees: Sequence[TreeTokens]) -> TokenCounts:
    """What the trees save: their tokens, and those of the same answers in the plain layout."""
    return TokenCounts(sum(tree.num_plain_tokens for tree in trees), sum(map(len, trees)))


def tree_forward(rows: Sequence[Sequence[TreeTokens]], pad_id: int, multiple_of: int = 1) -> Forward:
    """The forward of packed rows, each padded on the right to the longest, rounded up to `multiple_of`."""
    import numpy as np
    import torch

    longest = max(sum(map(len, row)) for row in rows)
    length = -(-longest // multiple_of) * multiple_of
    num_positions = len(rows[0][0].positions)
    index = np.arange(length)
    input_ids = np.full((len(rows), length), pad_id, dtype=np.int64)
    positions = np.zeros((num_positions, len(rows), length), dtype=np.int64)
    # padding attends to itself: a row of the mask that allows nothing gives NaN
    subtree_ends = np.tile(index + 1, (len(rows), 1))
    labels = np.full_like(input_ids, NOT_SCORED)
    answers = np.full_like(input_ids, NO_ANSWER)
    for number, row in enumerate(rows):
        start = 0
        for tree in row:
            here = slice(start, start + len(tree))
            input_ids[number, here] = tree.input_ids
            positions[:, number, here] = tree.positions
            subtree_ends[number, here] = tree.subtree_ends + start
            labels[number, here] = tree.labels
            answers[number, here] = tree.answers
            start += len(tree)
    return Forward(
        torch.from_numpy(input_ids),
        _ancestor_mask(torch.from_numpy(subtree_ends)),
        _position_ids(positions),
        torch.from_numpy(labels),
        torch.from_numpy(answers),
        [tree.image for row in rows for tree in row for _ in range(tree.num_image_copies)],
    )


def plain_forward(
    sequences: Sequence[PlainSequence], pad_id: int, images: Sequence[Hashable], multiple_of: int = 1
) -> Forward:
    """The forward with one answer in each row, padded on the right; `images` has one key for each sequence."""
    import numpy as np
    import torch

    if len(images) != len(sequences):
        raise ValueError(f"{len(sequences)} sequences need as many images, not {len(images)}")
    length = -(-max(len(sequence.input_ids) for sequence in sequences) // multiple_of) * multiple_of
    input_ids = np.full((len(sequences), length), pad_id, dtype=np.int64)
    attention_mask = np.zeros_like(input_ids)
    positions = np.zeros((len(sequences[0].positions), len(sequences), length), dtype=np.int64)
    labels = np.full_like(input_ids, NOT_SCORED)
    answers = np.full_like(input_ids, NO_ANSWER)
    for number, sequence in enumerate(sequences):
        size = len(sequence.input_ids)
        scored = slice(sequence.num_prompt - 1, size - 1)
        input_ids[number, :size] = sequence.input_ids
        attention_mask[number, :size] = 1
        positions[:, number, :size] = sequence.positions
        labels[number, scored] = input_ids[number, sequence.num_prompt : size]
        answers[number, scored] = sequence.answer
    return Forward(
        torch.from_numpy(input_ids),
        torch.from_numpy(attention_mask),
        _position_ids(positions),
        torch.from_numpy(labels),
        torch.from_numpy(answers),
        list(images),
    )


def mask_for(forward: Forward, attn_implementation: str, dtype: torch.dtype) -> torch.Tensor:
    """The mask as this attention implementation reads it; raises ValueError where it cannot take a tree's.

    Eager attention adds the mask to its scores: a boolean one would shift them by one instead of hiding anything.
    """
    import torch

    mask = forward.attention_mask
    if mask.ndim == 2 or attn_implementation in ("sdpa", IN_BLOCKS):
        return mask
    if attn_implementation != "eager":
        raise ValueError(f"attention {attn_implementation!r} takes no tree mask; 'sdpa' and 'eager' do")
    added = torch.zeros(mask.shape, dtype=dtype, device=mask.device)
    return added.masked_fill_(~mask, torch.finfo(dtype).min)


def answer_logps(per_token: torch.Tensor, answers: torch.Tensor, num_answers: int) -> torch.Tensor:
    """Log-probability of each answer [num_answers]: the sum of `per_token` [B, L] where `answers` [B, L] has its number."""
    # index 0 gathers what is not scored, so that no boolean selection waits for the device
    sums = per_token.new_zeros(num_answers + 1)
    return sums.index_add(0, answers.flatten() + 1, per_token.flatten())[1:]


def _in_trie_order(
    sequences: Sequence[PlainSequence],
) -> tuple[list[PlainSequence], list[np.ndarray]]:
    """Sequences with their symbols [tokens, 1 + P] (id, then positions), neighbours sharing the longest beginnings."""
    import numpy as np

    symbols = [np.column_stack([s.input_ids, *s.positions]).astype(np.int64, copy=False) for s in sequences]
    keys = [
        # big-endian bytes compare as the numbers do
        (now[: sequence.num_prompt - 1].astype(">i8").tobytes(), sequence.answer)
        for sequence, now in zip(sequences, symbols, strict=True)
    ]
    order = sorted(range(len(sequences)), key=keys.__getitem__)
    return [sequences[n] for n in order], [symbols[n] for n in order]


def _num_shared(left: np.ndarray, right: np.ndarray) -> int:
    """Number of symbols that both begin with."""
    size = min(len(left), len(right))
    differs = (left[:size] != right[:size]).any(axis=1)
    return int(differs.argmax()) if differs.any() else size


def _targets(
    sequences: Sequence[PlainSequence], starts: Sequence[int], input_ids: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Labels and answers [tokens]: in a leaf every token but the last predicts the next one."""
    import numpy as np

    labels = np.full_like(input_ids, NOT_SCORED)
    answers = np.full_like(input_ids, NO_ANSWER)
    for sequence, start in zip(sequences, starts, strict=True):
        stop = start + len(sequence.input_ids) - sequence.num_prompt
        labels[start:stop] = input_ids[start + 1 : stop + 1]
        answers[start:stop] = sequence.answer
    return labels, answers


def _num_copies(input_ids: np.ndarray, of_one: np.ndarray, image_token_id: int | None) -> int:
    if image_token_id is None:
        return 1
    per_image = int((of_one == image_token_id).sum())
    copies, left_over = divmod(int((input_ids == image_token_id).sum()), max(per_image, 1))
    if not per_image or left_over:
        raise ValueError(
            "the prompts of one tree must have the same whole image, and at least one token of it"
        )
    return copies


def _ancestor_mask(subtree_ends: torch.Tensor) -> torch.Tensor:
    """[B, 1, L, L] bool from [B, L]: query q sees key k where k is q's ancestor or q itself."""
    import torch

    index = torch.arange(subtree_ends.shape[1])
    query = index[None, None, :, None]
    return (index <= query) & (query < subtree_ends[:, None, None, :])


def _position_ids(positions: np.ndarray) -> torch.Tensor:
    import torch

    return torch.from_numpy(positions[0] if len(positions) == 1 else positions)
