"""What words alone predict, cross-fitted: no text is predicted by a model that saw its own group.

TF-IDF of words and pairs of words, and logistic regression: it fits thousands of rows in a second, is deterministic, and knows
nothing of images. Where a label contradicts it firmly, a person should look; it does not say who is right.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

NUM_FOLDS = 5
MAX_FEATURES = 20_000
_WORD = r"(?u)\b\w+\b"


def rank_of(key: str) -> str:
    """A key's place in an order that has nothing to do with its meaning and is the same on every machine."""
    return hashlib.sha256(key.encode()).hexdigest()


def sampled(keys: Sequence[str], limit: int) -> list[int]:
    """Places of at most `limit` keys, chosen by hash, in the order given: whether a key is in depends on no other's place."""
    if len(keys) <= limit:
        return list(range(len(keys)))
    return sorted(sorted(range(len(keys)), key=lambda place: rank_of(keys[place]))[:limit])


def sampled_groups(groups: Sequence[str], limit: int) -> list[int]:
    """Places of whole groups, chosen by hash, as many as have `limit` rows or fewer together; at least one group."""
    sizes = Counter(groups)
    kept, total = set(), 0
    for group in sorted(sizes, key=rank_of):
        total += sizes[group]
        if kept and total > limit:
            break
        kept.add(group)
    return [place for place, group in enumerate(groups) if group in kept]


def folds_of(groups: Sequence[str], num_folds: int = NUM_FOLDS) -> np.ndarray:
    """int64 [N]: the fold of each row; all rows of a group share one, and folds have equally many groups."""
    import numpy as np

    place = {group: number for number, group in enumerate(sorted(set(groups), key=rank_of))}
    return np.array([place[group] % num_folds for group in groups], dtype=np.int64)


def vectors(texts: Sequence[str]) -> Any:
    """Sparse float64 [N, F], rows of length 1: TF-IDF of words and pairs of words that two texts have at least.

    Without any such word every row is zero, and all predictions are the share of the labels.
    """
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import TfidfVectorizer

    make = TfidfVectorizer(
        ngram_range=(1, 2), sublinear_tf=True, min_df=2, max_features=MAX_FEATURES, token_pattern=_WORD
    )
    try:
        return make.fit_transform(texts)
    except ValueError:  # an empty vocabulary: no word is in two texts
        return csr_matrix((len(texts), 1))


def cross_fitted(
    texts: Sequence[str], labels: Sequence[Hashable], folds: np.ndarray, features: Any = None
) -> np.ndarray:
    """float64 [N, K]: chance of each label (K, sorted) for each text, by a model fitted on the other folds.

    features: `vectors(texts)` if they are made already, for another label of the same texts.
    """
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    names, codes = np.unique(np.asarray(labels), return_inverse=True)
    features = vectors(texts) if features is None else features
    chances = np.zeros((len(texts), len(names)))
    for fold in np.unique(folds):
        there, here = folds != fold, folds == fold
        known = np.unique(codes[there])
        if len(known) < 2:
            chances[np.ix_(here, known)] = 1.0
            continue
        model = OneVsRestClassifier(LogisticRegression(C=10, solver="liblinear"))
        chances[np.ix_(here, known)] = _rows(model.fit(features[there], codes[there]), features[here])
    return chances


def _rows(model: Any, features: Any) -> np.ndarray:
    chances = model.predict_proba(features)
    return chances / chances.sum(axis=1, keepdims=True)
