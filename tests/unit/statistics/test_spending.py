import math

import pytest

from spavl.statistics import alpha_of_decision, slice_alpha


def test_first_three_decisions_spend_these_shares_of_5_percent():
    # 6 / pi^2 = .607927, and a quarter and a ninth of it
    spent = [alpha_of_decision(number, 0.05) for number in (1, 2, 3)]
    assert spent == [pytest.approx(0.03039636), pytest.approx(0.00759909), pytest.approx(0.00337737)]


def test_all_decisions_together_spend_alpha():
    assert sum(alpha_of_decision(number, 0.05) for number in range(1, 100_001)) == pytest.approx(
        0.05, abs=1e-6
    )


def test_no_number_of_independent_nights_errs_more_than_alpha():
    none_errs = math.prod(1 - alpha_of_decision(number, 0.05) for number in range(1, 10_001))
    assert 0.04 < 1 - none_errs <= 0.05


def test_decisions_are_counted_from_1():
    with pytest.raises(ValueError, match="number 0"):
        alpha_of_decision(0, 0.05)


def test_slices_share_alpha():
    assert slice_alpha(0.05, 5) == pytest.approx(0.01)


def test_no_slice_shares_no_alpha():
    with pytest.raises(ValueError, match="0 slices"):
        slice_alpha(0.05, 0)
