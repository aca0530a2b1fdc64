import pytest

from spavl.audit.excess import groups_in_excess, mostly


def test_a_unit_is_a_hit_if_at_least_half_of_its_rows_are():
    found = mostly([True, False, False, True, False], ["a", "a", "b", "b", "c"])
    assert found == {"a": True, "b": True, "c": False}
    assert mostly([True, False, False], ["a", "a", "a"]) == {"a": False}


def test_the_p_value_is_fishers_by_hand():
    # 3 of 3 here, 0 of 3 there: 1 of the 20 ways to place three hits on six units
    group = groups_in_excess([True] * 3 + [False] * 3, ["x"] * 3 + ["y"] * 3, min_gap=0.3)[0]
    assert (group.name, group.num_hits, group.num_units, group.rate_elsewhere) == ("x", 3, 3, 0.0)
    assert group.p_value == pytest.approx(1 / 20)
    assert not group.is_excess  # 1/20 is no proof at 1 %


def test_the_interval_is_clopper_and_pearsons():
    # 5 of 5: low is the p with p^5 = 2.5 %
    group = groups_in_excess([True] * 5 + [False], ["x"] * 5 + ["y"], min_gap=0.3)[0]
    assert group.rate_low == pytest.approx(0.025 ** (1 / 5))
    assert group.rate_high == 1.0


def test_a_small_group_that_is_all_wrong_is_named_and_no_other():
    hits = [True] * 5 + [False] * 200
    names = ["small"] * 5 + [f"leaf{i % 20}" for i in range(200)]
    assert [g.name for g in groups_in_excess(hits, names, min_gap=0.3) if g.is_excess] == ["small"]


def test_a_significant_but_tiny_difference_is_not_named():
    hits = [i < 550 for i in range(5000)] + [i < 400 for i in range(5000)]  # 11 and 8 %
    groups = groups_in_excess(hits, ["x"] * 5000 + ["y"] * 5000, min_gap=0.1)
    assert groups[0].p_value < 1e-5
    assert not any(group.is_excess for group in groups)


def test_no_units_no_groups():
    assert groups_in_excess([], [], min_gap=0.1) == []
