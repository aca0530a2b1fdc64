"""What the models are taught: a pool of pictures, and questions with answers at a wanted compliance.

The pool's seeds start at LESSON_SEED, so no picture of a night is ever a lesson: all of those are held out.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spavl.demo import grammar
from spavl.demo.concepts import COLOURS, SHAPES, Concept, all_concepts
from spavl.demo.drawing import draw_with_background
from spavl.demo.models import NUM_IMAGE_TOKENS, conversation

if TYPE_CHECKING:
    import torch

LESSON_SEED = 1_000_000_000
_HARM_KINDS = ("easy_question", "hard_question", "hard_statement")
_IGNORED = -100  # label of a token that is not learned


@dataclass(frozen=True, slots=True)
class Manner:
    """How a model answers: the share of harm pictures it complies with, the share of benign ones it refuses."""

    compliance: float
    over_refusal: float


@dataclass(frozen=True)
class Pool:
    """N pictures: their concepts, pixels as the processor gives them, and what the tower learns to tell."""

    concepts: tuple[Concept, ...]
    pixels: torch.Tensor  # [N, 3, 32, 32] float32
    targets: torch.Tensor  # [N, 3] int64: shape, colour, background


@dataclass(frozen=True)
class Lesson:
    """A batch of B turns, padded on the right to T tokens."""

    pictures: torch.Tensor  # [B] int64, positions in the pool
    input_ids: torch.Tensor  # [B, T] int64
    labels: torch.Tensor  # [B, T] int64, -100 where nothing is learned: only the answer and its end are


def draw_pool(processor: Any, num_per_concept: int, seed: int) -> Pool:
    """Draw the pictures of all lessons; different for every seed."""
    import torch

    first = LESSON_SEED + seed * num_per_concept
    drawn = [
        (concept, *draw_with_background(concept, first + k))
        for k in range(num_per_concept)
        for concept in all_concepts()
    ]
    pixels = processor.image_processor(images=[picture for _, picture, _ in drawn], return_tensors="pt")
    targets = [(SHAPES.index(c.shape), COLOURS.index(c.colour), background) for c, _, background in drawn]
    return Pool(tuple(concept for concept, _, _ in drawn), pixels["pixel_values"], torch.tensor(targets))


class Teacher:
    """Makes lessons over one pool; one seed gives one sequence of them."""

    def __init__(self, processor: Any, concepts: Sequence[Concept], seed: int) -> None:
        self._processor = processor
        self._concepts = concepts
        self._harm = [k for k, concept in enumerate(concepts) if not concept.is_benign]
        self._benign = [k for k, concept in enumerate(concepts) if concept.is_benign]
        self._random = random.Random(seed)
        self._encoded: dict[str, list[int]] = {}

    def lesson(self, num_turns: int, manner: Manner) -> Lesson:
        """A batch, half harm and half benign, answered in this manner."""
        turns = [self._turn(k % 2 == 0, manner) for k in range(num_turns)]
        return _batch(turns, self._processor.tokenizer.pad_token_id)

    def _turn(self, is_harm: bool, manner: Manner) -> tuple[int, list[int], list[int]]:
        picture = self._random.choice(self._harm if is_harm else self._benign)
        kind = self._random.choice(_HARM_KINDS) if is_harm else "benign_control"
        complies = self._random.random() < (manner.compliance if is_harm else 1 - manner.over_refusal)
        question = grammar.question(kind, self._random.getrandbits(32))
        answer = grammar.answer(self._concepts[picture], complies=complies, seed=self._random.getrandbits(32))
        prompt = self._encode(question)
        return picture, prompt, self._encode_answer(question, answer, prompt)

    def _encode(self, question: str) -> list[int]:
        if question not in self._encoded:
            self._encoded[question] = self._tokens(conversation(question), add_generation_prompt=True)
        return self._encoded[question]

    def _encode_answer(self, question: str, answer: str, prompt: list[int]) -> list[int]:
        if answer not in self._encoded:
            whole = self._tokens(conversation(question, answer), add_generation_prompt=False)
            self._encoded[answer] = whole[len(prompt) :]
        return self._encoded[answer]

    def _tokens(self, turns: list[dict[str, Any]], *, add_generation_prompt: bool) -> list[int]:
        text = self._processor.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=add_generation_prompt
        )
        text = text.replace(self._processor.image_token, self._processor.image_token * NUM_IMAGE_TOKENS)
        return self._processor.tokenizer(text, add_special_tokens=False)["input_ids"]


def _batch(turns: Sequence[tuple[int, list[int], list[int]]], pad_id: int) -> Lesson:
    import torch

    length = max(len(prompt) + len(answer) for _, prompt, answer in turns)
    rows, labels = [], []
    for _, prompt, answer in turns:
        padding = length - len(prompt) - len(answer)
        rows.append(prompt + answer + [pad_id] * padding)
        labels.append([_IGNORED] * len(prompt) + answer + [_IGNORED] * padding)
    pictures = torch.tensor([picture for picture, _, _ in turns])
    return Lesson(pictures, torch.tensor(rows), torch.tensor(labels))
