"""Watches an object to its end: says what changes, renews its seen-at, and outlives an API server that is away for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from spavl.errors import TryAgain
from spavl.launch import life, status
from spavl.launch.cluster import Cluster
from spavl.launch.handle import Handle
from spavl.launch.look import look
from spavl.launch.refusals import ClusterAway
from spavl.launch.status import Limits, Status

if TYPE_CHECKING:
    from spavl.config import KubernetesLaunch

RENEW_EVERY_S = 60.0
RENEWALS_PER_ORPHANING = 3


@dataclass(frozen=True)
class Pace:
    """How often to look, and how long to bear what does not go on; JSON values only, for a trigger."""

    poll_s: float
    pending_timeout_s: float
    num_server_restarts: int
    renew_every_s: float

    @classmethod
    def of(cls, launch: KubernetesLaunch) -> Pace:
        renew_every_s = min(RENEW_EVERY_S, launch.orphaned_after_s / RENEWALS_PER_ORPHANING)
        return cls(launch.poll_s, launch.pending_timeout_s, launch.num_server_restarts, renew_every_s)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def limits(self) -> Limits:
        return Limits(self.pending_timeout_s, self.num_server_restarts)


class Silence:
    """How long the cluster has not answered; raises TryAgain once that is longer than `limit_s`."""

    def __init__(self, limit_s: float, say: Callable[[str], None]) -> None:
        self._limit_s = limit_s
        self._say = say
        self._heard_at = time.monotonic()
        self._is_silent = False

    def heard(self) -> None:
        if self._is_silent:
            self._say("the cluster answers again")
        self._is_silent, self._heard_at = False, time.monotonic()

    def unheard(self, away: ClusterAway) -> None:
        silent_s = time.monotonic() - self._heard_at
        if silent_s > self._limit_s:
            raise TryAgain(
                f"{away.message} It has not answered for {silent_s:.0f} s (launch.pending_timeout_s is {self._limit_s:.0f}).",
                next_step="What was begun goes on without us, and the next try adopts it.",
            )
        if not self._is_silent:
            self._say(f"{away.message} What was begun goes on; looking again.")
        self._is_silent = True


async def follow(cluster: Cluster, handle: Handle, pace: Pace, say: Callable[[str], None]) -> Status:
    """Look every `poll_s` until the object has ended, is gone, or is another try's; returns the last look."""
    silence = Silence(pace.pending_timeout_s, say)
    said: set[str] = set()
    renewed_at = time.monotonic()  # beginning and adopting write it too
    while True:
        try:
            seen = await look(cluster, handle, pace.limits)
            if time.monotonic() - renewed_at > pace.renew_every_s and seen.phase not in status.ENDED:
                await life.renew(cluster, handle)
                renewed_at = time.monotonic()
        except ClusterAway as away:
            silence.unheard(away)
        else:
            silence.heard()
            news = [words for words in (f"{handle.words} {seen.words}", seen.progress) if words]
            for words in news:
                if words not in said:
                    say(words)
            said = set(news)
            if seen.phase in status.ENDED:
                return seen
        await asyncio.sleep(pace.poll_s)


async def wait_until_clear(cluster: Cluster, handle: Handle, pace: Pace, say: Callable[[str], None]) -> None:
    """Wait while something of a former object is still leaving; raises TryAgain after `pending_timeout_s`."""
    began_at = time.monotonic()
    silence = Silence(pace.pending_timeout_s, say)
    said = ""
    while True:
        try:
            words = await life.is_clear(cluster, handle)
            silence.heard()
        except ClusterAway as away:
            silence.unheard(away)
        else:
            if not words:
                return
            if words != said:
                say(f"{handle.words} has to wait: {words}")
            said = words
            if time.monotonic() - began_at > pace.pending_timeout_s:
                raise TryAgain(
                    f"{handle.words} cannot begin: {words} for more than {pace.pending_timeout_s:.0f} s (launch.pending_timeout_s).",
                    next_step="Remove it by hand where its node is lost.",
                )
        await asyncio.sleep(pace.poll_s)
