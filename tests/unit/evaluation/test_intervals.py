import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spavl.evaluation.intervals import clustered_wilson, paired_bootstrap, wilson


def test_wilson_interval_of_0_in_10_is_the_known_one():
    # z²/(n + z²) = 3.8415 / 13.8415
    assert wilson(0, 10) == (0.0, 0.0, pytest.approx(0.27753, abs=1e-5))


def test_wilson_interval_of_5_in_10_is_the_known_one():
    # 0.5 ± z·sqrt(0.25/10 + z²/400) / (1 + z²/10) = 0.5 ± 0.26341
    assert wilson(5, 10) == (0.5, pytest.approx(0.23659, abs=1e-5), pytest.approx(0.76341, abs=1e-5))


def test_wilson_interval_of_10_in_10_mirrors_0_in_10():
    assert wilson(10, 10) == (1.0, pytest.approx(1 - 0.27753, abs=1e-5), 1.0)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_holds_the_share_and_stays_between_0_and_1(hits_and_n):
    value, low, high = wilson(*hits_and_n)
    assert 0 <= low <= value <= high <= 1


@settings(deadline=None)  # the first example imports numpy
@given(st.lists(st.sampled_from([-1, 0, 1]), min_size=1, max_size=200), st.integers(0, 2**128))
def test_bootstrap_interval_holds_the_mean_difference(differences, seed):
    value, low, high = paired_bootstrap(differences, range(len(differences)), num_resamples=1000, seed=seed)
    assert value == pytest.approx(sum(differences) / len(differences))
    assert -1 <= low <= value + 1e-12 and value - 1e-12 <= high <= 1


def test_bootstrap_of_equal_differences_has_no_width():
    assert paired_bootstrap([-1] * 7, range(7), num_resamples=100, seed=0) == (-1.0, -1.0, -1.0)


def test_bootstrap_is_as_wide_as_the_normal_approximation_at_large_n():
    # 2,000 pairs, a quarter down, the rest unchanged: standard error sqrt(.25·.75/2000) = .009682
    value, low, high = paired_bootstrap([-1] * 500 + [0] * 1500, range(2000), num_resamples=20_000, seed=1)
    assert value == -0.25
    assert low == pytest.approx(-0.25 - 1.96 * 0.009682, abs=0.001)
    assert high == pytest.approx(-0.25 + 1.96 * 0.009682, abs=0.001)


def test_bootstrap_with_the_same_seed_is_the_same():
    differences = [-1, 0, 0, 1, -1, -1]
    first, second = (paired_bootstrap(differences, "abcdef", num_resamples=500, seed=3) for _ in range(2))
    assert first == second


def test_prompts_that_always_agree_with_their_image_count_as_one():
    # 100 images with four prompts each that go the same way: as wide as 100 prompts, not 400
    grouped = paired_bootstrap(
        [-1] * 100 + [0] * 300, [k // 4 for k in range(400)], num_resamples=20_000, seed=1
    )
    single = paired_bootstrap([-1] * 25 + [0] * 75, range(100), num_resamples=20_000, seed=1)
    assert grouped.low == pytest.approx(single.low, abs=0.005)
    assert grouped.high == pytest.approx(single.high, abs=0.005)


def test_clustered_wilson_of_single_prompts_is_wilson():
    # residuals of a share of .2: the variance between 100 single prompts is 100/99 of that of independent draws
    assert clustered_wilson([True] * 20 + [False] * 80, range(100)) == pytest.approx(wilson(20 * 0.99, 99))


def test_clustered_wilson_of_four_alike_prompts_per_image_has_a_quarter_of_the_n():
    hits = [k < 80 for k in range(400)]
    assert clustered_wilson(hits, [k // 4 for k in range(400)]) == pytest.approx(wilson(20 * 0.99, 99))


def test_prompts_that_differ_inside_each_image_are_not_worth_more_than_their_number():
    assert clustered_wilson([True, False] * 50, [k // 2 for k in range(100)]) == wilson(50, 100)


def test_clustered_wilson_of_no_hit_is_wilson():
    assert clustered_wilson([False] * 10, [0] * 5 + [1] * 5) == wilson(0, 10)
