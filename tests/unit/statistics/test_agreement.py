import random

import krippendorff
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spavl.statistics import krippendorff_alpha
from spavl.statistics.agreement import LEVELS, NUM_RESAMPLES


def test_alpha_of_krippendorffs_binary_example_is_his():
    # Krippendorff 2011, Computing Krippendorff's Alpha-Reliability, section A
    meg, owen = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    found = krippendorff_alpha(meg, owen, range(10))
    assert found.value == pytest.approx(0.095, abs=0.0005)
    assert found.low < 0 < found.high < 1


def test_alpha_of_krippendorffs_nominal_example_is_his():
    # the same paper, section B
    ben, gerry = "aabbdcccedda", "babbbccceddd"
    assert krippendorff_alpha(ben, gerry, range(12)).value == pytest.approx(0.692, abs=0.0005)


def test_ordinal_alpha_forgives_a_near_miss_more_than_a_far_one():
    near = krippendorff_alpha([0, 1, 2, 3] * 5, [0, 1, 2, 2] * 5, range(20), level="ordinal")
    far = krippendorff_alpha([0, 1, 2, 3] * 5, [0, 1, 2, 0] * 5, range(20), level="ordinal")
    assert near.value > far.value


def test_full_agreement_still_leaves_some_disagreement_possible():
    value, low, high = krippendorff_alpha("aabb" * 25, "aabb" * 25, range(100))
    # up to 3.7 % may disagree (none of 100), of .5 expected by chance: 1 - .0371 / .5025
    assert (value, high) == (1.0, 1.0)
    assert low == pytest.approx(0.926, abs=0.001)


def test_more_items_make_a_narrower_interval():
    draw = random.Random(3)
    first = [draw.choice("ab") for _ in range(900)]
    second = [label if draw.random() < 0.8 else draw.choice("ab") for label in first]
    many = krippendorff_alpha(first, second, range(900))
    few = krippendorff_alpha(first[:100], second[:100], range(100))
    assert many.low < 0.8 < many.high
    assert many.high - many.low < 0.5 * (few.high - few.low)


def test_items_of_one_image_count_as_less_than_items_of_many():
    first, second = list("aabb" * 30), list("aabb" * 20 + "abab" * 10)
    of_many = krippendorff_alpha(first, second, range(120))
    of_few = krippendorff_alpha(first, second, [k // 12 for k in range(120)])
    assert of_few.value == of_many.value
    assert of_few.high - of_few.low > 1.5 * (of_many.high - of_many.low)


@pytest.mark.parametrize(("first", "second"), [("aaa", "aaa"), ([None, "a"], ["a", None]), ([], [])])
def test_labels_without_variation_have_no_alpha(first, second):
    assert krippendorff_alpha(first, second, range(len(first))) is None


def test_missing_label_leaves_its_item_out():
    with_missing = krippendorff_alpha(["a", "b", "b", None], ["a", "b", "a", "b"], range(4))
    assert with_missing == krippendorff_alpha("abb", "aba", range(3))


def test_same_seed_gives_the_same_interval():
    first, second = [krippendorff_alpha("abab" * 5, "abba" * 5, range(20), seed=4) for _ in range(2)]
    assert first == second


def test_unknown_level_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'cardinal' is none of nominal, ordinal"):
        krippendorff_alpha("ab", "ab", range(2), level="cardinal")


def test_lists_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match="2 and 3 labels of 2 clusters"):
        krippendorff_alpha("ab", "abb", range(2))


def plain_resampled(first, second, clusters, level, seed=0):
    """Every draw of whole clusters, item by item, with alpha from the package."""
    domain = sorted({*first, *second})
    counts = np.array([[(a == v) + (b == v) for v in domain] for a, b in zip(first, second, strict=True)])
    groups = [np.flatnonzero(np.array(clusters) == cluster) for cluster in dict.fromkeys(clusters)]
    draw, values = np.random.default_rng(seed), []
    for _ in range(NUM_RESAMPLES):
        drawn = counts[np.concatenate([groups[k] for k in draw.integers(len(groups), size=len(groups))])]
        if (drawn.sum(0) > 0).sum() > 1:
            found = krippendorff.alpha(value_counts=drawn, value_domain=domain, level_of_measurement=level)
            values.append(found)
    return np.quantile(values, [0.025, 0.975]) if values else (-1.0, 1.0)


items = st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 8))


@settings(max_examples=8, deadline=None)
@given(st.lists(items, min_size=2, max_size=25), st.sampled_from(LEVELS))
def test_interval_is_that_of_every_draw_put_to_the_package(rows, level):
    first, second, clusters = (list(column) for column in zip(*rows, strict=True))
    found = krippendorff_alpha(first, second, clusters, level=level)
    if found is None:
        assert len({*first, *second}) == 1
        return
    low, high = plain_resampled(first, second, clusters, level)
    assert found.high == max(high, found.value)
    if level != "nominal" and first != second:  # else the rate of disagreement may lower the low end
        assert found.low == min(low, found.value)
    assert found.low <= min(low, found.value)
