"""One unit of work for a cluster: a step of a stage, or all shards of one of its groups."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from spavl.config import KubernetesLaunch
from spavl.config.root import Config
from spavl.errors import UserError
from spavl.launch import names
from spavl.launch.needs import Needs, needs
from spavl.pipeline import BY_NAME

if TYPE_CHECKING:
    from spavl.plan import Plan


@dataclass(frozen=True)
class Unit:
    run_id: str
    config: Config
    launch: KubernetesLaunch
    stage: str
    step: str
    group: str | None = None
    num_shards: int = 1

    @property
    def trains(self) -> bool:
        return self.step == "work" and BY_NAME[self.stage].runs_on == "training"

    @property
    def base_name(self) -> str:
        return names.base_name(self.config.installation, self.run_id, self.stage, self.step, self.group)

    @property
    def labels(self) -> dict[str, str]:
        """Of the object and of its pods."""
        return names.labels(self.config.installation, self.run_id, self.stage, self.step, self.base_name)

    @property
    def annotations(self) -> dict[str, str]:
        """Of the object and of its pods."""
        return {} if self.group is None else {names.GROUP: self.group}

    @property
    def pod_annotations(self) -> dict[str, str]:
        """Those of the object, and what the profile asks for pods of this kind."""
        return {**self.needs.pod.annotations, **self.annotations}

    @cached_property
    def needs(self) -> Needs:
        return needs(self.config, self.stage, self.step, self.group)

    def metadata(self) -> dict[str, object]:
        """Of the object, without a name. Kueue admits what has its label; pods have none, or it would admit them too."""
        queue = self.needs.pod.queue
        labels = self.labels | ({names.LABEL_QUEUE: queue} if queue else {})
        return {"namespace": self.launch.namespace, "labels": labels, "annotations": dict(self.annotations)}


def unit_of(plan: Plan, stage: str, step: str, group: str | None, num_shards: int) -> Unit:
    """Raises UserError where the plan's stages do not run on a cluster."""
    config = plan.resolved
    if not isinstance(config.launch, KubernetesLaunch):
        raise UserError(
            f"run {plan.run_id} was planned with launch.kind {config.launch.kind!r}, which makes no objects in a cluster.",
            next_step="Set launch.kind to kubernetes in the profile and start a new run.",
        )
    if step == "work" and group is None:
        raise ValueError("work needs a group")
    unit = Unit(plan.run_id, config, config.launch, stage, step, group, num_shards)
    if unit.trains and num_shards != 1:
        raise ValueError("a training is one shard")
    return unit
