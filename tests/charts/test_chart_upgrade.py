"""An upgrade keeps everything running: what differs between two versions of the chart is a label that nothing selects by."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tests.charts.rendered import CHART, COMBINATIONS, changed, combination, objects, rendered

VERSION_LABELS = ("helm.sh/chart", "app.kubernetes.io/version")


@pytest.fixture(scope="module")
def next_chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart as it will be: nothing but its version and the application's has changed."""
    made = tmp_path_factory.mktemp("next") / "spavl"
    shutil.copytree(CHART, made)
    metadata = (made / "Chart.yaml").read_text()
    raised, times = re.subn(r"^(version|appVersion): .*$", r"\1: 99.0.0", metadata, flags=re.MULTILINE)
    assert times == 2
    (made / "Chart.yaml").write_text(raised)
    return made


def without_versions(manifests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for manifest in manifests:
        for label in VERSION_LABELS:
            manifest["metadata"]["labels"].pop(label, None)
    return manifests


@pytest.mark.parametrize("name", COMBINATIONS)
def test_a_new_version_differs_in_the_labels_of_its_objects_only(name: str, next_chart: Path) -> None:
    before, after = objects(name), rendered(combination(name), next_chart)
    assert before != after
    assert without_versions(before) == without_versions(after)


@pytest.mark.parametrize("name", COMBINATIONS)
def test_rendering_twice_gives_the_same(name: str) -> None:
    """Nothing is random or of the hour: a GitOps controller that renders again finds no difference."""
    assert rendered(combination(name)) == objects(name)


def test_what_cannot_be_changed_does_not_depend_on_images_or_profile() -> None:
    values = combination("kueue-trainjob-quota")
    before = rendered(values)
    after = rendered(
        changed(changed(values, "images.data", "registry.example.com/spavl/data:0.2.0"), "profile.reuse", {})
    )
    for kind, field in (("RoleBinding", "roleRef"), ("PersistentVolumeClaim", "spec")):
        fields = [[it[field] for it in manifests if it["kind"] == kind] for manifests in (before, after)]
        assert fields[0] and fields[0] == fields[1]


def test_a_changed_profile_changes_no_pod() -> None:
    """It is read by the next run's plan; runs that have begun keep theirs."""
    values = combination("kueue-trainjob-quota")
    before, after = rendered(values), rendered(changed(values, "profile.training", {"beta": 0.2}))
    assert [it["metadata"]["name"] for it in after if it not in before] == ["spavl-profile"]


def test_the_chart_installs_the_version_of_this_repository() -> None:
    project = tomllib.loads((CHART.parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
    assert f"\nappVersion: {project['version']}\n" in (CHART / "Chart.yaml").read_text("utf-8")
