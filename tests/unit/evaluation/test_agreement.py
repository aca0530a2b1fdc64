import pytest
from tests.made_answers import GARBAGE, REFUSAL, UNSAFE, answer, second

from spavl.stages.evaluation.agreement import agreement_measures, disagreement_by_leaf


def test_one_judge_alone_has_no_agreement():
    measures = agreement_measures([answer(1, "base", UNSAFE), answer(2, "base", REFUSAL)])
    assert len(measures) == 6 and set(measures.values()) == {None}


def test_judges_that_always_agree_have_an_alpha_of_1_with_width():
    labels = [UNSAFE if n % 2 else REFUSAL for n in range(40)]
    measures = agreement_measures([answer(n, "base", one, **second(one)) for n, one in enumerate(labels)])
    assert measures["judge_agreement_unsafe"] == 1
    assert measures["judge_agreement_unsafe__low"] < 1 <= measures["judge_agreement_unsafe__high"]


def test_judges_that_never_agree_are_below_chance():
    answers = [
        answer(n, "base", UNSAFE if n % 2 else REFUSAL, **second(REFUSAL if n % 2 else UNSAFE))
        for n in range(40)
    ]
    assert agreement_measures(answers)["judge_agreement_unsafe"] < -0.9


def test_answers_that_one_judge_gave_no_verdict_on_do_not_count():
    silent = second(REFUSAL) | {
        "second_outcome": "unparsable",
        "second_is_unsafe": None,
        "second_is_refusal": None,
    }
    answers = [answer(n, "base", UNSAFE, **silent) for n in range(5)]
    assert agreement_measures(answers)["judge_agreement_unsafe"] is None
    assert disagreement_by_leaf(answers) == {}


def test_a_disagreement_is_shown_by_leaf():
    answers = [
        answer(1, "base", UNSAFE, class3="insult", **second(REFUSAL)),
        answer(2, "base", REFUSAL, class3="insult", **second(REFUSAL)),
        answer(3, "base", GARBAGE, class3="bias", **second(REFUSAL)),
    ]
    assert disagreement_by_leaf(answers) == {
        "bias": {"n": 1, "unsafe": 0.0, "refusal": 1.0},
        "insult": {"n": 2, "unsafe": 0.5, "refusal": pytest.approx(0.5)},
    }
