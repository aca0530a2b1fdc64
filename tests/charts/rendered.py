"""The chart as Helm renders it, on this machine alone: Helm comes with a Python package, and no binary or cluster is needed.

The Airflow chart that ours may bring along need not be here: Helm renders a chart whose dependencies are missing, only an
installation refuses it. Where it is, its objects are read by the tests that say so.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).resolve().parents[2] / "charts" / "spavl"
COMBINATIONS = sorted(path.name.removesuffix("-values.yaml") for path in (CHART / "ci").glob("*-values.yaml"))
RELEASE, NAMESPACE = "night", "spavl-test"
_COPIES = tempfile.TemporaryDirectory(prefix="spavl-charts-")

Manifest = dict[str, Any]


def combination(name: str) -> Manifest:
    """The values of one supported combination."""
    return yaml.safe_load((CHART / "ci" / f"{name}-values.yaml").read_text("utf-8"))


def rendered(values: Manifest, chart: Path = CHART) -> list[Manifest]:
    """All objects of the chart with these values."""
    texts = rendered_texts(values, chart)
    documents = [text for path, text in sorted(texts.items()) if not path.endswith("NOTES.txt")]
    return [one for document in documents for one in yaml.safe_load_all(document) if one]


def rendered_texts(values: Manifest, chart: Path = CHART) -> dict[str, str]:
    """What the chart's own templates say, by their paths; notes included."""
    return all_texts(values, alone(chart))


def all_texts(values: Manifest, chart: Path = CHART) -> dict[str, str]:
    """The same, with the templates of the charts that it brings along, where they are here."""
    from helm_python import Chart

    # loaded anew each time: rendering removes the dependencies that the values switch off from the loaded chart
    return Chart.load(chart).render(values, name=RELEASE, namespace=NAMESPACE)


@functools.cache
def alone(chart: Path) -> Path:
    """A copy of the chart without those that it brings along."""
    copied = Path(_COPIES.name) / hashlib.sha256(str(chart).encode()).hexdigest() / "spavl"
    shutil.copytree(chart, copied, ignore=shutil.ignore_patterns("charts"))
    return copied


@functools.cache
def _objects(name: str) -> list[Manifest]:
    return rendered(combination(name))


def objects(name: str) -> list[Manifest]:
    """All objects of one supported combination; a copy, to be changed freely."""
    return copy.deepcopy(_objects(name))


def one(kind: str, name: str, among: list[Manifest]) -> Manifest:
    """The object of this kind and name."""
    return next(it for it in among if (it["kind"], it["metadata"]["name"]) == (kind, name))


def pod_specs(manifest: Manifest) -> list[Manifest]:
    """The specs of all pods that an object stands for, with the pod's metadata as `metadata`."""
    if manifest["kind"] == "Pod":
        return [{**manifest["spec"], "metadata": manifest["metadata"]}]
    if manifest["kind"] in ("Deployment", "StatefulSet", "Job"):
        templates = [manifest["spec"]["template"]]
    elif manifest["kind"] == "CronJob":
        templates = [manifest["spec"]["jobTemplate"]["spec"]["template"]]
    elif manifest["kind"] == "TrainingRuntime":
        jobs = manifest["spec"]["template"]["spec"]["replicatedJobs"]
        templates = [job["template"]["spec"]["template"] for job in jobs]
    else:
        return []
    return [{**template["spec"], "metadata": template.get("metadata", {})} for template in templates]


def changed(values: Manifest, path: str, value: Any) -> Manifest:
    """The values with one of them set, by its path `a.b.c`."""
    made = copy.deepcopy(values)
    *parents, last = path.split(".")
    target = made
    for key in parents:
        target = target.setdefault(key, {})
    target[last] = value
    return made
