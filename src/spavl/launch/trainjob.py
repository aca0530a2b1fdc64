"""A training as a Kubeflow TrainJob (Trainer 2.2 or newer), on a TrainingRuntime of ours.

A TrainJob can say only a part of what its pods need, so two objects share it. The TrainJob, made anew for each run, has
what the plan decides: image, command, environment, nodes, processes, resources, deadline, queue, labels, and by its
runtime patch where the pods land, their service account, pull Secrets, volumes and mounts. The TrainingRuntime, installed once, has what a TrainJob
cannot say: restarts, failure policy, priority class, grace period (2.2 cannot patch it), pull policy, Secrets as environment,
no token, security contexts. A profile that changes one of those needs the runtime installed again.
"""

from __future__ import annotations

import math
from typing import Any

from spavl.config import KubernetesLaunch
from spavl.launch import names
from spavl.launch.command import trainer_command
from spavl.launch.pods import (
    Manifest,
    client_mounts,
    client_resources,
    client_settings,
    client_volumes,
    environment,
    hardening,
    placement,
)
from spavl.launch.unit import Unit

PATCHED_BY = "spavl.dev/launch"  # Trainer wants a manager with a domain
_ANCESTOR = {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}  # Trainer looks for the job by it


def train_job(unit: Unit) -> Manifest:
    """The TrainJob of a unit that trains, without a name."""
    launch = unit.launch
    assert launch.trainjob is not None and unit.group is not None
    return {
        "apiVersion": names.API_VERSIONS[names.TRAINJOB],
        "kind": names.TRAINJOB,
        "metadata": unit.metadata(),
        "spec": {
            "runtimeRef": {
                "apiGroup": "trainer.kubeflow.org",
                "kind": "TrainingRuntime",
                "name": launch.trainjob.runtime,
            },
            "trainer": {
                "image": unit.needs.image,
                "command": trainer_command(unit.stage, unit.run_id, unit.group),
                "env": environment(unit),
                "numNodes": launch.trainjob.num_nodes,
                "numProcPerNode": launch.num_training_processes,
                "resourcesPerNode": client_resources(unit),
            },
            "runtimePatches": [{"manager": PATCHED_BY, "trainingRuntimeSpec": _patch(unit)}],
            "activeDeadlineSeconds": math.ceil(launch.timeout_s),
            **({"suspend": True} if unit.needs.pod.queue else {}),
        },
    }


def training_runtime(launch: KubernetesLaunch) -> Manifest:
    """The TrainingRuntime that a profile's TrainJobs refer to, as the chart installs it, labels and namespace apart."""
    assert launch.trainjob is not None
    node: Manifest = {"name": names.NODE, **client_settings(launch)}
    if launch.images.training:
        node["image"] = launch.images.training
    pod: Manifest = {
        "restartPolicy": "Never",
        **hardening(),
        "terminationGracePeriodSeconds": launch.training.grace_s,
        "containers": [node],
    }
    if launch.training.priority_class:
        pod["priorityClassName"] = launch.training.priority_class
    return {
        "apiVersion": names.API_VERSIONS[names.TRAINJOB],
        "kind": "TrainingRuntime",
        "metadata": {"name": launch.trainjob.runtime, "labels": {"trainer.kubeflow.org/framework": "torch"}},
        "spec": {
            "mlPolicy": {"numNodes": 1, "torch": {}},
            "template": {"spec": _job_set(pod)},
        },
    }


def _job_set(pod: Manifest) -> dict[str, Any]:
    """All nodes restart together, from the last checkpoint, when one is evicted or preempted; any other failure is final here.

    A pod that came back alone would wait for ranks that are gone. The exit codes of ranks are not seen: torchrun ends with
    1 for all of them, so whether a training is tried again is decided by its outcome, not here.
    """
    disrupted = {
        "action": "FailJob",
        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
    }
    return {
        "failurePolicy": {
            "maxRestarts": 0,
            "rules": [
                {
                    "name": "disruption",
                    "action": "RestartJobSetAndIgnoreMaxRestarts",
                    "onJobFailureReasons": ["PodFailurePolicy"],
                },
                {"name": "otherFailure", "action": "FailJobSet"},
            ],
        },
        "replicatedJobs": [
            {
                "name": names.NODE,
                "replicas": 1,
                "template": {
                    "metadata": {"labels": dict(_ANCESTOR)},
                    "spec": {
                        "backoffLimit": 0,
                        "podFailurePolicy": {"rules": [disrupted]},
                        "podReplacementPolicy": "Failed",
                        "template": {"spec": pod},
                    },
                },
            }
        ],
    }


def _patch(unit: Unit) -> Manifest:
    """The part of the pods that a TrainJob may say, in the nesting of a TrainingRuntime."""
    pod = {
        "metadata": {"labels": dict(unit.labels), "annotations": unit.pod_annotations},
        "spec": {
            "serviceAccountName": unit.launch.service_account,
            **placement(unit.launch, unit.needs.pod),
            "volumes": client_volumes(unit),
            "containers": [{"name": names.NODE, "volumeMounts": client_mounts(unit)}],
        },
    }
    return {
        "template": {
            "spec": {"replicatedJobs": [{"name": names.NODE, "template": {"spec": {"template": pod}}}]}
        }
    }
