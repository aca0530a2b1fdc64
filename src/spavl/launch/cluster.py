"""The Kubernetes API as the launcher uses it: seven calls on plain dicts, each with a time limit and bounded retries.

`VERBS` is all that spavl ever does to a cluster: the client refuses anything else, and the chart's Role grants nothing else.
What an object's life is, and what its state means, is elsewhere (life.py, status.py).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from spavl.launch.credentials import connection_errors, open_client
from spavl.launch.refusals import (
    Call,
    ClusterAway,
    Conflict,
    MissingKind,
    reason_of,
    refused,
    seconds_asked,
)

if TYPE_CHECKING:
    from spavl.config import KubernetesLaunch

VERBS: dict[str, frozenset[str]] = {
    "batch/jobs": frozenset({"create", "get", "list", "patch", "delete"}),
    "trainer.kubeflow.org/trainjobs": frozenset({"create", "get", "list", "patch", "delete"}),
    "core/pods": frozenset({"list"}),
    "core/pods/log": frozenset({"get"}),
    "core/events": frozenset({"list"}),
    "kueue.x-k8s.io/localqueues": frozenset({"get"}),
}

CALL_TIMEOUT_S = 30.0
RETRY_DELAYS_S = (0.5, 1.0, 2.0, 4.0, 8.0)
LONGEST_WAIT_ASKED_S = 30.0  # of a server's Retry-After
METHODS = {"create": "POST", "get": "GET", "list": "GET", "patch": "PATCH", "delete": "DELETE"}
AGAIN = (408, 410, 429, 500, 502, 503, 504)
PAGE = 500  # objects of one answer to a list


class Resource(NamedTuple):
    """One kind of object and where the API serves it."""

    group: str  # "core" has no group of its own
    version: str
    plural: str

    @property
    def name(self) -> str:
        return f"{self.group}/{self.plural}"

    def path(self, namespace: str, *words: str) -> str:
        root = f"/api/{self.version}" if self.group == "core" else f"/apis/{self.group}/{self.version}"
        return "/".join([root, "namespaces", namespace, self.plural, *words])


RESOURCES = {
    "Job": Resource("batch", "v1", "jobs"),
    "TrainJob": Resource("trainer.kubeflow.org", "v1alpha1", "trainjobs"),
    "Pod": Resource("core", "v1", "pods"),
    "Event": Resource("core", "v1", "events"),
}
QUEUES = [Resource("kueue.x-k8s.io", version, "localqueues") for version in ("v1beta2", "v1beta1")]


@dataclass(frozen=True)
class Patience:
    """How long one call may take and how often it is made again."""

    call_timeout_s: float = CALL_TIMEOUT_S
    retry_delays_s: Sequence[float] = field(default_factory=lambda: RETRY_DELAYS_S)


class Answer(NamedTuple):
    status: int
    content: bytes
    headers: Mapping[str, str]

    def json(self) -> dict[str, Any]:
        return json.loads(self.content)


class Cluster:
    """One namespace of a cluster; open as `async with Cluster(…) as cluster`."""

    def __init__(
        self, namespace: str, connection: str | None = None, patience: Patience | None = None
    ) -> None:
        self.namespace = namespace
        self._connection = connection
        self._patience = patience or Patience()
        self._opened = AsyncExitStack()
        self._client: Any = None

    @classmethod
    def of(cls, launch: KubernetesLaunch) -> Cluster:
        return cls(launch.namespace, launch.connection)

    async def __aenter__(self) -> Cluster:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._close()

    async def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """The object, or None where there is none of this name."""
        answer = await self._call("get", RESOURCES[kind], name)
        return None if answer is None else answer.json()

    async def list(self, kind: str, *, labels: str = "", fields: str = "") -> list[dict[str, Any]]:
        """All objects that the selectors choose, read page by page."""
        found: list[dict[str, Any]] = []
        query = {"limit": str(PAGE)}
        query |= {
            key: value for key, value in (("labelSelector", labels), ("fieldSelector", fields)) if value
        }
        while True:
            answer = await self._call("list", RESOURCES[kind], query=query)
            if answer is None:  # the page that was to follow is too old: from the start
                found = []
                query.pop("continue", None)
                continue
            page = answer.json()
            found += page.get("items") or []
            query["continue"] = (page.get("metadata") or {}).get("continue") or ""
            if not query["continue"]:
                return found

    async def create(self, kind: str, manifest: Mapping[str, Any]) -> dict[str, Any] | None:
        """The object as it was created, or None where one of this name exists already."""
        try:
            answer = await self._call("create", RESOURCES[kind], body=manifest)
        except Conflict:
            return None
        assert answer is not None
        return answer.json()

    async def patch(self, kind: str, name: str, change: Mapping[str, Any]) -> dict[str, Any] | None:
        """A merge patch; None where the object is gone. Raises Conflict where its resourceVersion has moved."""
        answer = await self._call("patch", RESOURCES[kind], name, body=change)
        return None if answer is None else answer.json()

    async def delete(self, kind: str, name: str, uid: str, resource_version: str) -> None:
        """Remove this very object with its pods, in the background. Raises Conflict where it has changed or is another."""
        body = {
            "propagationPolicy": "Background",
            "preconditions": {"uid": uid, "resourceVersion": resource_version},
        }
        await self._call("delete", RESOURCES[kind], name, body=body)

    async def log(
        self, pod: str, container: str, *, num_lines: int, num_bytes: int, previous: bool = False
    ) -> str:
        """The last lines of a container's log; "" where it has not started, is gone, or its node does not answer.

        Asked for once only: the API server gets it from the pod's node, and with that node lost every call is a 500.
        """
        query = {"container": container, "tailLines": str(num_lines), "limitBytes": str(num_bytes)}
        if previous:
            query["previous"] = "true"
        try:
            answer = await self._call("get", RESOURCES["Pod"], pod, "log", query=query, retry_delays_s=())
        except ClusterAway:
            return ""
        return "" if answer is None else answer.content.decode(errors="replace")

    async def has_queue(self, name: str) -> bool:
        """Whether the LocalQueue exists; raises MissingKind where Kueue is not installed."""
        try:
            return await self._call("get", QUEUES[0], name) is not None
        except MissingKind:  # an older Kueue
            return await self._call("get", QUEUES[1], name) is not None

    async def _call(
        self,
        verb: str,
        resource: Resource,
        name: str = "",
        subresource: str = "",
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        retry_delays_s: Sequence[float] | None = None,
    ) -> Answer | None:
        """One call, made again where that can help; None where the object, or the page of a list, is not there (any more)."""
        rights = f"{resource.name}/{subresource}" if subresource else resource.name
        if verb not in VERBS.get(rights, ()):
            raise ValueError(f"{verb} of {rights} is not in VERBS")
        path = resource.path(self.namespace, *(word for word in (name, subresource) if word))
        call = Call(verb, rights, name, self.namespace)
        is_renewed, why = False, ""
        delays_s = self._patience.retry_delays_s if retry_delays_s is None else retry_delays_s
        for delay_s in (*delays_s, None):
            asked_s = 0.0
            try:
                answer = await self._send(METHODS[verb], path, query, body)
            except connection_errors() as error:
                why = f"{type(error).__name__} {error}".strip()
            else:
                if answer.status < 300:
                    return answer
                why = f"{answer.status} {reason_of(answer.content)}"
                if answer.status == 410 and "continue" in (query or {}):
                    return None
                if answer.status == 401:
                    if is_renewed:
                        break
                    is_renewed = True
                    await self._close()  # the next call reads the credentials anew
                    continue
                if answer.status not in AGAIN:
                    return refused(call, answer.status, answer.content)
                asked_s = seconds_asked(answer.headers)
            if delay_s is not None:
                await asyncio.sleep(max(delay_s, min(asked_s, LONGEST_WAIT_ASKED_S)))
        remedy = "Trying again may help; else check the address and what stands in between (proxy, network policy)."
        if is_renewed and why.startswith("401"):
            remedy = "It does not know these credentials (any more): renew the token of KUBECONFIG, of the pod, or of launch.connection."
        raise ClusterAway(f"the cluster does not {call.words()}: {why}.", next_step=remedy)

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
    ) -> Answer:
        if self._client is None:
            self._client = await self._opened.enter_async_context(open_client(self._connection))
        content_type = "application/merge-patch+json" if method == "PATCH" else "application/json"
        response = await self._client.call_api(
            path,
            method,
            query_params=list((query or {}).items()),
            header_params={"Accept": "application/json, */*", "Content-Type": content_type},
            body=body,
            auth_settings=["BearerToken"],
            _preload_content=False,
            _request_timeout=self._patience.call_timeout_s,
        )
        async with response:
            return Answer(response.status, await response.read(), response.headers)

    async def _close(self) -> None:
        opened, self._opened, self._client = self._opened, AsyncExitStack(), None
        await opened.aclose()
