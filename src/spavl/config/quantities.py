"""Kubernetes' quantities: "500m" cores, "4Gi" bytes. Exact: what is added here is compared there."""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal
from typing import Annotated

from pydantic import StringConstraints

Quantity = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$")]

_PARTS = re.compile(r"([0-9.]+)([A-Za-z]*)")
_FACTORS = {
    "": Decimal(1), "m": Decimal("0.001"), "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40),
}  # fmt: skip


def amount(quantity: str) -> Decimal:
    """In cores or bytes: 0.5 for "500m", 1024 for "1Ki"."""
    number, suffix = _split(quantity)
    return number * _FACTORS[suffix]


def doubled(quantity: str) -> str:
    """Twice as much, in the same unit."""
    number, suffix = _split(quantity)
    return _plain(number * 2) + suffix


def total(first: str, second: str) -> str:
    """The sum, in their unit where they share one, else in cores or bytes, rounded up."""
    (number, suffix), (other, other_suffix) = _split(first), _split(second)
    if suffix == other_suffix:
        return _plain(number + other) + suffix
    return str((amount(first) + amount(second)).to_integral_value(ROUND_CEILING))


def _split(quantity: str) -> tuple[Decimal, str]:
    found = _PARTS.fullmatch(quantity)
    assert found
    return Decimal(found[1]), found[2]


def _plain(number: Decimal) -> str:
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
