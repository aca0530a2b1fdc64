from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.made_rows import image

from spavl.errors import UserError
from spavl.stages.dataset.config import DatasetConfig
from spavl.stages.dataset.splitting import split_images


def config(**more):
    return DatasetConfig(test_share=0.2, validation_share=0.1, near_duplicate_bits=1, **more)


def apart(number):
    """A hash at least two bits from that of any other number below 256."""
    return f"{number:02x}" * 8


def some_images(numbers):
    return [image(f"i{n:03d}", perceptual_hash=apart(n), is_benign=n % 2 == 0) for n in numbers]


def by_split(rows):
    found = defaultdict(set)
    for row in rows:
        found[row.split].add(row.id)
    return found


def test_shares_are_met_and_every_class_is_spread():
    rows = split_images(some_images(range(100)), [], config())
    assert Counter(row.split for row in rows) == {"train": 70, "test": 20, "validation": 10}
    benign = Counter(row.split for row in rows if int(row.id[1:]) % 2 == 0)
    assert benign == {"train": 35, "test": 10, "validation": 5}


def test_the_seed_and_the_images_alone_decide():
    images = some_images(range(60))
    rows = split_images(images, [], config())
    assert split_images(list(reversed(images)), [], config()) == rows
    assert by_split(split_images(images, [], config(seed=1))) != by_split(rows)


def test_near_duplicates_share_a_split():
    images = some_images(range(40)) + [
        image(f"j{n:03d}", perceptual_hash=f"{int(apart(n), 16) ^ 1:016x}") for n in range(40)
    ]
    rows = {row.id: row for row in split_images(images, [], config())}
    for number in range(40):
        assert rows[f"i{number:03d}"].split == rows[f"j{number:03d}"].split
        assert rows[f"j{number:03d}"].duplicate_group == f"i{number:03d}"


def test_a_later_night_keeps_every_split_and_fills_the_shares():
    first = split_images(some_images(range(50)), [], config())
    second = split_images(some_images(range(100)), first, config())
    known = {row.id: row.split for row in first}
    assert all(row.split == known[row.id] for row in second if row.id in known)
    assert Counter(row.split for row in second) == {"train": 70, "test": 20, "validation": 10}


def test_an_image_that_was_away_comes_back_to_its_split():
    first = split_images(some_images(range(50)), [], config())
    second = split_images(some_images(range(25)), first, config())
    assert {row.id for row in second if not row.is_present} == {f"i{n:03d}" for n in range(25, 50)}
    third = split_images(some_images(range(50)), second, config(seed=9))
    assert by_split(third) == by_split(first)


def test_a_new_image_that_links_two_splits_is_left_out_and_nothing_moves():
    old = [image("a", perceptual_hash="0" * 16), image("b", perceptual_hash="0" * 15 + "3")]
    old += some_images(range(2, 30))
    first = split_images(old, [], config())
    splits = {row.id: row.split for row in first}
    seed = next(
        s
        for s in range(50)
        if len({r.split for r in split_images(old, [], config(seed=s)) if r.id in "ab"}) == 2
    )
    first = split_images(old, [], config(seed=seed))
    splits = {row.id: row.split for row in first}
    bridge = image("bridge", perceptual_hash="0" * 15 + "1")  # one bit from a and one from b
    tail = image("tail", perceptual_hash="0" * 15 + "5")  # one bit from the bridge alone
    second = split_images([*old, bridge, tail], first, config(seed=seed))
    after = {row.id: row.split for row in second}
    assert after == {**splits, "bridge": "left_out", "tail": "left_out"}
    # what was left out once may find a place when its neighbour is gone for good: it never had a split
    third = split_images([*old, tail], second, config(seed=seed))
    assert {row.id: row.split for row in third}["tail"] in ("train", "validation", "test")


def test_raised_near_duplicate_bits_that_would_move_images_are_refused():
    old = some_images(range(40))
    first = split_images(old, [], config())
    with pytest.raises(UserError, match="near_duplicate_bits 32"):
        split_images(old, first, DatasetConfig(test_share=0.2, validation_share=0.1, near_duplicate_bits=32))


def test_shares_that_leave_no_train_are_refused():
    with pytest.raises(UserError, match="leave nothing for train"):
        split_images(some_images(range(4)), [], DatasetConfig(test_share=0.6, validation_share=0.4))


nights = st.lists(st.sets(st.integers(0, 400), min_size=1, max_size=30), min_size=1, max_size=4)


@settings(deadline=None)  # the machine may be busy
@given(nights, st.integers(0, 5))
def test_no_image_and_no_near_duplicate_group_is_ever_in_two_splits(nights, seed):
    """Numbers are the hashes, so consecutive ones are often one bit apart and nights often bridge groups."""
    previous, forever = [], {}
    for night in nights:
        images = [image(f"i{n:03d}", perceptual_hash=f"{n:016x}") for n in sorted(night)]
        rows = split_images(images, previous, config(seed=seed))
        assert {row.id for row in rows if row.is_present} == {one.id for one in images}
        assert len({row.id for row in rows}) == len(rows)
        kept = [row for row in rows if row.split != "left_out"]
        for row in kept:
            assert forever.setdefault(row.id, row.split) == row.split
        for one in kept:
            for other in kept:
                if (int(one.perceptual_hash, 16) ^ int(other.perceptual_hash, 16)).bit_count() <= 1:
                    assert (one.split, one.duplicate_group) == (other.split, other.duplicate_group)
        previous = rows


def test_changed_copies_share_a_split_whatever_their_hashes():
    copies = {(f"i{n:03d}", f"i{n + 20:03d}") for n in range(20)}
    rows = {row.id: row for row in split_images(some_images(range(40)), [], config(), copies)}
    assert all(rows[one].split == rows[other].split for one, other in copies)
    assert rows["i025"].duplicate_group == "i005"


def test_old_images_stay_one_group_when_nothing_links_them_any_more():
    first = split_images(some_images(range(40)), [], config(), {("i000", "i001")})
    second = {row.id: row for row in split_images(some_images(range(41)), first, config())}
    assert second["i001"].duplicate_group == "i000"


def test_a_new_copy_of_images_in_two_splits_is_left_out():
    first = split_images(some_images(range(40)), [], config())
    splits = by_split(first)
    one, other = min(splits["train"]), min(splits["test"])
    second = split_images(some_images(range(41)), first, config(), {(one, "i040"), (other, "i040")})
    assert {row.id: row.split for row in second}["i040"] == "left_out"
