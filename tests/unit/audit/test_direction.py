import dataclasses

import pytest
from tests.unit.audit.worlds import pairs

from spavl.audit.direction import by_words, chances_of_chosen, direction_of


def test_pairs_that_point_the_right_way_show_nothing():
    direction = by_words(pairs())
    assert direction.share == 0.0 and direction.num_pairs == 200
    assert direction.num_leaves_in_excess == direction.num_domains_in_excess == 0


def test_a_leaf_of_five_images_with_chosen_and_rejected_exchanged_is_named():
    made = pairs(lambda pair: pair.leaf == "leaf31")
    direction = by_words(made)
    assert direction.share == 10 / 200
    assert [group.name for group in direction.leaves if group.is_excess] == ["leaf31"]
    assert direction.worst_leaf.num_hits == direction.worst_leaf.num_units == 5
    assert set(direction.ids) == {pair.id for pair in made if pair.leaf == "leaf31"}


def test_an_exchanged_domain_is_named():
    words = by_words(pairs(lambda pair: pair.domain == "domain4"))
    assert words.share == pytest.approx(0.2)
    assert [group.name for group in words.domains if group.is_excess] == ["domain4"]


def test_a_domains_own_words_never_speak_for_it():
    # the words of domain0 stand in no other domain: nothing can be said about its pairs
    alone = [
        dataclasses.replace(pair, chosen=f"uno {pair.id}", rejected=f"due {pair.id}")
        if pair.domain == "domain0"
        else pair
        for pair in pairs()
    ]
    chances = chances_of_chosen(alone)
    assert chances[:40] == [0.5] * 40
    assert min(chances[40:]) > 0.5


def test_few_pairs_say_nothing_about_words():
    assert by_words(pairs()[:49]).share is None


def test_pairs_counted_elsewhere_are_judged_alike():
    leaves = {f"leaf{n}": (5 if n == 3 else 0, 5) for n in range(20)}
    direction = direction_of(5, 100, leaves, {"domain": (5, 100)}, ["p1", "p2"])
    assert (direction.share, direction.num_pairs, direction.ids) == (0.05, 100, ("p1", "p2"))
    assert [group.name for group in direction.leaves if group.is_excess] == ["leaf3"]
    assert direction_of(0, 0, {}, {}, ()).share is None
