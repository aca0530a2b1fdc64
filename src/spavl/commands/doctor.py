"""What a machine needs for a profile, examined one by one: packages, models, store, cores, memory, disk."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from spavl.artifacts.store import open_store
from spavl.config import EndpointModel, KubernetesLaunch, LaunchConfig, LocalLaunch, VllmModel, spavl_home
from spavl.config.models import models_in
from spavl.config.root import Config
from spavl.errors import SpavlError

MIN_DISK_GB = 5.0
_PACKAGES = {  # extra -> module that must be importable
    "validation": ("great_expectations", "pandas"),
    "training": ("torch", "transformers", "trl", "peft", "accelerate", "datasets"),
    "airflow": ("airflow",),
    "s3": ("s3fs",),
    "kubernetes": ("kubernetes_asyncio",),
}
_IMAGES_OF_PODS = ("data", "training")  # of SPAVL_IMAGE, which each of our images sets
SERVER_TIMEOUT_S = 3.0


@dataclass(frozen=True)
class Finding:
    what: str
    is_ok: bool
    seen: str
    remedy: str = ""


def examine(config: Config) -> list[Finding]:
    """All findings for a resolved config; nothing is changed but one probe file in the store."""
    return [*_python(), *_packages(config), *_disk(), *_store(), *_launch(config), *_models(config)]


def _python() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("Python", (3, 11) <= sys.version_info < (3, 13), version, "Use Python 3.11 or 3.12.")


def _packages(config: Config) -> Iterator[Finding]:
    needed = {"validation"}
    specs = [
        spec
        for name in type(config).model_fields
        if hasattr(section := getattr(config, name), "model_fields_set")
        for spec in models_in(section)
    ]
    if isinstance(config.launch, KubernetesLaunch):
        # models are run by pods, whose images hold what they need; a pod's own image launches nothing
        needed |= set() if os.environ.get("SPAVL_IMAGE") in _IMAGES_OF_PODS else {"kubernetes"}
    elif any(spec.kind == "transformers" for spec in specs):
        needed.add("training")
    if os.environ.get("SPAVL_STORE", "").startswith("s3://"):
        needed.add("s3")
    if config.profile == "demo":
        needed.add("airflow")
    for extra in sorted(needed):
        missing = [module for module in _PACKAGES[extra] if importlib.util.find_spec(module) is None]
        yield Finding(
            f"extra {extra}",
            not missing,
            f"missing {', '.join(missing)}" if missing else "installed",
            f"pip install 'spavl[{extra}]'",
        )


def _disk() -> Iterator[Finding]:
    home = spavl_home()
    existing = next(path for path in (home, *home.parents) if path.exists())
    free_gb = shutil.disk_usage(existing).free / 1e9
    yield Finding(
        "disk",
        free_gb >= MIN_DISK_GB,
        f"{free_gb:.0f} GB free at {existing}",
        f"Free {MIN_DISK_GB:.0f} GB, or set SPAVL_HOME to another disk.",
    )
    yield Finding(
        "SPAVL_HOME", os.access(existing, os.W_OK), str(home), "Set SPAVL_HOME to a folder you may write to."
    )


def _store() -> Iterator[Finding]:
    """Whether the store takes bytes and honours create-once: not every S3 clone does, and channels rest on it."""
    probe = f"doctor/{uuid.uuid4().hex}"
    try:
        store = open_store()
        first, second = store.create(probe, b"first"), store.create(probe, b"second")
        store.remove(probe)
    except (SpavlError, OSError) as error:
        yield Finding(
            "store",
            False,
            str(error),
            "Set SPAVL_STORE to a URL you may write to, for instance s3://bucket/prefix.",
        )
        return
    yield Finding("store", True, store.url)
    remedy = "Use a store that honours conditional writes (If-None-Match)."
    yield Finding(
        "create-once",
        first and not second,
        "honoured" if first and not second else "not honoured: two writers could both win",
        remedy,
    )


def _models(config: Config) -> Iterator[Finding]:
    from spavl.inference import resolve_revision

    for name in type(config).model_fields:
        section: Any = getattr(config, name)
        if not hasattr(section, "model_fields_set"):
            continue
        for spec in models_in(section):
            yield _model(f"{name}: {spec.name}", spec, config.launch, resolve_revision)
            if isinstance(spec, VllmModel) and isinstance(config.launch, LocalLaunch):
                yield _server(f"{name}: server of {spec.name}", spec)


def _launch(config: Config) -> Iterator[Finding]:
    """What pods need and only the profile can tell; the cluster itself is not asked."""
    from spavl.launch.needs import images_used
    from spavl.pipeline import DAGS, stages_of

    if not isinstance(config.launch, KubernetesLaunch):
        return
    stages = [stage for dag in DAGS for stage in stages_of(dag, config.training.method)]
    try:
        yield Finding("images of pods", True, ", ".join(images_used(config, stages)))
    except SpavlError as error:
        yield Finding("images of pods", False, error.message, error.next_step)
    here, there = os.environ.get("SPAVL_STORE", ""), config.launch.env.get("SPAVL_STORE", "")
    is_same = bool(there) and here == there
    seen = f"launch.env.SPAVL_STORE is {there or 'not set'}"
    yield Finding(
        "store of pods",
        is_same,
        there if is_same else f"{seen}, and SPAVL_STORE is {here or 'not set'} here",
        "Set both to one URL that pods reach too, s3://bucket/prefix.",
    )


def _has_key(variable: str, launch: LaunchConfig) -> bool:
    """Pods have their keys from Secrets, which are not read here."""
    return bool(launch.secrets if isinstance(launch, KubernetesLaunch) else os.environ.get(variable))


def _server(what: str, spec: VllmModel) -> Finding:
    """Whether a server listens and knows the model; only pods start their own."""
    import httpx

    remedy = f"Start `vllm serve` at {spec.base_url} with --served-model-name {spec.name}, or set launch.kind to kubernetes."
    try:
        told = httpx.get(f"{spec.base_url.rstrip('/')}/models", timeout=SERVER_TIMEOUT_S).raise_for_status()
        known = [str(model["id"]) for model in told.json()["data"]]
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
        return Finding(what, False, f"{spec.base_url} does not answer: {type(error).__name__}", remedy)
    return Finding(what, spec.name in known, f"{spec.base_url} serves {', '.join(known)}", remedy)


def _model(what: str, spec: Any, launch: LaunchConfig, resolve_revision: Any) -> Finding:
    if isinstance(spec, EndpointModel) and spec.api_key_env and not _has_key(spec.api_key_env, launch):
        remedy = f"Put the key of {spec.base_url} into {spec.api_key_env}"
        if isinstance(launch, KubernetesLaunch):
            remedy += ", a key of a Secret that launch.secrets names"
        return Finding(what, False, f"{spec.api_key_env} is not set", f"{remedy}.")
    try:
        return Finding(what, True, f"{spec.kind}, revision {resolve_revision(spec)}")
    except SpavlError as error:
        return Finding(what, False, error.message, error.next_step or "See the message.")
