"""Moves a Job or a TrainJob of the simulated cluster through its life, step by step, as its controller and kubelets would."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

from tests.cluster_api import ClusterApi, now_text

from spavl.outcome import Outcome

RESOURCES = {"Job": "batch/jobs", "TrainJob": "trainer.kubeflow.org/trainjobs"}
_numbers = itertools.count()


class Workload:
    """One object of the cluster and its pods."""

    def __init__(self, api: ClusterApi, made: dict[str, Any]) -> None:
        self.api = api
        self.kind = made["kind"]
        self.resource = RESOURCES[self.kind]
        self.name = made["metadata"]["name"]
        self.client = "spavl" if self.kind == "Job" else "node"
        self._uid = made["metadata"]["uid"]

    @property
    def object(self) -> dict[str, Any]:
        return self.api.objects[self.resource, self.name]

    def exists(self) -> bool:
        return (self.resource, self.name) in self.api.objects

    def owner(self) -> str:
        return self.object["metadata"]["annotations"]["spavl.dev/owner"]

    def admit(self) -> None:
        """Its queue lets it start."""
        with self.api.lock:
            self.object["spec"]["suspend"] = False
            self.object.setdefault("status", {})["startTime"] = now_text()
            self.api.put(self.resource, self.object)

    def add_pod(self, shard: int = 0) -> str:
        """A new pod, pending; returns its name."""
        label = "batch.kubernetes.io/job-name" if self.kind == "Job" else "jobset.sigs.k8s.io/jobset-name"
        name = f"{self.name}-{shard}-{next(_numbers):05d}"
        metadata = self.object["metadata"]
        pod = {
            "metadata": {
                "name": name,
                "labels": {**metadata["labels"], label: self.name},
                "annotations": {"batch.kubernetes.io/job-completion-index": str(shard)},
                "ownerReferences": [{"uid": self._uid}],
                "creationTimestamp": f"{now_text()[:-1]}.{next(_numbers):06d}Z",
            },
            "spec": {"nodeName": "node-1"},
            "status": {"phase": "Pending"},
        }
        self.api.put("core/pods", pod)
        return name

    def run(self, pod: str, log: str = "") -> None:
        """Its client is at work and has written `log`."""
        self._set(pod, "Running", {"running": {"startedAt": now_text()}})
        self.api.logs[pod, self.client, False] = log

    def succeed(self, pod: str, outcome: Outcome, log: str = "") -> None:
        """Its client ended well with this outcome line."""
        ended = {"exitCode": 0, "reason": "Completed", "message": outcome.to_line(), "finishedAt": now_text()}
        self._set(pod, "Succeeded", {"terminated": ended})
        self.api.logs[pod, self.client, False] = f"{log}{outcome.to_line()}\n"

    def fail(self, pod: str, exit_code: int, *, message: str = "", log: str = "", reason: str = "Error") -> None:  # fmt: skip
        """Its client ended with this exit code and termination message."""
        ended = {"exitCode": exit_code, "reason": reason, "message": message, "finishedAt": now_text()}
        self._set(pod, "Failed", {"terminated": ended})
        self.api.logs[pod, self.client, False] = log

    def disrupt(self, pod: str, reason: str, message: str) -> None:
        """The cluster took it away: eviction, preemption, a lost node."""
        with self.api.lock:
            found = self.api.objects["core/pods", pod]
            condition = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message}
            found["status"] = {"phase": "Failed", "conditions": [condition]}
            self.api.put("core/pods", found)

    def wait_because(self, pod: str, reason: str, message: str) -> None:
        """Its client's container cannot start."""
        self._set(pod, "Pending", {"waiting": {"reason": reason, "message": message}})

    def unschedulable(self, pod: str, message: str) -> None:
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        self._status(pod, {"phase": "Pending", "conditions": [condition]})

    def warn(self, about: str, reason: str, message: str) -> None:
        """A Warning event about the object or a pod."""
        event = {
            "metadata": {"name": f"event-{next(_numbers)}"},
            "involvedObject": {"name": about},
            "type": "Warning",
            "reason": reason,
            "message": message,
            "lastTimestamp": now_text(),
        }
        self.api.put("core/events", event)

    def restart_server(self, pod: str, num_restarts: int, log: str) -> None:
        """Its vLLM server has crashed again and again, while the client waits."""
        server = {
            "name": "vllm",
            "restartCount": num_restarts,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}},
        }
        self._status(pod, {"phase": "Pending", "initContainerStatuses": [server]})
        self.api.logs[pod, "vllm", True] = log

    def complete(self) -> None:
        self._end("Complete", "CompletionsReached", "")

    def give_up(self, reason: str = "BackoffLimitExceeded", message: str = "") -> None:
        self._end("Failed", reason, message)

    def _end(self, kind: str, reason: str, message: str) -> None:
        with self.api.lock:
            condition = {"type": kind, "status": "True", "reason": reason, "message": message}
            condition["lastTransitionTime"] = now_text()
            self.object.setdefault("status", {}).setdefault("conditions", []).append(condition)
            self.api.put(self.resource, self.object)

    def _set(self, pod: str, phase: str, state: dict[str, Any]) -> None:
        container = {"name": self.client, "image": "registry/spavl-data:1", "restartCount": 0, "state": state}
        self._status(pod, {"phase": phase, "containerStatuses": [container]})

    def _status(self, pod: str, status: dict[str, Any]) -> None:
        with self.api.lock:
            found = self.api.objects["core/pods", pod]
            found["status"] = status
            self.api.put("core/pods", found)


def live(api: ClusterApi) -> list[Workload]:
    """All unfinished objects, oldest first."""
    found = [one for resource in RESOURCES.values() for one in api.of(resource)]
    return [
        Workload(api, one)
        for one in found
        if not any(condition["type"] in ("Complete", "Failed") for condition in one.get("status", {}).get("conditions", []))
    ]  # fmt: skip


def wait_for(what: Callable[[], Any], timeout_s: float = 20) -> Any:
    """The first true value of `what()`; fails after a while."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.01)
    raise AssertionError("it did not happen in time")
