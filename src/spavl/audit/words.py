"""What words alone predict, cross-fitted: no text is predicted by a model that saw its own group.

TF-IDF of words and pairs of words, and logistic regression: it fits thousands of rows in a second, is deterministic, and knows
nothing of images. Where a label contradicts it firmly, a person should look; it does not say who is right.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from scipy.sparse import csr_matrix

NUM_FOLDS = 5
MAX_FEATURES = 20_000
_WORD = re.compile(r"\w+")


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


def vectors(texts: Sequence[str]) -> csr_matrix:
    """Sparse float64 [N, F], rows of length 1: TF-IDF of words and pairs of words that two texts have at least.

    Of more than MAX_FEATURES the most frequent ones. Without any such word every row is zero, and all predictions are the
    share of the labels. To the bit what scikit-learn's TfidfVectorizer gives, in less time: long answers are many words.
    """
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import TfidfTransformer

    counts, terms = _counted(texts)
    kept = _kept_terms(counts, terms)
    if not len(kept):
        return csr_matrix((len(texts), 1))
    return TfidfTransformer(sublinear_tf=True).fit_transform(counts[:, kept])


def _counted(texts: Sequence[str]) -> tuple[csr_matrix, list[str | tuple[str, str]]]:
    """(float64 [N, T]: how often each text has each term, the terms): words in small letters, and pairs that follow each other."""
    import numpy as np
    from scipy.sparse import csr_matrix

    number_of: defaultdict[str | tuple[str, str], int] = defaultdict()
    number_of.default_factory = number_of.__len__
    numbers, times, ends = array("i"), array("i"), array("q", [0])
    for text in texts:
        words = _WORD.findall(text.lower())
        found: Counter[str | tuple[str, str]] = Counter(words)
        found.update(itertools.pairwise(words))
        numbers.extend(map(number_of.__getitem__, found))
        times.extend(found.values())
        ends.append(len(numbers))
    content = (np.array(times, dtype=np.float64), np.array(numbers, dtype=np.int32), np.array(ends))
    counts = csr_matrix(content, shape=(len(texts), len(number_of)))
    counts.sort_indices()  # by first occurrence: a row's length is a sum in this order, which its last bit depends on
    return counts, list(number_of)


def _kept_terms(counts: csr_matrix, terms: Sequence[str | tuple[str, str]]) -> np.ndarray:
    """int64: the columns that become features, in alphabetical order."""
    import numpy as np

    num_texts = np.bincount(counts.indices, minlength=len(terms))
    names = {
        n: terms[n] if isinstance(terms[n], str) else " ".join(terms[n])
        for n in np.flatnonzero(num_texts >= 2)
    }
    columns = np.array(sorted(names, key=names.__getitem__), dtype=np.int64)
    if len(columns) <= MAX_FEATURES:
        return columns
    num_times = np.bincount(counts.indices, weights=counts.data, minlength=len(terms))[columns]
    # not a stable sort: of terms that are equally frequent the same ones as ever
    return columns[np.sort((-num_times).argsort()[:MAX_FEATURES])]


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
