"""The command `history`: the page over all nights, made anew from what the store has."""

from __future__ import annotations

import argparse
import sys

from spavl.artifacts.store import Store, open_store
from spavl.errors import UserError
from spavl.outcome import Outcome


def history(arguments: argparse.Namespace) -> Outcome:
    """Write `history.html` and say where it is."""
    if arguments.nights < 1:
        raise UserError(f"--nights {arguments.nights} shows nothing.", next_step="Give 1 or more.")
    store = open_store()
    return Outcome("history", links={"history": refresh(store, arguments.nights)})


def refresh(store: Store, num_nights: int | None = None) -> str:
    """Write the page; returns its address."""
    from spavl.report import build_history
    from spavl.report.history import NUM_NIGHTS
    from spavl.report.history_page import PATH

    store.write(PATH, build_history(store, num_nights or NUM_NIGHTS).encode())
    return store.url_of(PATH)


def refresh_after(store: Store, what: str) -> None:
    """The page after something that is done and must not be done twice: whatever goes wrong is said and stops nothing."""
    try:
        refresh(store)
    except Exception as error:
        print(
            f"{what} is done; the page over all nights is not made anew: {error or type(error).__name__}. "
            "`spavl history` makes it.",
            file=sys.stderr,
        )
