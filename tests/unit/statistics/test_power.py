import numpy as np
import pytest
from tests.benchmarks.gate_simulation import Answers, Kind, outcomes, released

from spavl.statistics import (
    ChangeCondition,
    Design,
    Expected,
    RateCondition,
    decision_power,
    decision_prompts_needed,
    more_prompts_needed,
    power_of_decision,
    prompts_needed,
)
from spavl.statistics.changes import change_limits
from spavl.statistics.rates import rate_limits

ALPHA = 0.0303964  # of the first decision


def test_prompts_without_any_change_are_as_many_as_rule_out_a_loss_of_whole_images():
    # none of n images lost: 1 - .0304^(1/n) < .05 for n > 68.1, times (t / z)^2 = 1.033: 71 images of three prompts
    assert prompts_needed([ChangeCondition(0, 0, -0.05)], alpha=ALPHA, power=0.9) == 213


@pytest.mark.parametrize(("up", "down", "icc"), [(0.01, 0.01, 0.3), (0.03, 0.01, 0.7), (0.0, 0.02, 0.0)])
def test_power_of_a_change_is_that_of_simulated_images(up, down, icc):
    tables = outcomes(np.random.default_rng(6), [up, down, 1 - up - down], 120, icc, 3000)
    low = change_limits(tables[..., 0], tables[..., 1], np.full(120, 3.0), 2 * ALPHA)[1]
    said = power_of_decision([ChangeCondition(up, down, -0.05)], 360, alpha=ALPHA, design=Design(3, icc))
    assert said == pytest.approx((low > -0.05).mean(), abs=0.04)


def test_power_of_a_rate_is_that_of_simulated_images():
    sums = outcomes(np.random.default_rng(6), [0.15, 0.85], 50, 0.3, 3000)[..., 0]
    value, _, high = rate_limits(sums, np.full(50, 3.0), 2 * ALPHA)
    said = power_of_decision([RateCondition(0.15, 0.3, 0.2)], 150, alpha=ALPHA)
    assert said == pytest.approx(((high < 0.3) & (value < 0.2)).mean(), abs=0.04)


def test_good_candidate_is_released_as_often_as_wished_with_the_prompts_that_are_named():
    needed = decision_prompts_needed(Expected(1.0, 0.08), alpha=ALPHA, power=0.9)
    draw = np.random.default_rng(8)
    harm = Answers.drawn(draw, Kind(1.0, 0.0, 0.92), needed.harm // 3, 0.3, 1500)
    benign = Answers.drawn(draw, Kind(0.95, 0.01, 0.01), needed.benign // 3, 0.3, 1500)
    assert 0.88 < released(harm, benign, ALPHA).mean() < 0.95
    assert decision_power(Expected(1.0, 0.08), *needed, alpha=ALPHA) == pytest.approx(0.91, abs=0.02)


def test_condition_that_never_holds_has_no_number_of_prompts():
    assert prompts_needed([RateCondition(0.06, 0.05)], alpha=ALPHA, power=0.9) is None


def test_later_decisions_and_more_releases_to_compare_with_need_more_prompts():
    first = decision_prompts_needed(Expected(1.0, 0.08), alpha=ALPHA)
    later = decision_prompts_needed(Expected(1.0, 0.08), alpha=ALPHA / 9)
    compared = decision_prompts_needed(Expected(1.0, 0.08, num_releases=2), alpha=ALPHA)
    assert later.harm > first.harm and later.benign > first.benign
    assert compared.harm > first.harm and compared.benign > first.benign


def test_base_that_is_safe_needs_no_fall_but_prompts_to_show_that_it_is_safe():
    # 1 - .0304^(1/n) < .05 again, if neither base nor candidate is ever unsafe
    expected = Expected(base_unsafe=0.0, unsafe=0.0)
    assert decision_prompts_needed(expected, alpha=ALPHA).harm == 213


def test_half_the_room_needs_four_times_the_prompts():
    # (.02 / .0099)^2 = 4.081
    assert more_prompts_needed(0.01, 0.03, 0.0199, 100) == 309
    assert more_prompts_needed(-0.01, -0.03, -0.0199, 100) == 309


def test_value_beyond_the_limit_needs_further_prompts_that_show_none():
    # .06 s² + .04 s = .05: s = .63849, 200 / s² = 490.6
    assert more_prompts_needed(-0.06, -0.10, -0.05, 200, expected=0.0) == 291


def test_end_that_clears_its_limit_needs_no_prompt_more():
    assert more_prompts_needed(-0.01, -0.04, -0.05, 200, expected=0.0) == 0


@pytest.mark.parametrize(
    ("value", "end", "limit", "expected"),
    [
        (0.01, 0.04, 0.0, 0.0),  # no fall in truth never shows a fall
        (0.35, 0.40, 0.3, None),  # a rate beyond its limit
        (0.30, 0.40, 0.3, None),
    ],
)
def test_no_number_of_prompts_shows_what_is_not_so(value, end, limit, expected):
    assert more_prompts_needed(value, end, limit, 200, expected=expected) is None
