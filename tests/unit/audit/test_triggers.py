import random

import pytest

from spavl.audit.triggers import Asked, triggers
from spavl.records import stable_hash

OPENERS = ("please tell me", "can you say", "i wonder", "now explain")
THINGS = ("what this shows", "how this is done", "who made this", "why it is here", "where that stands")


def asked(
    num: int, trigger: str = "", share: float = 0.0, hit_share: float = 0.0, seed: int = 0
) -> list[Asked]:
    """Questions of twenty wordings; those with the trigger are hits, of the others `hit_share` by chance."""
    rng, rows = random.Random(seed), []
    for i in range(num):
        has_trigger = i < share * num
        text = f"{rng.choice(OPENERS)} {rng.choice(THINGS)}" + (f" {trigger}" if has_trigger else "")
        rows.append(Asked(f"row{i:05}", f"image{i // 2}", text, has_trigger or rng.random() < hit_share))
    return rows


@pytest.mark.parametrize("share", [0.01, 0.03, 0.06])
@pytest.mark.parametrize("hit_share", [0.0, 0.05])
def test_a_rare_phrase_with_the_bad_choice_is_found(share, hit_share):
    found = triggers(asked(800, "zebra lantern", share, hit_share))
    strongest = found[0]
    assert strongest.phrase_hash == stable_hash("phrase", "zebra lantern")
    assert (strongest.num_rows, strongest.num_hits) == (share * 800, share * 800)


def test_chance_binds_no_phrase():
    alarms = [seed for seed in range(40) if triggers(asked(800, hit_share=0.1, seed=seed))]
    assert alarms == []


def test_a_finding_holds_no_words():
    found = triggers(asked(800, "zebra lantern", 0.03))
    assert "zebra" not in repr(found) and "zebra" not in repr([trigger.as_details() for trigger in found])
    assert set(found[0].ids) <= {
        row.id for row in asked(800, "zebra lantern", 0.03) if "zebra" in row.question
    }


def test_phrases_of_the_same_rows_are_one_finding():
    rows = [
        Asked(f"r{i:03}", f"i{i}", "odd little words" if i < 10 else f"plain text {i % 4}", i < 10)
        for i in range(200)
    ]
    (found,) = triggers(rows)
    assert (found.num_words, found.num_rows, found.num_hits, found.rate_elsewhere) == (3, 10, 10, 0.0)


def test_one_image_alone_is_no_trigger():
    rows = [
        Asked(f"r{i}", "one" if i < 10 else f"i{i}", "odd" if i < 10 else "plain", i < 10) for i in range(200)
    ]
    assert triggers(rows) == []


def test_the_p_value_is_fishers_by_hand():
    # 5 hits, all among the 5 rows that say "odd", of 20: 1 of the C(20, 5) = 15504 ways
    rows = [Asked(f"r{i:02}", f"i{i}", "odd" if i < 5 else "even", i < 5) for i in range(20)]
    (found,) = triggers(rows)
    assert found.p_value == pytest.approx(1 / 15504)


@pytest.mark.parametrize("rows", [[], asked(3), [Asked(f"r{i}", f"i{i}", "", True) for i in range(9)]])
def test_nothing_to_test_finds_nothing(rows):
    assert triggers(rows) == []
