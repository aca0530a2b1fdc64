"""Kubernetes' quantities are added and doubled exactly."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spavl.config.quantities import amount, doubled, total


@pytest.mark.parametrize(
    ("quantity", "value"),
    [("1", "1"), ("500m", "0.5"), ("2.5", "2.5"), ("1k", "1000"), ("1Ki", "1024"), ("1.5Gi", "1610612736"), ("2T", "2000000000000")],
)  # fmt: skip
def test_an_amount_is_in_cores_or_bytes(quantity: str, value: str) -> None:
    assert amount(quantity) == Decimal(value)


@pytest.mark.parametrize(
    ("quantity", "twice"), [("1", "2"), ("500m", "1000m"), ("0.5", "1"), ("10", "20"), ("1.25", "2.5")]
)
def test_a_double_keeps_its_unit(quantity: str, twice: str) -> None:
    assert doubled(quantity) == twice


@pytest.mark.parametrize(
    ("first", "second", "sum_"),
    [("10Gi", "100Gi", "110Gi"), ("1Gi", "1Mi", "1074790400"), ("1.5Gi", "0.5Gi", "2Gi"), ("1", "500m", "2")],
)
def test_a_sum_is_in_the_shared_unit_or_whole(first: str, second: str, sum_: str) -> None:
    assert total(first, second) == sum_


@settings(deadline=None)
@given(st.integers(0, 999), st.integers(0, 999), *[st.sampled_from(["", "M", "Gi"])] * 2)
def test_nothing_is_lost_in_a_sum(first: int, second: int, unit: str, other: str) -> None:
    assert amount(total(f"{first}{unit}", f"{second}{other}")) == amount(f"{first}{unit}") + amount(f"{second}{other}")  # fmt: skip
