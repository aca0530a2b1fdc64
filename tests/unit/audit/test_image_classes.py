import random

import numpy as np
import pytest

from spavl.audit.image_classes import Described, class_noise, relisted_share, skill

THINGS = {"benign": ("tree", "cup", "road"), "domain1": ("gear", "rope"), "domain2": ("wheel", "bell")}


def images(seed: int = 0, num: int = 200) -> list[Described]:
    rng, made = random.Random(seed), []
    for i in range(num):
        domain = ("benign", "benign", "domain1", "domain2")[i % 4]
        made.append(
            Described(f"n{seed}i{i}", f"a {rng.choice(('red', 'old'))} {rng.choice(THINGS[domain])}", domain)
        )
    return made


def permuted(made: list[Described], share: float) -> list[Described]:
    places = random.Random(1).sample(range(len(made)), int(share * len(made)))
    domains = [made[place].domain for place in places]
    random.Random(2).shuffle(domains)
    changed = dict(zip(places, domains, strict=True))
    return [Described(d.image_id, d.words, changed.get(i, d.domain)) for i, d in enumerate(made)]


def test_classes_that_captions_tell_have_full_skill_and_no_noise():
    found = class_noise(images())
    assert (found.skill, found.share, found.image_ids) == (1.0, 0.0, ())


def test_permuted_classes_have_no_skill():
    assert class_noise(permuted(images(), 1.0)).skill < 0.15


def test_classes_permuted_over_some_images_contradict_their_captions():
    made = permuted(images(), 0.2)
    wrong = {d.image_id for d, honest in zip(made, images(), strict=True) if d.domain != honest.domain}
    found = class_noise(made)
    assert found.share >= 0.5 * len(wrong) / 200
    assert set(found.image_ids) <= wrong


def test_skill_by_hand():
    # two classes, half of the first and all of the second right: mean 3/4, half way from guessing (1/2) to 1
    chances = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.3, 0.7]])
    assert skill([0, 0, 1, 1], chances) == pytest.approx(0.5)


def test_a_thing_listed_as_benign_tonight_is_seen_by_what_it_was_last_night():
    tonight = [
        Described(d.image_id, d.words, "benign" if "bell" in d.words else d.domain) for d in images(seed=5)
    ]
    num_bells = sum("bell" in d.words for d in tonight)
    assert relisted_share(images(), tonight) == pytest.approx(num_bells / 200)
    assert relisted_share(images(), images(seed=5)) == 0.0
    assert class_noise(tonight).share < 0.02  # its own night cannot tell


def test_a_new_domain_is_not_relisted():
    new = [Described(f"x{i}", "a new bridge", "domain9") for i in range(60)]
    assert relisted_share(images(), images(seed=5) + new) == 0.0


def test_a_first_night_and_few_images_say_nothing():
    assert relisted_share([], images()) is None
    assert class_noise(images()[:40]) is None
    assert class_noise([Described(f"i{i}", "a cup", "benign") for i in range(80)]) is None
