"""The one error of a drill: this profile has nothing that could be poisoned so. A finding says so; it is no failure."""

from __future__ import annotations


class Impossible(Exception):
    """The message says what is missing."""
