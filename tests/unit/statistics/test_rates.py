import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.benchmarks.gate_simulation import outcomes

from spavl.statistics import rate_interval
from spavl.statistics.rates import clopper_pearson, rate_limits

ANSWERS = st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=1, max_size=60)


def split(answers):
    return [hit for hit, _ in answers], [image for _, image in answers]


@pytest.mark.parametrize(
    ("hits", "low", "high"),
    [
        (0, 0.0, 0.30850),  # 1 - .025^(1/10)
        (1, 0.00253, 0.44502),  # 1 - .975^(1/10), and the tables
        (5, 0.18709, 0.81291),  # the tables
        (10, 0.69150, 1.0),
    ],
)
def test_clopper_pearson_limits_of_hits_in_10_are_the_published_ones(hits, low, high):
    found = clopper_pearson(np.array(float(hits)), np.array(10.0), 0.05)
    assert [float(end) for end in found] == [pytest.approx(low, abs=1e-5), pytest.approx(high, abs=1e-5)]


def test_no_hit_on_100_images_with_a_prompt_each_is_clopper_pearson_with_students_t():
    # t(99) / z = 1.98422 / 1.95996, so 97.57 prompts: 1 - .025^(1 / 97.57)
    assert rate_interval([False] * 100, range(100)) == (0.0, 0.0, pytest.approx(0.03710, abs=1e-5))


def test_prompts_count_as_images_if_no_answer_shows_how_alike_they_are():
    many = rate_interval([False] * 150, [k // 3 for k in range(150)])
    assert many.high == pytest.approx(rate_interval([False] * 50, range(50)).high)


def test_three_alike_prompts_per_image_are_worth_one():
    # 20 of 100 images: the variance between images is 100/99 of three alike prompts', and the shrinkage has 20 for 2
    alike = rate_interval([k < 60 for k in range(300)], [k // 3 for k in range(300)])
    single = rate_interval([k < 20 for k in range(100)], range(100))
    assert alike == (0.2, pytest.approx(single.low, abs=0.001), pytest.approx(single.high, abs=0.001))


def test_unequal_images_are_worth_fewer_even_ones():
    # sizes 1, 1, 1, 1, 16: 400 / 260 = 1.54 even images, so hardly anything is known
    assert rate_interval([False] * 20, [0, 1, 2, 3] + [4] * 16).high > 0.9


def test_hits_and_misses_mirror_each_other():
    hits, images = [k % 7 == 0 for k in range(60)], [k // 3 for k in range(60)]
    value, low, high = rate_interval(hits, images)
    mirrored = rate_interval([not hit for hit in hits], images)
    assert mirrored == (pytest.approx(1 - value), pytest.approx(1 - high), pytest.approx(1 - low))


@settings(deadline=None)  # the first example imports scipy
@given(ANSWERS, st.floats(1e-4, 0.3))
def test_interval_holds_its_value_between_0_and_1_and_has_width(answers, alpha):
    value, low, high = rate_interval(*split(answers), alpha=alpha)
    assert 0 <= low <= value <= high <= 1
    assert high - low > 0.001


@settings(deadline=None)
@given(ANSWERS, st.randoms(use_true_random=False))
def test_order_of_the_prompts_does_not_matter(answers, random):
    shuffled = random.sample(answers, len(answers))
    assert rate_interval(*split(shuffled)) == pytest.approx(rate_interval(*split(answers)))


@settings(deadline=None)
@given(ANSWERS, st.floats(1e-4, 0.15))
def test_smaller_alpha_is_wider(answers, alpha):
    _, low, high = rate_interval(*split(answers), alpha=alpha)
    _, narrow_low, narrow_high = rate_interval(*split(answers), alpha=2 * alpha)
    assert low <= narrow_low + 1e-12 and high >= narrow_high - 1e-12


@pytest.mark.parametrize("icc", [0.0, 0.7])
@pytest.mark.parametrize("num_images", [17, 53])
@pytest.mark.parametrize("rate", [0.02, 0.3, 0.92])
def test_each_end_is_wrong_no_more_often_than_alpha_over_2(rate, num_images, icc):
    sums = outcomes(np.random.default_rng(1), [rate, 1 - rate], num_images, icc, 2000)[..., 0]
    _, low, high = rate_limits(sums, np.full(num_images, 3.0), 0.05)
    noise = 3 * (0.025 / 2000) ** 0.5
    assert (low > rate).mean() <= 0.025 + noise
    assert (high < rate).mean() <= 0.025 + noise


@pytest.mark.parametrize(
    ("hits", "images", "alpha", "word"),
    [
        ([], [], 0.05, "no values"),
        ([True], [1, 2], 0.05, "1 values but 2"),
        ([True], [1], 1.0, "alpha is 1.0"),
    ],
)
def test_what_has_no_interval_is_refused(hits, images, alpha, word):
    with pytest.raises(ValueError, match=word):
        rate_interval(hits, images, alpha=alpha)
