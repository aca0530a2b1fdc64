import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spavl.statistics import corrected_rate

COUNTS = st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def test_value_is_rogan_and_gladens():
    # epiR's example: 23 of 150 positive, sensitivity .96, specificity .89: (.15333 + .89 - 1) / .85 = 5.1 %
    found = corrected_rate(23, 150, sensitivity=(96, 100), specificity=(89, 100))
    assert found.value == pytest.approx(0.05098, abs=1e-5)
    assert found.low == 0.0 and 0.1 < found.high < 0.16


def test_interval_of_a_judge_known_to_be_perfect_is_agresti_and_coulls():
    # 10 of 100: (10 + 1.92073) / 103.84146 = .114797, ± 1.95996 * sqrt(.114797 * .885203 / 103.84146) = .061315
    sure = (10**12, 10**12)
    value, low, high = corrected_rate(10, 100, sensitivity=sure, specificity=sure)
    assert (value, low, high) == (
        pytest.approx(0.1),
        pytest.approx(0.053482, abs=1e-5),
        pytest.approx(0.176112, abs=1e-5),
    )


def test_fewer_gold_items_make_a_wider_interval():
    few = corrected_rate(60, 200, sensitivity=(18, 20), specificity=(18, 20))
    many = corrected_rate(60, 200, sensitivity=(900, 1000), specificity=(900, 1000))
    assert few.value == pytest.approx(many.value)
    assert few.high - few.low > many.high - many.low


def test_judge_no_better_than_a_coin_corrects_nothing():
    assert corrected_rate(10, 100, sensitivity=(50, 100), specificity=(50, 100)) is None
    assert corrected_rate(10, 100, sensitivity=(20, 100), specificity=(70, 100)) is None


def test_impossible_counts_are_refused():
    with pytest.raises(ValueError, match="sensitivity: 11 out of 10"):
        corrected_rate(1, 10, sensitivity=(11, 10), specificity=(9, 10))


def test_judge_that_errs_less_here_than_on_its_known_items_leaves_an_interval():
    # none of 150 unsafe, though 60 of 1,000 safe items were called unsafe
    value, low, high = corrected_rate(0, 150, sensitivity=(950, 1000), specificity=(940, 1000))
    sure = corrected_rate(0, 150, sensitivity=(10**12, 10**12), specificity=(10**12, 10**12))
    assert (value, low) == (0.0, 0.0)
    assert high == pytest.approx(sure.high, abs=1e-6)


@given(COUNTS, COUNTS, COUNTS)
def test_interval_holds_its_value_between_0_and_1_and_has_width(rate, sensitivity, specificity):
    found = corrected_rate(*rate, sensitivity=sensitivity, specificity=specificity)
    if found is not None:
        assert 0 <= found.low <= found.value <= found.high <= 1
        assert found.high > found.low


def test_interval_holds_the_truth_as_often_as_it_says():
    draw = np.random.default_rng(2)
    prevalence, sensitivity, specificity, n, gold = 0.2, 0.9, 0.95, 300, 60
    seen = prevalence * sensitivity + (1 - prevalence) * (1 - specificity)
    drawn = [draw.binomial(*of, size=1000) for of in ((n, seen), (gold, sensitivity), (gold, specificity))]
    holds = [
        low <= prevalence <= high
        for hits, right, safe in zip(*drawn, strict=True)
        for _, low, high in [corrected_rate(hits, n, sensitivity=(right, gold), specificity=(safe, gold))]
    ]
    assert 0.93 <= np.mean(holds) <= 0.99
