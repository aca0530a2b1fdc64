import random

import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from spavl.audit import words


def made_texts(num: int, num_words: int, longest: int) -> list[str]:
    rng = random.Random(num)
    known = [f"{rng.choice(('Wort', 'É', 'x_'))}{n}" for n in range(num_words)]
    return [
        rng.choice((" ", ", ", "\n")).join(
            known[min(int(rng.paretovariate(0.6)), num_words) - 1] for _ in range(rng.randint(0, longest))
        )
        for _ in range(num)
    ]


@pytest.mark.parametrize("max_features", [20, 20_000])
@pytest.mark.parametrize(("num", "num_words", "longest"), [(2, 3, 6), (60, 20, 8), (200, 2000, 60)])
def test_vectors_are_scikit_learns_to_the_bit(monkeypatch, num, num_words, longest, max_features):
    monkeypatch.setattr(words, "MAX_FEATURES", max_features)
    texts = made_texts(num, num_words, longest)
    expected = TfidfVectorizer(
        ngram_range=(1, 2),
        sublinear_tf=True,
        min_df=2,
        max_features=max_features,
        token_pattern=r"(?u)\b\w+\b",  # noqa: S106
    ).fit_transform(texts)
    found = words.vectors(texts)
    assert found.shape == expected.shape
    for name in ("data", "indices", "indptr"):
        assert getattr(found, name).tolist() == getattr(expected, name).tolist()


@pytest.mark.parametrize("texts", [[], ["only here"], ["", ""], ["one", "two"]])
def test_texts_without_a_common_word_are_all_zero(texts):
    found = words.vectors(texts)
    assert found.shape == (len(texts), 1) and found.nnz == 0
