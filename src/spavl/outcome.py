"""The one JSON line that every command ends with: on standard output, in the pod's termination message, in Airflow."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from spavl.errors import EXIT_AGAIN, EXIT_BUG, EXIT_CHECK_FAILED, EXIT_DONE, EXIT_USER, SpavlError

VERDICTS = ("done", "already done", "skipped", "failed", "inconclusive", "again")
_TERMINATION_LIMIT = 4096  # bytes Kubernetes keeps of a termination message


@dataclass(frozen=True)
class Outcome:
    """What happened; ids, counts and words only, never content."""

    stage: str  # a stage, or the command: plan, run, rollback, …
    step: str = ""  # prepare, work, seal
    run_id: str = ""
    verdict: str = "done"  # one of VERDICTS
    exit_code: int = EXIT_DONE
    counts: dict[str, int] = field(default_factory=dict)
    groups: list[dict[str, Any]] = field(
        default_factory=list
    )  # prepare: [{"group", "num_shards", "num_items"}]
    error: str = ""
    next_step: str = ""
    links: dict[str, str] = field(default_factory=dict)

    def to_line(self) -> str:
        return json.dumps({"spavl": 1, **asdict(self)}, ensure_ascii=False, separators=(",", ":"))


def emit(outcome: Outcome) -> None:
    """Print the line, and write it where SPAVL_TERMINATION_LOG points (the pod's termination message)."""
    print(outcome.to_line(), flush=True)
    if path := os.environ.get("SPAVL_TERMINATION_LOG"):
        Path(path).write_bytes(outcome.to_line().encode()[:_TERMINATION_LIMIT])


def parse(line: str) -> Outcome | None:
    """The outcome a line holds, or None for any other line."""
    if not line.startswith('{"spavl":1,'):
        return None
    try:
        values = json.loads(line)
    except json.JSONDecodeError:
        return None
    values.pop("spavl")
    return Outcome(**values)


def verdict_of(exit_code: int) -> str:
    """The verdict that an exit code stands for, where a process died without a line."""
    return {
        EXIT_DONE: "done",
        EXIT_AGAIN: "again",
        EXIT_USER: "failed",
        EXIT_CHECK_FAILED: "failed",
        EXIT_BUG: "failed",
    }.get(exit_code, "failed")


def failure_of(error: SpavlError, stage: str, step: str, run_id: str) -> Outcome:
    """The outcome of a step that an error of ours kept from beginning."""
    code = error.exit_code
    return Outcome(
        stage, step, run_id, verdict_of(code), code, error=error.message, next_step=error.next_step
    )
