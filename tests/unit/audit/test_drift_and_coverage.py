import math
from collections import Counter

import pytest

from spavl.audit import coverage
from spavl.audit.dataset_table import Usable, coverage_measures
from spavl.audit.drift import binned, binned_counts, drift, psi


def test_the_index_by_hand():
    # 99.5 and 0.5 of 100 against 49.5 + 0.5 ... : shares are (n + 1/2) / (N + 1) with two categories
    now, before = ["a"] * 74 + ["b"] * 25, ["a"] * 49 + ["b"] * 50
    expected = (0.745 - 0.495) * math.log(0.745 / 0.495) + (0.255 - 0.505) * math.log(0.255 / 0.505)
    index, beyond = psi(now, before)
    assert index == pytest.approx(expected)
    assert beyond == pytest.approx(expected - 2 / 99)


def test_the_same_distribution_has_an_index_of_zero():
    assert psi("aabbb", "aabbb") == (0, 0)


def test_three_rows_of_an_image_are_one_draw():
    now, before = ["a"] * 60 + ["b"] * 30, ["a"] * 45 + ["b"] * 45
    index, beyond = psi(now, before, units=(30, 30))
    assert beyond == pytest.approx(index - 2 / 30)


def test_a_class_that_is_gone_gives_a_number():
    index, _ = psi(["a"] * 100, ["a"] * 50 + ["b"] * 50)
    assert 1 < index < 10


def test_numbers_are_cut_at_the_former_deciles():
    now, before = binned([-5, 1000], list(range(100)))
    assert now == [0, 9]
    assert [before.count(number) for number in range(10)] == [10] * 10


def test_counts_are_cut_as_the_rows_that_they_count():
    now, before = [1, 1, 7, 30, 30, 30], [3, 3, 3, 8, 9, 12, 12, 40, 41, 50]
    counted = binned_counts(Counter(now), Counter(before))
    assert counted == tuple(map(Counter, binned(now, before)))


def test_drift_names_each_column_and_the_worst_and_is_missing_on_a_first_night():
    now = {"class1": ["a"] * 50 + ["b"] * 50, "chars": [1] * 50 + [200] * 50}
    assert drift(now, None) == {"psi_class1": None, "psi_chars": None, "psi_beyond_chance": None}
    moved = drift(now, {"class1": ["a"] * 50 + ["b"] * 50, "chars": list(range(100))})
    assert moved["psi_class1"] == 0
    assert moved["psi_chars"] > 1
    assert moved["psi_beyond_chance"] == pytest.approx(moved["psi_chars"] - 9 * 2 / 100)


def test_what_is_missing_is_counted_unless_it_may_be():
    assert coverage.num_missing({"a"}, {"a", "b", "c"}, ["c"]) == 1
    assert coverage.num_missing({"a"}, None, []) is None
    assert coverage.without(["a", "b"], {"b"}, []) == 1


def test_a_slice_of_too_few_rows_is_not_looked_at():
    names, flags = ["big"] * 20 + ["small"] * 19, [False] * 10 + [True] * 29
    assert coverage.worst_share(flags, names) == 0.5
    assert coverage.worst_share([True], ["small"]) is None
    assert coverage_measures({"big": Usable(20, 10), "small": Usable(19, 0)}, {}, {}, []) == {
        "smallest_paired_share_of_slice": 0.5,
        "num_leaves_without_pairs": 0,
    }
    leaves = {"asked": Usable(10, 0), "rare": Usable(9, 0), "paired": Usable(10, 1)}
    assert coverage_measures({"big": Usable(20, 10)}, {}, leaves, ["big"]) == {
        "smallest_paired_share_of_slice": None,
        "num_leaves_without_pairs": 1,
    }
