import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.benchmarks.gate_simulation import outcomes

from spavl.statistics import change_interval, rate_interval
from spavl.statistics.changes import change_limits, difference_limits

ANSWERS = st.lists(st.tuples(st.sampled_from([-1, 0, 1]), st.integers(0, 6)), min_size=1, max_size=60)


def split(answers):
    return [difference for difference, _ in answers], [image for _, image in answers]


def test_two_shares_with_given_limits_are_joined_as_newcombe_does():
    # correlation -sqrt(.2 * .1 / (.8 * .9)) = -1/6; low .1 - sqrt(.05² + .04² + .05 * .04 / 3) = .1 - .069041;
    # high .1 + sqrt(.06² + .03² + .06 * .03 / 3) = .1 + .071414
    up = tuple(np.array(x) for x in (0.2, 0.15, 0.26))
    down = tuple(np.array(x) for x in (0.1, 0.07, 0.14))
    value, low, high = (float(end) for end in difference_limits(up, down))
    assert (value, low, high) == (
        pytest.approx(0.1),
        pytest.approx(0.030959, abs=1e-6),
        pytest.approx(0.171414, abs=1e-6),
    )


def test_no_pair_that_differs_still_leaves_a_rare_change_possible():
    images = [k // 3 for k in range(150)]
    unseen = rate_interval([False] * 150, images).high
    assert change_interval([0] * 150, images) == (0.0, pytest.approx(-unseen), pytest.approx(unseen))


def test_wide_sample_has_the_width_of_the_normal_approximation():
    # 3,000 images, one prompt each, a tenth up and a fifth down: sqrt((.3 - .01) / 3000) * 1.95996 = .01927
    value, low, high = change_interval([1] * 300 + [-1] * 600 + [0] * 2100, range(3000))
    assert value == pytest.approx(-0.1)
    assert low == pytest.approx(-0.1 - 0.01927, abs=0.0005)
    assert high == pytest.approx(-0.1 + 0.01927, abs=0.0005)


def test_gains_and_losses_mirror_each_other():
    differences, images = [1, 0, 0, -1, -1, 0, 1, -1, 0] * 4, [k // 3 for k in range(36)]
    value, low, high = change_interval(differences, images)
    mirrored = change_interval([-difference for difference in differences], images)
    assert mirrored == (pytest.approx(-value), pytest.approx(-high), pytest.approx(-low))


@settings(deadline=None)  # the first example imports scipy
@given(ANSWERS, st.floats(1e-4, 0.3))
def test_interval_holds_its_value_between_minus_1_and_1_and_has_width(answers, alpha):
    value, low, high = change_interval(*split(answers), alpha=alpha)
    assert -1 <= low <= value <= high <= 1
    assert high - low > 0.001


@settings(deadline=None)
@given(ANSWERS, st.randoms(use_true_random=False))
def test_order_of_the_pairs_does_not_matter(answers, random):
    shuffled = random.sample(answers, len(answers))
    assert change_interval(*split(shuffled)) == pytest.approx(change_interval(*split(answers)))


@settings(deadline=None)
@given(ANSWERS, st.floats(1e-4, 0.15))
def test_smaller_alpha_is_wider(answers, alpha):
    _, low, high = change_interval(*split(answers), alpha=alpha)
    _, narrow_low, narrow_high = change_interval(*split(answers), alpha=2 * alpha)
    assert low <= narrow_low + 1e-12 and high >= narrow_high - 1e-12


@pytest.mark.parametrize(("up", "down"), [(0.005, 0.005), (0.01, 0.06), (0.3, 0.3), (0.0, 0.92)])
@pytest.mark.parametrize(("num_images", "icc"), [(17, 1.0), (53, 0.0), (53, 0.7)])
def test_each_end_is_wrong_no_more_often_than_alpha_over_2(up, down, num_images, icc):
    tables = outcomes(np.random.default_rng(1), [up, down, 1 - up - down], num_images, icc, 2000)
    _, low, high = change_limits(tables[..., 0], tables[..., 1], np.full(num_images, 3.0), 0.05)
    noise = 3 * (0.025 / 2000) ** 0.5
    assert (low > up - down + 1e-9).mean() <= 0.025 + noise
    assert (high < up - down - 1e-9).mean() <= 0.025 + noise


@pytest.mark.parametrize("icc", [0.3, 0.7, 1.0])
def test_few_large_images_among_many_small_ones_do_not_make_an_end_too_sure(icc):
    sizes = np.array(([1] * 5 + [20]) * 30)
    draw, shares = np.random.default_rng(1), [0.0, 0.05, 0.95]
    own = draw.multinomial(np.broadcast_to(sizes, (2000, 180)), shares)
    shared = draw.multinomial(1, shares, size=(2000, 180)) * sizes[:, None]
    tables = np.where((draw.random((2000, 180)) < icc)[..., None], shared, own)
    _, low, high = change_limits(tables[..., 0], tables[..., 1], sizes, 0.05)
    noise = 3 * (0.025 / 2000) ** 0.5
    assert (low > -0.05).mean() <= 0.025 + noise
    assert (high < -0.05).mean() <= 0.025 + noise


def test_power_is_not_thrown_away():
    # 150 images, 2 % each way, icc .3: the best that could be is 1.645 * sqrt(.04 * 1.6 / 450) = .0196 at alpha .1
    tables = outcomes(np.random.default_rng(1), [0.02, 0.02, 0.96], 150, 0.3, 500)
    _, low, high = change_limits(tables[..., 0], tables[..., 1], np.full(150, 3.0), 0.1)
    assert (high - low).mean() / 2 < 0.028


def test_difference_that_is_none_of_yes_and_no_is_refused():
    with pytest.raises(ValueError, match="is -1, 0 or 1, not 2"):
        change_interval([0, 2], [1, 2])
