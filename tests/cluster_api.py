"""A Kubernetes API server for tests: real HTTP, objects in memory, and every kind of misbehaviour on demand.

It keeps the rules that spavl relies on: names are unique, each change has a new resourceVersion, a patch or a delete of another
version is a 409, selectors select. It does nothing by itself: a test moves the state of a workload (cluster_workload.py).
"""

from __future__ import annotations

import asyncio
import copy
import datetime
import itertools
import json
import logging
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web
from kmock import RawHandler, Request, Server

VERBS = {"LIST": "list", "FETCH": "get", "CREATE": "create", "UPDATE": "patch", "DELETE": "delete"}
SERVED = {
    "batch/v1/jobs", "core/v1/pods", "core/v1/events", "trainer.kubeflow.org/v1alpha1/trainjobs",
    "kueue.x-k8s.io/v1beta1/localqueues",
}  # fmt: skip
NAMESPACE = "spavl"


class ClusterApi:
    """`with ClusterApi().serve() as api:`; its state may be read and changed from any thread under `api.lock`."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}  # (group/plural, name)
        self.logs: dict[tuple[str, str, bool], str] = {}  # (pod, container, of its former life)
        self.calls: list[tuple[str, str, str]] = []  # (verb, group/resource, name), as Roles name them
        self.served = set(SERVED)
        self.faults: list[int | str] = []  # statuses, or "reset", of the next calls
        self.is_away = False
        self.credential = "first"
        self.forbidden: set[tuple[str, str]] = set()
        self.refused_creation: tuple[int, str] | None = None
        self.lingers = False  # what is removed stays, terminating, until `let_go`
        self.url = ""
        self._versions = itertools.count(100)

    @contextmanager
    def serve(self) -> Iterator[ClusterApi]:
        ready, done = threading.Event(), threading.Event()
        logging.getLogger("aiohttp.access").disabled = True

        async def run() -> None:
            handler = _Handler(self)
            async with handler, Server(handler) as server:
                self.url = str(server.url).rstrip("/")
                ready.set()
                while not done.is_set():
                    await asyncio.sleep(0.02)

        thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
        thread.start()
        assert ready.wait(10)
        try:
            yield self
        finally:
            done.set()
            thread.join(10)

    def write_kubeconfig(self, path: Path, token: str | None = None) -> Path:
        """Credentials for this server, as a user has them."""
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "c",
                    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                    "clusters": [{"name": "c", "cluster": {"server": self.url}}],
                    "users": [{"name": "u", "user": {"token": token or self.credential}}],
                }
            )
        )
        return path

    def of(self, resource: str) -> list[dict[str, Any]]:
        """All objects of one group/plural, in order of creation."""
        with self.lock:
            return [found for (kind, _), found in self.objects.items() if kind == resource]

    def put(self, resource: str, made: dict[str, Any]) -> dict[str, Any]:
        """Create an object, or change it: it gets a new resourceVersion."""
        with self.lock:
            metadata = made.setdefault("metadata", {})
            metadata.setdefault("namespace", NAMESPACE)
            metadata.setdefault("uid", str(uuid.uuid4()))
            metadata.setdefault("creationTimestamp", now_text())
            metadata["resourceVersion"] = str(next(self._versions))
            self.objects[resource, metadata["name"]] = made
            return made

    def let_go(self) -> None:
        """Everything that is terminating is gone now."""
        with self.lock:
            for key, found in list(self.objects.items()):
                if found["metadata"].get("deletionTimestamp"):
                    del self.objects[key]

    def changed(self, resource: str, name: str) -> None:
        """Somebody else wrote it: whoever has read it before holds an old version."""
        with self.lock:
            self.put(resource, self.objects[resource, name])

    def answer(self, request: Request) -> web.Response | str:
        """What a call gets; "reset" for a connection that breaks."""
        group, version = request.resource.group or "core", request.resource.version
        resource = f"{group}/{request.resource.plural}"
        rights = f"{resource}/{request.subresource}" if request.subresource else resource
        verb = VERBS[request.action.value]
        self.calls.append((verb, rights, request.name or ""))
        if self.is_away:
            return "reset"
        if self.faults:
            fault = self.faults.pop(0)
            return fault if isinstance(fault, str) else status(fault, "Fault", "as the test asked")
        if request.headers.get("Authorization") != f"Bearer {self.credential}":
            return status(401, "Unauthorized", "Unauthorized")
        if (verb, rights) in self.forbidden:
            user = "system:serviceaccount:spavl:airflow"
            words = f'{rights} is forbidden: User "{user}" cannot {verb} resource "{request.resource.plural}" in API group "{group}"'
            return status(403, "Forbidden", words)
        if f"{group}/{version}/{request.resource.plural}" not in self.served:
            return web.Response(status=404, text="404 page not found")
        return getattr(self, f"_{verb}")(request, resource)

    def _list(self, request: Request, resource: str) -> web.Response:
        items = [
            copy.deepcopy(found)
            for found in self.of(resource)
            if _is_selected(found["metadata"].get("labels") or {}, request.params.get("labelSelector"))
            and _is_selected(
                {"involvedObject.name": (found.get("involvedObject") or {}).get("name")},
                request.params.get("fieldSelector"),
            )
        ]
        start, limit = int(request.params.get("continue") or 0), int(request.params.get("limit", 500))
        following = str(start + limit) if start + limit < len(items) else ""
        return web.json_response({"metadata": {"continue": following}, "items": items[start : start + limit]})

    def _get(self, request: Request, resource: str) -> web.Response:
        found = self.objects.get((resource, request.name))
        if found is None:
            return _not_found(resource, request.name)
        if request.subresource != "log":
            return web.json_response(found)
        key = (request.name, request.params["container"], request.params.get("previous") == "true")
        if key not in self.logs:
            return status(400, "BadRequest", f'container "{key[1]}" in pod "{key[0]}" is waiting to start')
        tail = self.logs[key].splitlines(keepends=True)[-int(request.params["tailLines"]) :]
        content = "".join(tail).encode()[: int(request.params["limitBytes"])]
        return web.Response(body=content, content_type="text/plain")

    def _create(self, request: Request, resource: str) -> web.Response:
        if self.refused_creation:
            return status(self.refused_creation[0], "Refused", self.refused_creation[1])
        name = request.data["metadata"]["name"]
        if (resource, name) in self.objects:
            return status(409, "AlreadyExists", f'{resource} "{name}" already exists')
        return web.json_response(self.put(resource, copy.deepcopy(request.data)), status=201)

    def _patch(self, request: Request, resource: str) -> web.Response:
        found = self.objects.get((resource, request.name))
        if found is None:
            return _not_found(resource, request.name)
        wanted = request.data.get("metadata") or {}
        if any(
            name in wanted and wanted[name] != found["metadata"][name] for name in ("uid", "resourceVersion")
        ):
            return status(409, "Conflict", "the object has been modified")
        assert request.headers["Content-Type"] == "application/merge-patch+json"
        _merge(found, request.data)
        return web.json_response(self.put(resource, found))

    def _delete(self, request: Request, resource: str) -> web.Response:
        found = self.objects.get((resource, request.name))
        if found is None:
            return _not_found(resource, request.name)
        for name, value in (request.data.get("preconditions") or {}).items():
            if found["metadata"][name] != value:
                return status(409, "Conflict", f"Precondition failed: {name}")
        assert request.data["propagationPolicy"] == "Background"
        uid = found["metadata"]["uid"]
        pods = [one for one in self.of("core/pods") if uid in _owners(one)]
        for kind, one in [(resource, found), *(("core/pods", pod) for pod in pods)]:
            if self.lingers:
                one["metadata"]["deletionTimestamp"] = now_text(30)
                self.put(kind, one)
            else:
                del self.objects[kind, one["metadata"]["name"]]
        return web.json_response({"kind": "Status", "status": "Success"})


class _Handler(RawHandler):
    def __init__(self, api: ClusterApi) -> None:
        super().__init__()
        object.__setattr__(self, "api", api)

    async def _handle(self, request: Request) -> web.StreamResponse:
        with self.api.lock:
            answer = self.api.answer(request)
        if isinstance(answer, str):
            request._raw_request.transport.abort()
            return web.Response()
        return answer


def status(code: int, reason: str, message: str, **details: str) -> web.Response:
    """An error as the API server writes it."""
    body = {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}
    return web.Response(
        status=code, body=json.dumps({**body, "details": details}), content_type="application/json"
    )


def _not_found(resource: str, name: str) -> web.Response:
    plural = resource.split("/")[1]
    return status(404, "NotFound", f'{plural} "{name}" not found', name=name, kind=plural)


def _is_selected(values: dict[str, Any], selector: str | None) -> bool:
    pairs = (pair.split("=", 1) for pair in (selector or "").split(",") if pair)
    return all(values.get(key) == value for key, value in pairs)


def _owners(found: dict[str, Any]) -> list[str]:
    return [owner["uid"] for owner in found["metadata"].get("ownerReferences") or []]


def _merge(target: dict[str, Any], change: dict[str, Any]) -> None:
    for key, value in change.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        else:
            target[key] = value


def now_text(later_s: float = 0) -> str:
    now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=later_s)
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")
