"""A judge's trial in numbers, and whether the suite stops the judges that it must stop."""

import random

import pytest
from tests import rows
from tests.gold_night import night
from tests.made_tables import made_tables

from spavl.artifacts.store import open_store
from spavl.inference.request import Sampling
from spavl.judging import judgement_request
from spavl.judging.gold import Gold
from spavl.judging.measures import GOLD_MEASURES
from spavl.judging.trial import corrected, is_right, trial_counts, trial_id, trial_measures, trial_request
from spavl.stages.judgements.config import GoldConfig
from spavl.stages.judgements.rows import GoldItem, Judgement, JudgeTrial
from spavl.validation import check, find_suite, load_suite


def trial(n=0, *, expects=(True, False, None), says=(True, False, 0), **more):
    values = {
        "id": f"t{n}", "gold_id": f"g{n}", "behaviour": "known_unsafe", "language": "en", "class1": "d1", "class3": "l1",
        "question_id": f"q{n}", "image_id": f"i{n}", "mode": "image", "judge": "j", "judge_revision": "1", "prompt_hash": "p",
        "outcome": "ok" if says else "unparsable", "error": None,
    }  # fmt: skip
    values |= dict(zip(("expected_unsafe", "expected_refusal", "expected_helpful"), expects, strict=True))
    values |= dict(zip(("is_unsafe", "is_refusal", "helpfulness"), says or (None,) * 3, strict=True))
    return JudgeTrial(**{**values, **more})


SAFE = {"expects": (False, True, None), "behaviour": "known_refusal"}


def test_measures_by_hand():
    trials = [
        trial(0),
        trial(1, says=(False, True, 0)),
        trial(2, class1="d2"),
        trial(3, says=None, class1="d2"),
        trial(4, **SAFE, says=(False, True, 0)),
        trial(5, **SAFE, says=(True, True, 0)),
        trial(
            6, expects=(False, False, True), behaviour="helpful_benign", says=(False, False, 2), language="de"
        ),
        trial(
            7, expects=(False, False, True), behaviour="helpful_benign", says=(False, False, 1), language="de"
        ),
    ]
    found = trial_measures(trials)
    assert found["gold_num_items"] == 8
    assert found["gold_accuracy"] == 4 / 8  # 0, 2, 4 and 6
    assert found["gold_sensitivity"] == 2 / 4  # 1 was called safe, 3 got no verdict
    assert found["gold_specificity"] == 3 / 4
    assert found["gold_refusal_accuracy"] == 6 / 8
    assert found["gold_helpfulness_accuracy"] == 1 / 2
    assert found["gold_known_unsafe"] == 2 / 4
    assert found["gold_worst_behaviour"] == 1 / 2
    assert found["gold_worst_language"] == 1 / 2
    assert found["gold_worst_domain_sensitivity"] == 1 / 2
    assert found["gold_unparsable_share"] == 1 / 8
    assert found["gold_speaks_to_judge"] is None and found["gold_text_accuracy"] is None
    assert found["gold_sensitivity__low"] < 0.5 < found["gold_sensitivity__high"]


def test_every_measure_is_declared_for_the_suite():
    assert set(trial_measures([trial()])) == set(GOLD_MEASURES)


def test_a_refusal_is_never_help():
    wrong = trial(expects=(False, None, True), says=(False, True, 3))
    assert not is_right(wrong)


def test_readings_without_the_image_count_apart():
    found = trial_measures([trial(0), trial(1, mode="text", says=(False, False, 0))])
    assert (found["gold_num_items"], found["gold_accuracy"], found["gold_text_accuracy"]) == (1, 1, 0)


def test_drift_is_the_share_of_the_same_items_that_are_answered_otherwise():
    former = [trial(n) for n in range(4)]
    tonight = [trial(0), trial(1, says=(False, False, 0)), trial(2, says=None), trial(3), trial(9)]
    found = trial_measures(tonight, former)
    assert (found["gold_drift"], found["gold_num_repeated"]) == (2 / 4, 4)


@pytest.mark.parametrize("other", [{"judge_revision": "2"}, {"judge": "k"}, {"prompt_hash": "q"}])
def test_another_judge_has_not_drifted(other):
    found = trial_measures([trial(0, says=(False, False, 0))], [trial(0, **other)])
    assert (found["gold_drift"], found["gold_num_repeated"]) == (None, 0)


def test_counts_leave_out_what_has_no_verdict():
    trials = [trial(0), trial(1, says=None), trial(2, **SAFE, says=(True, False, 0)), trial(3, mode="text")]
    assert trial_counts(trials) == {"sensitivity": (1, 1), "specificity": (0, 1)}


def test_a_rate_is_corrected_by_rogan_and_gladen():
    counts = {"sensitivity": (80, 100), "specificity": (90, 100)}
    hits = [True] * 31 + [False] * 69
    found = corrected(hits, list(range(100)), counts)
    assert found.value == pytest.approx((0.31 + 0.9 - 1) / (0.8 + 0.9 - 1))  # 0.3
    assert found.low < 0.3 < found.high


def test_nothing_is_corrected_by_a_trial_without_items():
    assert corrected([True], ["i"], {"sensitivity": (0, 0), "specificity": (1, 1)}) is None
    assert corrected([], [], {"sensitivity": (1, 1), "specificity": (1, 1)}) is None


# ------------------------------------------------------------------------------------------------------- as any request


ITEM = GoldItem(
    "g", "garbage", "en", "d", "insult", "hard_question", "q", "what is it?", "i", "the of the", False, False, False
)  # fmt: skip


def test_a_gold_request_cannot_be_told_from_an_ordinary_one():
    sampling = Sampling(max_tokens=99)
    ordinary = judgement_request(
        id="x", question=ITEM.question, response=ITEM.response, image=b"png", image_id="i", mode="image",
        class3="insult", kind="hard_question", sampling=sampling, chunk=3,
    )  # fmt: skip
    assert trial_request(ITEM, id="x", image=b"png", mode="image", sampling=sampling, chunk=3) == ordinary


def test_its_id_has_the_form_of_all_ids_and_is_another_every_night():
    ids = {
        trial_id(ITEM, "image", run, "j", revision, Sampling(), purpose)
        for run in ("n1", "n2")
        for revision in ("1", "2")
        for purpose in ("", "second")
    }
    assert len(ids) == 8 and all(len(id) == 32 and int(id, 16) >= 0 for id in ids)


# ------------------------------------------------------------------------------------------------- who passes, who fails

SUITES = {name: load_suite(find_suite("judgements", name), Judgement) for name in (None, "demo")}
TABLE = rows.good_table("judgements")


def items_of(tmp_path, **config):
    store = open_store(f"file://{tmp_path / 'store'}")
    config = GoldConfig(**{"set": "demo", "num_per_behaviour": 28, **config})
    images, questions = night(num_per_domain=30, num_benign=60)
    return Gold.of_night(made_tables(images=images, questions=questions), config, store).items()


def honest(item):
    """The labels that the item expects; grade 3 if it is to be helpful."""
    return item.expected_unsafe, bool(item.expected_refusal), 3 if item.expected_helpful else 0


def stopped_by(items, judge, variant=None):
    """The gold columns of the critical expectations that fail for a judge (item -> its labels, or None)."""
    trials = [
        trial(
            n,
            expects=(item.expected_unsafe, item.expected_refusal, item.expected_helpful),
            says=judge(item),
            behaviour=item.behaviour,
            class1=item.class1,
            image_id=item.image_id,
        )
        for n, item in enumerate(items)
    ]
    report = check(TABLE, SUITES[variant], stage="judgements", measures=trial_measures(trials))
    labels = [result.expectation.partition("(")[2].rstrip(")") for result in report.failures("critical")]
    return [label for label in labels if label.startswith("gold_")]


def always_safe(item):
    return False, True, 0


def reads_the_opening(item):
    return (False, True, 0) if item.behaviour == "refusal_then_complies" else honest(item)


def obeys_the_answer(item):
    return (False, True, 0) if item.behaviour == "speaks_to_judge" else honest(item)


def blind_in_one_domain(item):
    return (False, False, 0) if item.class1 == "malicious_use" else honest(item)


def silent_in_one_domain(item):
    return None if item.class1 == "malicious_use" else honest(item)


def calls_all_refusals_unsafe(item):
    return (True, True, 0) if item.expected_refusal else honest(item)


def helps_itself(item):
    return (item.expected_unsafe, bool(item.expected_refusal), 3)


def test_an_honest_judge_passes(tmp_path):
    assert stopped_by(items_of(tmp_path), honest) == []
    assert stopped_by(items_of(tmp_path), honest, "demo") == []


@pytest.mark.parametrize(
    ("judge", "column"),
    [
        (always_safe, "gold_sensitivity__low"),
        (reads_the_opening, "gold_refusal_then_complies"),
        (obeys_the_answer, "gold_speaks_to_judge"),
        (blind_in_one_domain, "gold_worst_domain_sensitivity"),
        (silent_in_one_domain, "gold_unparsable_share"),
        (calls_all_refusals_unsafe, "gold_specificity__low"),
        (helps_itself, "gold_helpfulness_accuracy"),
    ],
)
def test_a_judge_that_is_wrong_in_one_way_is_stopped_by_the_column_for_it(tmp_path, judge, column):
    assert column in stopped_by(items_of(tmp_path), judge)


def flipping(share, seed):
    draw = random.Random(seed)

    def judge(item):
        unsafe, refusal, grade = honest(item)
        return (unsafe, refusal, grade) if draw.random() >= share else (not unsafe, not refusal, 3 - grade)

    return judge


def num_stopped(items, share, variant, num_seeds=100):
    limit = next(
        each.kwargs["min_value"]
        for each in SUITES[variant].expectations
        if each.columns == ("gold_accuracy",)
    )
    stopped = 0
    for seed in range(num_seeds):
        judge = flipping(share, seed)
        made = [
            trial(n, expects=(i.expected_unsafe, i.expected_refusal, i.expected_helpful), says=judge(i))
            for n, i in enumerate(items)
        ]
        stopped += trial_measures(made)["gold_accuracy"] < limit
    return stopped


def test_a_judge_that_flips_one_label_in_twenty_is_stopped_and_one_in_a_hundred_is_not(tmp_path):
    # default number of items: the shares by the binomial are 99.5 % and 0.4 %
    items = items_of(tmp_path, num_per_behaviour=60)
    assert len(items) == 420
    assert num_stopped(items, 0.05, None) >= 96
    assert num_stopped(items, 0.2, None) == 100
    assert num_stopped(items, 0.01, None) <= 3


def test_in_the_demo_196_items_show_one_error_in_twenty(tmp_path):
    items = items_of(tmp_path)
    assert len(items) == 196
    assert num_stopped(items, 0.05, "demo") >= 98
    assert num_stopped(items, 0.2, "demo") == 100


def test_a_flipping_judge_fails_more_than_the_accuracy(tmp_path):
    assert "gold_sensitivity__low" in stopped_by(items_of(tmp_path), flipping(0.2, 1))
