"""Every name, label and annotation of the objects that spavl makes in a cluster: manifests, their life, the sweep and the chart."""

from __future__ import annotations

import hashlib
import re

from spavl.records import stable_hash

JOB = "Job"
TRAINJOB = "TrainJob"
API_VERSIONS = {JOB: "batch/v1", TRAINJOB: "trainer.kubeflow.org/v1alpha1"}

CLIENT = "spavl"  # the container that runs our command; a shard ends with it
WEIGHTS = "weights"  # the init container that fetches a vLLM server's weights
SERVER = "vllm"  # the native sidecar
NODE = "node"  # Trainer's own name for the container, and the replicated job, of a TrainJob

LABEL_NAME = "app.kubernetes.io/name"
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
LABEL_INSTALLATION = "app.kubernetes.io/instance"
LABEL_OBJECT = "spavl.dev/object"  # the base name: what all generations of one piece of work share
LABEL_RUN = "spavl.dev/run"
LABEL_STAGE = "spavl.dev/stage"
LABEL_STEP = "spavl.dev/step"
LABEL_QUEUE = "kueue.x-k8s.io/queue-name"

GROUP = "spavl.dev/group"  # an annotation, since a group may hold any character
SPEC_HASH = "spavl.dev/spec-hash"
OWNER = "spavl.dev/owner"  # id of the try that watches the object
SEEN_AT = "spavl.dev/seen-at"  # UTC, ISO 8601; renewed by whoever watches
GENERATION = "spavl.dev/generation"

_LABEL_VALUE = re.compile(r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$")


def base_name(installation: str, run_id: str, stage: str, step: str, group: str | None) -> str:
    """`spavl-` and 20 hex digits: the same for the same piece of work, on every try and every worker."""
    canonical = stable_hash(installation, run_id, stage, step, group)
    return f"spavl-{canonical[:20]}"


def object_name(base: str, generation: int) -> str:
    """The base name and the generation, 1, 2, …: at most 40 characters, since pods and jobs of it get longer names."""
    name = f"{base}-{generation}"
    assert generation >= 1 and len(name) <= 40
    return name


def label_value(text: str) -> str:
    """The text itself where a label may hold it, else its allowed part and a hash: labels must end with a letter or digit."""
    if _LABEL_VALUE.match(text):
        return text
    readable = re.sub(r"[^A-Za-z0-9._-]", "-", text)[:40].strip("._-")
    return f"{readable}-{hashlib.sha256(text.encode()).hexdigest()[:8]}".lstrip("-")


def labels(installation: str, run_id: str, stage: str, step: str, base: str) -> dict[str, str]:
    """Labels of an object and of its pods."""
    return {
        LABEL_NAME: "spavl",
        LABEL_MANAGED_BY: "spavl",
        LABEL_INSTALLATION: label_value(installation),
        LABEL_OBJECT: base,
        LABEL_RUN: run_id,
        LABEL_STAGE: stage,
        LABEL_STEP: step,
    }


def selector(installation: str) -> str:
    """The label selector of everything that an installation made."""
    return f"{LABEL_MANAGED_BY}=spavl,{LABEL_INSTALLATION}={label_value(installation)}"
