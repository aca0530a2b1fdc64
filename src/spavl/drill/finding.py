"""What came of one poison or one honest night: a JSON file each, written as it ends, so a killed drill goes on."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STOPPED = ("failed", "inconclusive", "undone", "refused", "crashed")  # verdicts that publish nothing bad


@dataclass(frozen=True)
class Failure:
    """One critical expectation that did not pass."""

    expectation: str
    status: str  # fail or inconclusive
    saw: str
    limit: str
    reason: str


@dataclass(frozen=True)
class Finding:
    """One drill's result.

    `verdict`: failed or inconclusive (by expectations), undone (the line made the poison harmless), refused (a user's error
    before the release), crashed, released, or impossible (this profile has nothing to poison so).
    """

    name: str
    family: str
    says: str
    verdict: str
    stage: str = ""  # that stopped it
    failures: tuple[Failure, ...] = ()
    error: str = ""
    night: int = 1  # of several
    seconds: float = 0.0
    key: str = ""  # of what decided it: suites, code, honest night

    @property
    def is_stopped(self) -> bool:
        return self.verdict in STOPPED

    @property
    def checks(self) -> tuple[str, ...]:
        """`stage: expectation` of every failure: what killed it."""
        return tuple(f"{self.stage}: {failure.expectation}" for failure in self.failures)


def read(path: Path, key: str) -> Finding | None:
    """The finding of an earlier drill with the same key; None if there is none."""
    try:
        values = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return from_json(values) if values.get("key") == key else None


def write(path: Path, finding: Finding) -> None:
    """The file appears whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}")
    temporary.write_text(json.dumps(dataclasses.asdict(finding), indent=1, ensure_ascii=False), "utf-8")
    os.replace(temporary, path)


def from_json(values: dict[str, Any]) -> Finding:
    failures = tuple(Failure(**failure) for failure in values["failures"])
    return Finding(**{**values, "failures": failures})
