import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spavl.stages.evaluation.bounds import change_bounds, difference_bounds, rate_bounds
from spavl.statistics import change_interval, rate_interval

NAN = float("nan")


def test_a_rate_has_the_interval_by_image_and_gate_bounds_at_their_own_level():
    hits = [1.0] * 6 + [0.0] * 54
    images = np.arange(60) // 3
    bounds = rate_bounds(np.array(hits), images, alpha=0.01)
    assert bounds.value == pytest.approx(0.1) and bounds.n == 60
    assert (bounds.low, bounds.high) == pytest.approx(rate_interval(hits, list(images), alpha=0.05)[1:])
    # a one-sided level of 1 % for each end is a two-sided one of 2 %
    assert (bounds.gate_low, bounds.gate_high) == pytest.approx(
        rate_interval(hits, list(images), alpha=0.02)[1:]
    )


def test_an_answer_without_a_verdict_is_left_out_of_the_value_and_counts_as_the_worst_case_in_the_bounds():
    images = np.arange(20)
    bounds = rate_bounds(np.array([1.0] * 5 + [0.0] * 10 + [NAN] * 5), images, alpha=0.025)
    assert (bounds.value, bounds.n) == (pytest.approx(1 / 3), 15)
    assert bounds.gate_low == pytest.approx(rate_interval([1] * 5 + [0] * 15, list(images)).low)
    assert bounds.gate_high == pytest.approx(rate_interval([1] * 10 + [0] * 10, list(images)).high)


def test_of_a_change_the_new_model_gets_the_worst_and_the_old_one_the_best():
    new = np.array([0.0, NAN, 0.0, 0.0])
    old = np.array([0.0, 0.0, NAN, 0.0])
    images = np.arange(4)
    bounds = change_bounds(new, old, images, alpha=0.025)
    assert (bounds.value, bounds.n) == (0.0, 2)
    assert bounds.gate_high == pytest.approx(change_interval([0, 1, 0, 0], list(images)).high)
    assert bounds.gate_low == pytest.approx(change_interval([0, 0, -1, 0], list(images)).low)


def test_a_rate_or_a_change_over_no_verdict_does_not_exist():
    nothing, images = np.array([NAN, NAN]), np.arange(2)
    assert rate_bounds(nothing, images, alpha=0.03) is None
    assert change_bounds(np.ones(2), nothing, images, alpha=0.03) is None
    assert difference_bounds(nothing, images, alpha=0.03) is None


def test_equal_models_have_a_change_of_0_with_width():
    values, images = np.ones(30), np.arange(30) // 3
    bounds = change_bounds(values, values, images, alpha=0.03)
    assert bounds.value == 0 and bounds.gate_low < 0 < bounds.gate_high


VALUES = st.lists(st.sampled_from([0.0, 1.0, NAN]), min_size=1, max_size=40)


@settings(deadline=None)
@given(VALUES, st.integers(1, 5), st.floats(0.0005, 0.2))
def test_the_value_lies_within_interval_and_bounds(values, per_image, alpha):
    values, images = np.array(values), np.arange(len(values)) // per_image
    for bounds in (
        rate_bounds(values, images, alpha),
        change_bounds(values, values[::-1], images, alpha),
        difference_bounds(values, images, alpha),
    ):
        if bounds is not None:
            assert bounds.low <= bounds.value <= bounds.high
            assert bounds.gate_low <= bounds.value <= bounds.gate_high
