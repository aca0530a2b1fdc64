"""The operator behind every step of a stage: a process here, or an object on a cluster that no worker waits for.

On a cluster a try begins (or adopts) the object and defers; the trigger watches; `resume` fetches logs and outcome. Nothing
but ids is kept: `resume` looks again for itself, and if there is more to wait for it defers again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseOperator

from spavl.airflow import tasks

if TYPE_CHECKING:
    from spavl.config import KubernetesLaunch
    from spavl.launch.ending import Subject
    from spavl.launch.handle import Handle
    from spavl.outcome import Outcome
    from spavl.plan import Plan


class StepOperator(BaseOperator):
    """`prepare`, `work` of one group, or `seal`; returns groups, nothing, or the run id."""

    template_fields = ("spavl_run", "group")

    def __init__(
        self, *, stage: str, step: str, spavl_run: str, group: Mapping[str, Any] | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self.stage = stage
        self.step = step
        self.spavl_run = spavl_run
        self.group = group
        self._begun: tuple[KubernetesLaunch, Handle] | None = None

    def execute(self, context: Mapping[str, Any]) -> Any:
        plan = tasks.plan_of(self.spavl_run)
        if outcome := tasks.done_already(plan, self.stage, self.step, self.group):
            return tasks.returned(self.step, outcome)
        if plan.resolved.launch.kind == "kubernetes":
            self._begin(plan, owner_of(context))
        return tasks.returned(self.step, tasks.run_locally(plan, self.stage, self.step, self.group))

    def resume(self, context: Mapping[str, Any], event: Mapping[str, Any]) -> Any:
        """What the trigger has seen: an end, a way that is clear now, or an error of its own."""
        from spavl.launch.handle import Handle

        plan = tasks.plan_of(self.spavl_run)
        watched = Handle(**event["handle"])
        if event.get("error"):
            if event["exit_code"] in tasks.NEVER_RETRIED:
                self._remove(plan.resolved.launch, watched)  # type: ignore[arg-type]
            raise tasks.told(self._subject(plan), event["error"], event["next_step"], event["exit_code"])
        if not watched.name:
            self._begin(plan, watched.owner)
        return tasks.returned(self.step, self._settled(plan, watched))

    def on_kill(self) -> None:
        """Stopped after the object was begun and before Airflow has taken the deferral: no trigger will remove it."""
        if self._begun is not None:
            self._remove(*self._begun)

    def _subject(self, plan: Plan) -> Subject:
        from spavl.launch.ending import Subject

        return Subject(self.stage, self.step, plan.run_id)

    def _begin(self, plan: Plan, owner: str) -> NoReturn:
        """Begin or adopt the object, and defer. Stopped in between, it removes what it began."""
        from spavl.errors import SpavlError
        from spavl.launch import kubernetes, life
        from spavl.launch.cluster import Cluster
        from spavl.launch.refusals import ClusterAway
        from spavl.launch.wanted import wanted

        launch: KubernetesLaunch = plan.resolved.launch  # type: ignore[assignment]
        subject = self._subject(plan)

        async def begin() -> Handle:
            group = self.group or {}
            work = wanted(plan, self.stage, self.step, group.get("group"), group.get("num_shards", 1))
            async with Cluster.of(launch) as cluster:
                try:
                    return await kubernetes.begin(cluster, work, owner, subject)
                except ClusterAway:
                    raise  # nothing can be removed; the next try adopts what was made
                except BaseException:
                    with contextlib.suppress(SpavlError):  # the answer that failed may be that of a creation
                        await life.remove(cluster, life.unnamed(work, owner))
                    raise

        handle = tasks.waited_for(begin, subject)
        self._begun = (launch, handle)
        print(f"{handle.words} {handle.how}")
        self._defer(launch, handle)

    def _remove(self, launch: KubernetesLaunch, handle: Handle) -> None:
        """No try follows that would adopt the object; what this cannot remove, the sweep does."""
        from spavl.errors import SpavlError
        from spavl.launch import life
        from spavl.launch.cluster import Cluster

        async def remove() -> None:
            async with Cluster.of(launch) as cluster:
                print(await life.remove(cluster, handle))

        with contextlib.suppress(SpavlError):
            asyncio.run(remove())

    def _settled(self, plan: Plan, handle: Handle) -> Outcome:
        """Logs and outcome of what has ended; what has not is watched on."""
        from spavl.launch import ending, status
        from spavl.launch.cluster import Cluster
        from spavl.launch.follow import Pace
        from spavl.launch.look import look

        launch: KubernetesLaunch = plan.resolved.launch  # type: ignore[assignment]
        subject = self._subject(plan)

        async def settle() -> Outcome | None:
            async with Cluster.of(launch) as cluster:
                seen = await look(cluster, handle, Pace.of(launch).limits)
                if seen.phase not in status.ENDED:
                    return None
                return await ending.settle(cluster, handle, seen, subject, print)

        outcome = tasks.waited_for(settle, subject)
        if outcome is None:
            self._defer(launch, handle)
        tasks.say(outcome)
        return outcome

    def _defer(self, launch: KubernetesLaunch, handle: Handle) -> NoReturn:
        from spavl.airflow.trigger import StepTrigger
        from spavl.launch.follow import Pace

        pace = Pace.of(launch).to_json()
        trigger = StepTrigger(handle=handle.to_json(), pace=pace, connection=launch.connection)
        self.defer(trigger=trigger, method_name="resume")


def owner_of(context: Mapping[str, Any]) -> str:
    """The id of the try: Airflow makes a new one for each retry and each clear, and keeps it while a try is deferred."""
    return str(context["ti"].id)
