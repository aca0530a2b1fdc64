"""Watches one object on a cluster for a deferred task, in the triggerer: no worker slot is held meanwhile.

It keeps nothing but ids, so a triggerer that restarts goes on with a new trigger from the same words. What a user stops is
removed by `on_kill`, if this try still owns it; `cleanup` removes nothing, since it runs at every restart too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from spavl.errors import SpavlError
from spavl.launch import life
from spavl.launch.cluster import Cluster, Patience
from spavl.launch.follow import Pace, follow, wait_until_clear
from spavl.launch.handle import Handle

ON_KILL_PATIENCE = Patience(call_timeout_s=8.0, retry_delays_s=(0.5, 1.0, 2.0))  # Airflow gives on_kill 30 s


class StepTrigger(BaseTrigger):
    """Fires once: when the object has ended, or when nothing of a former one is left in the way."""

    def __init__(
        self, handle: Mapping[str, Any], pace: Mapping[str, Any], connection: str | None = None
    ) -> None:
        super().__init__()
        self.handle = Handle(**handle)
        self.pace = Pace(**pace)
        self.connection = connection

    def serialize(self) -> tuple[str, dict[str, Any]]:
        kept = {
            "handle": self.handle.to_json(),
            "pace": self.pace.to_json(),
            "connection": self.connection,
        }
        return f"{type(self).__module__}.{type(self).__name__}", kept

    async def run(self) -> AsyncIterator[TriggerEvent]:
        # closed before the event is given away: whoever takes it need not come back to this generator
        yield TriggerEvent({"handle": self.handle.to_json(), **await self._watched()})

    async def _watched(self) -> dict[str, Any]:
        try:
            async with Cluster(self.handle.namespace, self.connection) as cluster:
                if self.handle.name:
                    seen = await follow(cluster, self.handle, self.pace, self.log.info)
                    return {"phase": seen.phase}
                await wait_until_clear(cluster, self.handle, self.pace, self.log.info)
                return {"phase": "clear"}
        except SpavlError as error:
            return {"error": error.message, "next_step": error.next_step, "exit_code": error.exit_code}

    async def on_kill(self) -> None:
        """A user failed, cleared or passed the task: remove the object, unless a newer try has adopted it."""
        async with Cluster(self.handle.namespace, self.connection, ON_KILL_PATIENCE) as cluster:
            self.log.info(await life.remove(cluster, self.handle))
