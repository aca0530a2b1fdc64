"""The kill rate, false alarms, and what counts as killed."""

from __future__ import annotations

import pytest

from spavl.drill.finding import Failure, Finding
from spavl.drill.score import Share, score
from spavl.drill.telling import markdown, summary_lines, to_json


def found(name: str, verdict: str, *checks: str, family: str = "pairs") -> Finding:
    failures = tuple(Failure(check, "fail", "1", "<= 0", "why") for check in checks)
    return Finding(name, family, "Something.", verdict, "dataset" if checks else "", failures)


def test_wilsons_interval_is_that_of_newcombe_1998() -> None:
    low, high = Share(81, 263).interval  # Newcombe, Statistics in Medicine 17, table I
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    assert Share(0, 0).interval == (0.0, 1.0)


def test_released_poisons_lower_the_kill_rate_and_impossible_ones_do_not() -> None:
    made = score([found("a", "failed", "x"), found("b", "released"), found("c", "impossible")], [])
    assert (made.kill_rate.hits, made.kill_rate.n) == (1, 2)
    assert [finding.name for finding in made.released] == ["b"]


@pytest.mark.parametrize("verdict", ["inconclusive", "undone", "refused", "crashed"])
def test_whatever_publishes_nothing_counts_as_stopped(verdict: str) -> None:
    assert score([found("a", verdict)], []).kill_rate.hits == 1


def test_a_check_that_stops_honest_nights_as_well_kills_nothing() -> None:
    honest = [
        found("control", "failed", "x", family="honest"),
        found("honest-01", "released", family="honest"),
    ]
    made = score([found("a", "failed", "x"), found("b", "failed", "x", "y")], honest)
    assert [finding.name for finding in made.unproven] == ["a"]
    assert [finding.name for finding in made.killed] == ["b"]
    assert (made.false_alarms.hits, made.false_alarms.n) == (1, 2)


def test_an_inconclusive_honest_night_is_no_false_alarm_and_is_counted() -> None:
    made = score([], [found("honest-01", "inconclusive", "x", family="honest")])
    assert (made.false_alarms.hits, made.inconclusive_nights.hits) == (0, 1)


def test_a_poison_that_is_let_through_is_named_with_its_reason() -> None:
    made = score([found("a", "failed", "x"), found("b", "released")], [])
    text = markdown(made, {"b": "it changes nothing."})
    assert "| pairs | `b` | Something. | RELEASED |  |" in text
    assert "- `b`: it changes nothing." in text
    assert "## Stopped by one expectation alone\n\n- `a`: dataset: x saw 1, limit <= 0\n" in text
    assert "released: b" in summary_lines(made)
    assert to_json(made)["kill_rate"]["value"] == 0.5
