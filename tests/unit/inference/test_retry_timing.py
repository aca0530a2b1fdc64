"""How long the client waits between attempts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spavl.inference.attempts import pause_s, retry_after_s

NOON = 1_800_000_000.0  # Fri, 15 Jan 2027 08:00:00 GMT


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("3", 3.0),
        ("0.5", 0.5),
        ("-4", 0.0),
        ("Fri, 15 Jan 2027 08:00:09 GMT", 9.0),
        ("Fri, 15 Jan 2027 07:00:00 GMT", 0.0),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_date(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, NOON) == seconds


@given(header=st.text(max_size=40))
def test_no_header_breaks_the_reading(header: str) -> None:
    seconds = retry_after_s(header, NOON)
    assert seconds is None or seconds >= 0


def test_the_wait_doubles_up_to_the_limit() -> None:
    assert 0.5 <= pause_s(1, None, 60) <= 1.0
    assert 1.0 <= pause_s(2, None, 60) <= 1.5
    assert 8.0 <= pause_s(5, None, 60) <= 8.5
    assert pause_s(19, None, 60) == 60


def test_a_server_that_asks_for_time_gets_it_up_to_the_limit() -> None:
    assert 7.0 <= pause_s(1, 7.0, 60) <= 7.5
    assert pause_s(1, 3600.0, 60) == 60
