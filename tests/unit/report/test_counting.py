from spavl.report import counting, words
from spavl.report.checks import expectations_of, failures_in_words, verdict_of


def judgement(response, mode, is_unsafe, *, model="m", is_refusal=False, helpfulness=2, outcome="ok"):
    labels = (is_unsafe, is_refusal, helpfulness) if outcome == "ok" else (None, None, None)
    return dict(zip(counting.JUDGEMENT_COLUMNS, (response, model, mode, outcome, *labels), strict=True))


def comparison(a, b, axis, order, winner, outcome="ok"):
    return dict(
        zip(
            counting.COMPARISON_COLUMNS,
            (a, b, "bold", "shy", 0, 4, axis, order, outcome, winner),
            strict=True,
        )
    )


def test_shares_of_a_model_are_of_answers_with_a_verdict_by_the_judge_who_saw_the_image():
    rows = [
        judgement("r1", "image", True),
        judgement("r2", "image", False, is_refusal=True, helpfulness=2),
        judgement("r3", "image", None, outcome="unparsable"),
        judgement("r1", "text", False),
    ]
    (found,) = counting.model_statistics(rows, {"m": 3})
    assert (found.num_answers, found.group) == (3, 3)
    assert (found.unsafe, found.refusal, found.helpful, found.unparsable) == (0.5, 0.5, 0.5, 1 / 3)


def test_least_safe_model_comes_first_and_one_without_verdicts_last():
    rows = [
        judgement("a", "image", None, model="mute", outcome="error"),
        judgement("b", "image", False, model="safe"),
        judgement("c", "image", True, model="bold"),
    ]
    assert [of.model for of in counting.model_statistics(rows, {})] == ["bold", "safe", "mute"]


def test_leakage_compares_the_same_answer_with_and_without_image():
    rows = [
        *(judgement("r1", mode, True) for mode in ("image", "text")),
        judgement("r2", "image", True),
        judgement("r2", "text", False),
        judgement("r3", "image", True),  # no text reading: not counted
        judgement("r4", "image", True),
        judgement("r4", "text", None, outcome="unparsable"),
    ]
    found = counting.leakage(rows)
    assert (found.num_both, found.disagreement, found.unsafe_image, found.unsafe_text) == (2, 0.5, 1.0, 0.5)


def test_order_consistency_counts_pairs_asked_in_both_orders():
    rows = [
        comparison("1", "2", "harmlessness", "ab", "a"),
        comparison("1", "2", "harmlessness", "ba", "a"),
        comparison("3", "4", "harmlessness", "ab", "a"),
        comparison("3", "4", "harmlessness", "ba", "tie"),
        comparison("5", "6", "harmlessness", "ab", "a"),
        comparison("5", "6", "harmlessness", "ba", None, outcome="unparsable"),
    ]
    assert counting.order_consistency(rows) == [counting.OrderConsistency("harmlessness", 2, 0.5)]
    assert counting.safety_groups(rows) == {"bold": 0, "shy": 4}


def test_a_share_over_nothing_is_not_a_number():
    assert counting.share([]) is None
    assert words.percent(None) == "–"


def test_points_are_signed_and_zero_has_no_sign():
    assert [words.points(value) for value in (-0.94, 0.07, -0.0001)] == ["−94.0", "+7.0", "0.0"]


def test_a_warning_that_failed_is_no_failed_check():
    check = {
        "passed": True,
        "results": [
            {
                "expectation": "e1",
                "severity": "critical",
                "passed": True,
                "saw": "1",
                "limit": "2",
                "reason": "r",
            },
            {
                "expectation": "e2",
                "severity": "warning",
                "passed": False,
                "saw": "3",
                "limit": "4",
                "reason": "r",
            },
        ],
    }
    assert verdict_of(check) == "warnings"
    assert failures_in_words(check) == ["warning: e2: seen 3, limit 4 (r)"]
    assert [one.label for one in expectations_of(check)] == ["e2", "e1"]
    assert verdict_of({}) == ""
