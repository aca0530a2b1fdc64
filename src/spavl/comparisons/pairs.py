"""Which two responses to a question are compared: from different safety groups, chosen by a seeded hash.
Pure.

All cross-group pairs of a question are ranked by a hash of (seed, question id, both response ids) and the
first ones win, so a choice never depends on the order of rows, and a change of groups leaves most chosen
pairs as they were. Which of the two is called a is decided by response id, itself a hash.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spavl.records import Response, stable_hash


@dataclass(frozen=True, slots=True)
class Pair:
    """Two responses to one question, by models of different groups; a's id is the smaller."""

    a: Response
    b: Response


@dataclass(frozen=True, slots=True)
class PairChoice:
    """The pairs of one question, and how many cross-group pairs could not be one."""

    pairs: tuple[Pair, ...]
    num_identical: int  # both responses have the same text: nothing to compare


def usable(responses: Sequence[Response]) -> list[Response]:
    """Responses with the outcome ok and a text that is not blank."""
    return [response for response in responses if response.outcome == "ok" and response.text.strip()]


def choose_pairs(
    question_id: str, responses: Sequence[Response], groups: Mapping[str, int], *, seed: int, num_pairs: int
) -> PairChoice:
    """At most `num_pairs` pairs of differing texts, each pair of texts once; fewer if there are no more."""
    by_id = sorted(usable(responses), key=lambda response: response.id)
    crossing = [Pair(a, b) for a, b in itertools.combinations(by_id, 2) if groups[a.model] != groups[b.model]]
    differing = [pair for pair in crossing if pair.a.text.strip() != pair.b.text.strip()]
    differing.sort(key=lambda pair: stable_hash("pair", seed, question_id, pair.a.id, pair.b.id))
    by_texts: dict[frozenset[str], Pair] = {}
    for pair in differing:
        by_texts.setdefault(frozenset((pair.a.text, pair.b.text)), pair)
    return PairChoice(tuple(by_texts.values())[:num_pairs], len(crossing) - len(differing))
