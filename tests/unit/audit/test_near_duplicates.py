import random

from hypothesis import given, settings
from hypothesis import strategies as st

from spavl.audit.near_duplicates import duplicate_groups


def groups_by_brute_force(hashes, max_bits):
    """Grow each group by comparing all with all until nothing changes."""
    group = {name: name for name in hashes}
    changed = True
    while changed:
        changed = False
        for one in hashes:
            for other in hashes:
                near = (int(hashes[one], 16) ^ int(hashes[other], 16)).bit_count() <= max_bits
                if near and group[other] < group[one]:
                    group[one], changed = group[other], True
    return group


def test_groups_by_hand():
    hashes = {
        "a": "0000000000000000",
        "b": "0000000000000003",  # 2 bits from a
        "c": "000000000000000f",  # 2 from b, 4 from a: linked through b
        "d": "ffffffffffffffff",
        "e": "ffffffffffffffff",
        "f": "00000000ffffffff",
    }
    assert duplicate_groups(hashes, 2) == {"a": "a", "b": "a", "c": "a", "d": "d", "e": "d", "f": "f"}
    assert duplicate_groups(hashes, 1) == {"a": "a", "b": "b", "c": "c", "d": "d", "e": "d", "f": "f"}
    assert duplicate_groups(hashes, 0)["e"] == "d"


def test_no_image_is_no_group():
    assert duplicate_groups({}, 4) == {}


@settings(deadline=None)  # the machine may be busy
@given(
    st.lists(st.tuples(st.integers(0, 3), st.sets(st.integers(0, 63), max_size=9)), min_size=1, max_size=14),
    st.integers(0, 32),
    st.randoms(use_true_random=False),
)
def test_the_groups_are_exactly_those_of_comparing_all_with_all(drawn, max_bits, rng):
    centres = [rng.getrandbits(64) for _ in range(4)]
    hashes = {}
    for number, (centre, flips) in enumerate(drawn):
        value = centres[centre]
        for bit in flips:
            value ^= 1 << bit
        hashes[f"i{number:02d}"] = f"{value:016x}"
    assert duplicate_groups(hashes, max_bits) == groups_by_brute_force(hashes, max_bits)


def test_pairs_one_bit_too_far_in_thousands_of_images_stay_apart():
    rng = random.Random(0)
    hashes = {}
    for number in range(2000):
        value = rng.getrandbits(64)
        near, far = rng.sample(range(64), 4), rng.sample(range(64), 5)
        hashes[f"{number:05d}"] = f"{value:016x}"
        flipped = near if number % 2 else far
        hashes[f"{number:05d}x"] = f"{value ^ sum(1 << bit for bit in flipped):016x}"
    groups = duplicate_groups(hashes, 4)
    # 1000 couples four bits apart are one group each, 1000 five bits apart are two
    assert len(set(groups.values())) == 3000
    assert groups["00001x"] == "00001"
    assert groups["00000x"] == "00000x"


def test_links_join_groups_whatever_the_hashes_and_unknown_ids_are_passed_over():
    hashes = {"a": "0" * 16, "b": "f" * 16, "c": "f" * 15 + "e", "d": "00ff" * 4}
    assert duplicate_groups(hashes, 1, [("a", "c"), ("d", "gone")]) == {
        "a": "a",
        "b": "a",
        "c": "a",
        "d": "d",
    }
