import dataclasses

import pytest
from tests.unit.audit.worlds import pairs

from spavl.audit.direction import by_labels, by_words, chances_of_chosen


def test_pairs_that_point_the_right_way_show_nothing():
    for direction in (by_labels(pairs()), by_words(pairs())):
        assert direction.share == 0.0 and direction.num_pairs == 200
        assert direction.num_leaves_in_excess == direction.num_domains_in_excess == 0


def test_a_leaf_of_five_images_with_chosen_and_rejected_exchanged_is_named():
    made = pairs(lambda pair: pair.leaf == "leaf31")
    for direction in (by_labels(made), by_words(made)):
        assert direction.share == 10 / 200
        assert [group.name for group in direction.leaves if group.is_excess] == ["leaf31"]
        assert direction.worst_leaf.num_hits == direction.worst_leaf.num_units == 5
        assert set(direction.ids) == {pair.id for pair in made if pair.leaf == "leaf31"}


def test_a_domain_exchanged_together_with_its_labels_is_seen_by_words_alone():
    made = pairs(lambda pair: pair.domain == "domain4", with_labels=True)
    assert by_labels(made).share == 0.0
    words = by_words(made)
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


def test_pairs_without_both_labels_are_not_told_apart():
    unlabelled = [dataclasses.replace(pair, rejected_is_unsafe=None) for pair in pairs()]
    both_unsafe = [dataclasses.replace(pair, chosen_is_unsafe=True) for pair in pairs()]
    assert by_labels(unlabelled).share is None
    assert by_labels(both_unsafe).num_pairs == 0


def test_few_pairs_say_nothing_about_words():
    assert by_words(pairs()[:49]).share is None
