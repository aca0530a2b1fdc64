"""Which pairs make which optimizer step, and how a step becomes forwards on any number of ranks. Pure: ids and numbers.

A step is a fixed list of pairs, decided by the seed alone. Only then is it cut up: its pairs become trees (one image each),
trees are dealt to the ranks by size, and each rank packs its own into rows and forwards of a bounded number of tokens. So
the order of the data, and the loss of a step, are the same on one rank and on sixty-four.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from spavl.learning.tree import (
    NO_ANSWER,
    Forward,
    PlainSequence,
    TreeTokens,
    grow,
    pack,
    plain_forward,
    tree_forward,
)

if TYPE_CHECKING:
    import numpy as np

_LOOK_AHEAD = (
    64  # groups searched for one that fits: keeps the order near to the shuffled one, and the search short
)


@dataclass(frozen=True)
class EncodedPair:
    """A pair as token ids: two answers to one prompt about one image."""

    id: str
    image: str  # key of the image
    prompt_ids: np.ndarray  # [prompt] int32, image tokens expanded
    prompt_positions: np.ndarray | None  # [P, prompt] int32; None where they are 0, 1, 2, …
    chosen_ids: np.ndarray  # [answer] int32, its stop token the last
    rejected_ids: np.ndarray
    margin: float = 1.0  # of the judge, 0 to 1
    class1: str = ""  # first level of the harm class, for slices of metrics
    chosen_is_unsafe: bool | None = None  # the judge's labels, where there are any
    rejected_is_unsafe: bool | None = None

    def sequences(self, first_answer: int) -> tuple[PlainSequence, PlainSequence]:
        """Chosen and rejected as plain sequences, answers number `first_answer` and the next."""
        return (
            self._sequence(self.chosen_ids, first_answer),
            self._sequence(self.rejected_ids, first_answer + 1),
        )

    @property
    def num_tokens(self) -> int:
        """Tokens of the longer of the two plain sequences."""
        return len(self.prompt_ids) + max(len(self.chosen_ids), len(self.rejected_ids))

    def _sequence(self, answer_ids: np.ndarray, answer: int) -> PlainSequence:
        import numpy as np

        from spavl.learning.positions import with_answer

        ids = np.concatenate([self.prompt_ids, answer_ids])
        positions = (
            np.arange(len(ids))[None]
            if self.prompt_positions is None
            else with_answer(self.prompt_positions, len(answer_ids))
        )
        return PlainSequence(answer, ids, len(self.prompt_ids), positions)


@dataclass(frozen=True)
class Layout:
    """How pairs are laid out for the model."""

    is_tree: bool  # False: every answer alone, the plain way
    pad_id: int
    image_token_id: int
    max_forward_tokens: int  # rows x length of one forward, padding included; one tree may be longer
    attention: str = "sdpa"  # the language model's implementation


@dataclass
class PairForward:
    """Some pairs of a step, ready for the model: answer 2k is the chosen one of pair k, answer 2k + 1 the rejected one."""

    forward: Forward
    pairs: list[EncodedPair]
    num_step_pairs: int  # of the whole step, on all ranks: what the loss is divided by
    num_step_chosen_tokens: int
    weight: float = 1.0  # 0 for a filler, which only keeps the ranks in step
    num_tokens: int = 0  # without padding
    image_inputs: dict[str, Any] = field(
        default_factory=dict
    )  # the model's image arguments; empty where features are kept

    def to(self, device: Any) -> PairForward:
        """The same with its tensors on `device`."""
        moved = {name: value.to(device, non_blocking=True) for name, value in self.image_inputs.items()}
        return replace(self, forward=self.forward.to(device), image_inputs=moved)


def cut_steps(
    pairs: Sequence[EncodedPair],
    *,
    num_epochs: float,
    global_batch_size: int,
    seed: int,
    group_by_image: bool,
) -> list[list[int]]:
    """Indices of the pairs of every step, over all epochs; each epoch has an order of its own and its last step may be short.

    With `group_by_image`, images are shuffled and the pairs of one stay together, so that they share a tree; without it
    pairs are shuffled.
    """
    if not pairs:
        return []
    per_epoch = math.ceil(len(pairs) / global_batch_size)
    num_steps = max(1, math.ceil(num_epochs * per_epoch))
    steps: list[list[int]] = []
    for epoch in range(math.ceil(num_steps / per_epoch)):
        order = random.Random(f"{seed}/{epoch}")
        if group_by_image:
            steps += _grouped(pairs, global_batch_size, order)
        else:
            shuffled = list(range(len(pairs)))
            order.shuffle(shuffled)
            steps += [shuffled[k : k + global_batch_size] for k in range(0, len(shuffled), global_batch_size)]
    return steps[:num_steps]


def share_of(step: Sequence[EncodedPair], rank: int, num_ranks: int, layout: Layout) -> list[PairForward]:
    """One rank's forwards of a step: equally many on every rank, at least one."""
    totals = (len(step), sum(len(pair.chosen_ids) for pair in step))
    units = _units(step, layout)
    ranks = _dealt(units, num_ranks)
    cut = [_cut(mine, layout) for mine in ranks]
    num_forwards = max(1, *(len(forwards) for forwards in cut))
    made = [_forward(units_of_one, layout, totals) for units_of_one in cut[rank]]
    filler = min(units, key=lambda unit: unit.size)
    while len(made) < num_forwards:
        made.append(replace(_forward([filler], layout, totals), weight=0.0))
    return made


@dataclass(frozen=True)
class _Unit:
    """What is never cut: the pairs of one image in a tree, or one pair laid out plainly."""

    pairs: list[EncodedPair]
    size: int  # tokens of the longest row that it needs
    num_rows: int
    tree: TreeTokens | None = None  # its answers are numbered from 0


def _grouped(pairs: Sequence[EncodedPair], size: int, order: random.Random) -> list[list[int]]:
    """Steps of `size` pairs with as few images as possible: an image is split only where no other fits into what is left."""
    of_image: dict[str, list[int]] = {}
    for number, pair in enumerate(pairs):
        of_image.setdefault(pair.image, []).append(number)
    groups = list(of_image.values())
    order.shuffle(groups)
    groups.reverse()  # the next one is the last
    steps: list[list[int]] = [[]]
    while groups:
        room = size - len(steps[-1])
        if room == 0:
            steps.append([])
            continue
        near = range(len(groups) - 1, max(-1, len(groups) - 1 - _LOOK_AHEAD), -1)
        fits = next((k for k in near if len(groups[k]) <= room), None)
        if fits is not None:
            steps[-1] += groups.pop(fits)
        else:
            steps[-1] += groups[-1][:room]
            groups[-1] = groups[-1][room:]
    return steps


def _units(step: Sequence[EncodedPair], layout: Layout) -> list[_Unit]:
    if not layout.is_tree:
        return [_Unit([pair], pair.num_tokens, 2) for pair in step]
    of_image: dict[str, list[EncodedPair]] = {}
    for pair in step:
        of_image.setdefault(pair.image, []).append(pair)
    trees = {image: _tree(pairs, layout) for image, pairs in of_image.items()}
    return [_Unit(pairs, len(trees[image]), 1, trees[image]) for image, pairs in of_image.items()]


def _dealt(units: Sequence[_Unit], num_ranks: int) -> list[list[_Unit]]:
    """Units by rank: the largest first, each to the rank with the fewest tokens so far."""
    ranks: list[list[_Unit]] = [[] for _ in range(num_ranks)]
    loads = [0] * num_ranks
    for unit in sorted(units, key=lambda unit: -unit.size * unit.num_rows):
        lightest = loads.index(min(loads))
        ranks[lightest].append(unit)
        loads[lightest] += unit.size * unit.num_rows
    return ranks


def _cut(units: Sequence[_Unit], layout: Layout) -> list[list[_Unit]]:
    """Units by forward; units of like size are together, so that little is padded."""
    forwards: list[list[_Unit]] = []
    for unit in sorted(units, key=lambda unit: -unit.size):
        if forwards:
            longest = forwards[-1][0].size
            num_rows = _num_rows([*forwards[-1], unit], layout)
            if longest * num_rows <= layout.max_forward_tokens:
                forwards[-1].append(unit)
                continue
        forwards.append([unit])
    return forwards


def _num_rows(units: Sequence[_Unit], layout: Layout) -> int:
    """Rows that the units take, packed into rows as long as the first; first fit, as `tree.pack`."""
    if not layout.is_tree:
        return sum(unit.num_rows for unit in units)
    room: list[int] = []
    for unit in units:
        row = next((k for k, left in enumerate(room) if left >= unit.size), None)
        if row is None:
            room.append(units[0].size - unit.size)
        else:
            room[row] -= unit.size
    return len(room)


def _forward(units: Sequence[_Unit], layout: Layout, totals: tuple[int, int]) -> PairForward:
    pairs = [pair for unit in units for pair in unit.pairs]
    if layout.is_tree:
        trees, first = [], 0
        for unit in units:
            trees.append(_numbered_from(unit.tree, first))
            first += 2 * len(unit.pairs)
        rows = pack(trees, max(len(tree) for tree in trees))
        num_tokens = sum(len(tree) for tree in trees)
        return PairForward(tree_forward(rows, layout.pad_id), pairs, *totals, num_tokens=num_tokens)
    sequences = [sequence for k, pair in enumerate(pairs) for sequence in pair.sequences(2 * k)]
    images = [pair.image for pair in pairs for _ in range(2)]
    num_tokens = sum(len(sequence.input_ids) for sequence in sequences)
    return PairForward(plain_forward(sequences, layout.pad_id, images), pairs, *totals, num_tokens=num_tokens)


def _tree(pairs: Sequence[EncodedPair], layout: Layout) -> TreeTokens:
    sequences = [sequence for k, pair in enumerate(pairs) for sequence in pair.sequences(2 * k)]
    return grow(pairs[0].image, sequences, layout.image_token_id)


def _numbered_from(tree: TreeTokens, first: int) -> TreeTokens:
    import numpy as np

    return replace(tree, answers=np.where(tree.answers == NO_ANSWER, NO_ANSWER, tree.answers + first))
