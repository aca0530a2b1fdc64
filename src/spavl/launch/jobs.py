"""A Job for one step or shard, an Indexed Job for several shards of a group. The oldest Kubernetes that has all of it is 1.29."""

from __future__ import annotations

import math
from typing import Any

from spavl.errors import EXIT_CHECK_FAILED, EXIT_USER
from spavl.launch import names, serving
from spavl.launch.command import SHARD, num_processes, pod_command
from spavl.launch.pods import Manifest, client_container, pod_template
from spavl.launch.unit import Unit

KEPT_S = 86_400  # a finished Job and its pods' logs stay for a day
_COMPLETION_INDEX = "metadata.annotations['batch.kubernetes.io/job-completion-index']"


def job(unit: Unit) -> Manifest:
    """The Job of a unit of work, without a name."""
    return {
        "apiVersion": names.API_VERSIONS[names.JOB],
        "kind": names.JOB,
        "metadata": unit.metadata(),
        "spec": {
            **_shards(unit),
            "podFailurePolicy": failure_policy(has_weights=unit.needs.server is not None),
            "podReplacementPolicy": "Failed",  # never two pods for one shard
            "activeDeadlineSeconds": math.ceil(unit.launch.timeout_s),
            "ttlSecondsAfterFinished": KEPT_S,
            **({"suspend": True} if unit.needs.pod.queue else {}),
            "template": _template(unit),
        },
    }


def failure_policy(*, has_weights: bool) -> dict[str, Any]:
    """Evictions, preemptions and lost nodes cost no try; a user's mistake or a failed check ends the Job at once.

    Only our own containers' exit codes count: a server's 2 may mean anything.
    """
    containers = [names.CLIENT, names.WEIGHTS] if has_weights else [names.CLIENT]
    final = [
        {
            "action": "FailJob",
            "onExitCodes": {
                "containerName": name,
                "operator": "In",
                "values": [EXIT_USER, EXIT_CHECK_FAILED],
            },
        }
        for name in containers
    ]
    disrupted = {
        "action": "Ignore",
        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
    }
    return {"rules": [disrupted, *final]}


def _shards(unit: Unit) -> Manifest:
    """One completion, or one for each shard; as on a laptop, the first shard that is lost for good ends its group."""
    if unit.num_shards == 1:
        return {"completions": 1, "parallelism": 1, "backoffLimit": unit.launch.num_retries}
    return {
        "completionMode": "Indexed",
        "completions": unit.num_shards,
        "parallelism": min(unit.num_shards, unit.launch.max_parallel_shards),
        "backoffLimitPerIndex": unit.launch.num_retries,
        "maxFailedIndexes": 0,
    }


def _template(unit: Unit) -> Manifest:
    command = pod_command(
        unit.stage,
        unit.step,
        unit.run_id,
        group=unit.group,
        num_shards=unit.num_shards,
        num_processes=num_processes(unit.stage, unit.launch) if unit.step == "work" else 1,
    )
    container = client_container(unit, command)
    if unit.num_shards > 1:
        shard = {"name": SHARD, "valueFrom": {"fieldRef": {"fieldPath": _COMPLETION_INDEX}}}
        container["env"] = [shard, *container["env"]]
    return pod_template(
        unit,
        container,
        init_containers=serving.init_containers(unit),
        server_volumes=serving.volumes(unit),
    )
