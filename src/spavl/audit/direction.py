"""Whether pairs point the right way: by the judge's labels, and by what the other domains' pairs teach about words.

The labels find pairs that chose an answer called unsafe over one called safe. The words find pairs that were exchanged together
with their labels: a model of "chosen or rejected" fitted on all other domains has never seen the words of this one. Both
are counted by image and tested leaf by leaf and domain by domain against the rest: a leaf has few pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from spavl.audit.excess import Group, counts_of, excess_of_counts, mostly
from spavl.audit.words import folds_of, sampled, vectors

MAX_PAIRS = 20_000
MIN_PAIRS = 50
MIN_GAP = 0.3
FIRM = 0.3  # chance of being chosen, below which words contradict a pair


@dataclass(frozen=True, slots=True)
class Pair:
    """One decided pair, kept or dropped afterwards."""

    id: str
    image_id: str
    leaf: str
    domain: str
    chosen: str  # the two texts
    rejected: str


@dataclass(frozen=True, slots=True)
class Direction:
    """`share` of pairs point the wrong way; `groups` are the leaves and domains that do so more than the others."""

    share: float | None  # None without a pair to look at
    num_pairs: int
    leaves: tuple[Group, ...]
    domains: tuple[Group, ...]
    ids: tuple[str, ...]  # of the pairs that point the wrong way

    @property
    def worst_leaf(self) -> Group | None:
        return self.leaves[0] if self.leaves else None

    @property
    def num_leaves_in_excess(self) -> int:
        return sum(group.is_excess for group in self.leaves)

    @property
    def num_domains_in_excess(self) -> int:
        return sum(group.is_excess for group in self.domains)


def direction_of(
    num_wrong: int,
    num_pairs: int,
    leaves: Mapping[str, tuple[int, int]],
    domains: Mapping[str, tuple[int, int]],
    ids: Iterable[str],
) -> Direction:
    """Of pairs counted already; per leaf and domain (images most of whose pairs there point the wrong way, images)."""
    return Direction(
        share=num_wrong / num_pairs if num_pairs else None,
        num_pairs=num_pairs,
        leaves=tuple(excess_of_counts(leaves, min_gap=MIN_GAP)),
        domains=tuple(excess_of_counts(domains, min_gap=MIN_GAP)),
        ids=tuple(ids),
    )


def by_words(pairs: Iterable[Pair]) -> Direction:
    """Over pairs of one kind (harm, or benign): those whose words say firmly that the other one should be chosen."""
    pairs = sorted(pairs, key=lambda pair: pair.id)
    pairs = [pairs[place] for place in sampled([pair.id for pair in pairs], MAX_PAIRS)]
    if len(pairs) < MIN_PAIRS:
        return _direction([], [])
    return _direction(pairs, [chance < FIRM for chance in chances_of_chosen(pairs)])


def chances_of_chosen(pairs: Sequence[Pair]) -> list[float]:
    """Per pair, the chance that its chosen answer is the better one, by a model that saw no pair of its domain.

    Bradley and Terry's model on the difference of the two TF-IDF rows; with fewer than three domains, folds by image.
    """
    import numpy as np
    from scipy.sparse import vstack
    from sklearn.linear_model import LogisticRegression

    domains = sorted({pair.domain for pair in pairs})
    folds = (
        np.array([domains.index(pair.domain) for pair in pairs])
        if len(domains) > 2
        else folds_of([pair.image_id for pair in pairs])
    )
    both = vectors([pair.chosen for pair in pairs] + [pair.rejected for pair in pairs])
    gaps = both[: len(pairs)] - both[len(pairs) :]
    chances = np.full(len(pairs), 0.5)
    for fold in np.unique(folds):
        there, here = gaps[folds != fold], folds == fold
        if there.shape[0] == 0:
            continue
        wins = np.r_[np.ones(there.shape[0]), np.zeros(there.shape[0])]
        model = LogisticRegression(C=1, solver="liblinear", fit_intercept=False)
        chances[here] = model.fit(vstack([there, -there]), wins).predict_proba(gaps[here])[:, 1]
    return chances.tolist()


def _direction(pairs: Sequence[Pair], is_wrong: Sequence[bool]) -> Direction:
    def counts(group_of: Callable[[Pair], str]) -> dict[str, tuple[int, int]]:
        units = mostly(is_wrong, [(group_of(pair), pair.image_id) for pair in pairs])
        return counts_of(list(units.values()), [group for group, _ in units])

    return direction_of(
        sum(is_wrong),
        len(pairs),
        counts(lambda pair: pair.leaf),
        counts(lambda pair: pair.domain),
        (pair.id for pair, wrong in zip(pairs, is_wrong, strict=True) if wrong),
    )
