"""What the API server refuses, in the words of whoever has to act: the verb, the object, and the remedy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from spavl.errors import TryAgain, UserError

RUNTIME_WORDS = ("trainingruntime", "runtimeref")
INSTALL = {
    "trainer.kubeflow.org/trainjobs": "Install Kubeflow Trainer 2.2 or newer, or unset launch.trainjob in the profile.",
    "kueue.x-k8s.io/localqueues": "Install Kueue, or unset `queue` in the profile's launch section.",
}


class ClusterAway(TryAgain):
    """The API server could not be reached, or answered with an error of its own, as often as we asked."""


class Conflict(Exception):
    """The object exists already, or is not the version that was read."""


class MissingKind(UserError):
    """The cluster does not know this kind of object: its operator is not installed."""


class Forbidden(UserError):
    """No Role grants us this verb."""


class Call(NamedTuple):
    """What was asked of the API server."""

    verb: str
    rights: str  # group/resource, as VERBS and Roles name it
    name: str
    namespace: str

    def words(self) -> str:
        return f"{self.verb} {self.rights}{f' {self.name!r}' if self.name else ''} in namespace {self.namespace!r}"


def refused(call: Call, status: int, content: bytes) -> None:
    """Returns where the object is simply not there; raises what any other refusal means."""
    said = _status(content)
    message = reason_of(content)
    lower = message.lower()
    kind = (said.get("details") or {}).get("kind", "")
    if status == 409:
        raise Conflict(message)
    if status == 404 and kind == "namespaces":
        raise UserError(
            f"the cluster has no namespace {call.namespace!r}.",
            next_step="Create it, or set launch.namespace of the profile.",
        )
    if status == 404 and call.name and kind and "could not find the requested resource" not in lower:
        return
    if status == 404:
        raise MissingKind(
            f"the cluster has no {call.rights}: it does not know this kind of object.",
            next_step=INSTALL.get(call.rights, "Is this the address of a Kubernetes API server?"),
        )
    if status == 400 and call.rights == "core/pods/log":
        return  # the container has not started, or its log is gone
    if status in (403, 422) and any(word in lower for word in RUNTIME_WORDS):
        raise UserError(
            f"the TrainJob is refused: {message}.",
            next_step="Install the chart's TrainingRuntime in this namespace, or correct launch.trainjob.runtime.",
        )
    if status == 403:
        raise _forbidden(call, message)
    raise UserError(f"the cluster refuses to {call.words()}: {status} {message}.")


def _forbidden(call: Call, message: str) -> TryAgain | UserError:
    lower = message.lower()
    if "exceeded quota" in lower:
        return TryAgain(
            f"there is no quota left to {call.words()}: {message}.",
            next_step="It is tried again; raise the ResourceQuota where that does not help.",
        )
    if "being terminated" in lower:
        return UserError(f"namespace {call.namespace!r} is being removed.")
    if "admission webhook" in lower or "denied the request" in lower or "violates" in lower:
        return UserError(f"the cluster's admission refuses to {call.words()}: {message}.")
    return Forbidden(
        f"the cluster forbids us to {call.words()}: {message}.",
        next_step="Grant it by a Role, as the chart does for the service account of Airflow.",
    )


def reason_of(content: bytes) -> str:
    """The server's own words on one line, at most 600 characters."""
    said = _status(content)
    words = said.get("message") or said.get("reason") or content.decode(errors="replace")
    return " ".join(str(words).split())[:600].rstrip(".")


def seconds_asked(headers: Mapping[str, str]) -> float:
    """What Retry-After says, 0 where it says nothing."""
    try:
        return float(headers.get("Retry-After", "0"))
    except ValueError:
        return 0.0


def _status(content: bytes) -> dict[str, Any]:
    try:
        said = json.loads(content)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
