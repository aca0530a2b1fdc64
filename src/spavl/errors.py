"""Every error that spavl raises on purpose, and the exit code it ends a process with.

    SpavlError
    ├── UserError        2   a mistake in a profile, an argument or an input: one line, never retried
    ├── CheckFailed      3   an expectation failed: nothing was published, evidence is kept, never retried
    │   └── Inconclusive 3   too little was seen to pass or to fail: nothing was published
    ├── StoreRefused     2   (artifacts/faults.py) the store's bucket or address is wrong; never taken for one file's fault
    └── TryAgain        75   another runner holds the work, a service is away: the same command may succeed later

Anything else is a bug (exit code 1) and keeps its traceback. A message says what was wrong, the value seen, the values
allowed and the next step. Messages never hold prompts, responses or image bytes: rows are named by their ids.
"""

from __future__ import annotations

EXIT_DONE = 0
EXIT_BUG = 1
EXIT_USER = 2
EXIT_CHECK_FAILED = 3
EXIT_AGAIN = 75


class SpavlError(Exception):
    """Base of all errors raised on purpose; `next_step` tells the reader what to do about it."""

    exit_code = EXIT_BUG

    def __init__(self, message: str, *, next_step: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.message} {self.next_step}".strip()


class UserError(SpavlError):
    """What the user gave is wrong (profile, argument, input data); repeating the command cannot help."""

    exit_code = EXIT_USER


class CheckFailed(SpavlError):
    """A critical expectation failed; nothing was published and the evidence is kept."""

    exit_code = EXIT_CHECK_FAILED


class Inconclusive(CheckFailed):
    """Nothing failed, and too little was seen to pass; nothing was published."""


class TryAgain(SpavlError):
    """Something outside is not ready (a lock, a store, a server); the same command may succeed later."""

    exit_code = EXIT_AGAIN
