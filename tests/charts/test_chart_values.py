"""The chart's values: every one documented, in the schema and in the README; what is misspelt or does not agree is refused."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import pytest
import yaml
from helm_python import HelmRenderError, HelmValuesError
from tests.charts.rendered import CHART, changed, combination, rendered_texts

sys.path.insert(0, str(CHART.parents[1] / "tools"))
import chart_readme

VALUES = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
SCHEMA = json.loads((CHART / "values.schema.json").read_text("utf-8"))
OPEN = {  # maps of words that are not the chart's: who reads them knows them
    "global", "airflow", "profile", "environment", "quota.hard", "limitRange.container", "launcher.annotations",
    "jobs.annotations", "networkPolicies.dns.namespaceLabels", "networkPolicies.dns.podLabels",
}  # fmt: skip
RESOURCES = r"\.resources\.(requests|limits)$"


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    return SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema


def schema_paths(schema: dict[str, Any], above: str = "") -> set[str]:
    """Paths of all keys that the schema knows, down to what is no closed section."""
    schema = resolved(schema)
    if above in OPEN or "properties" not in schema:
        return {above}
    return {above} - {""} | {
        found
        for key, below in schema["properties"].items()
        for found in schema_paths(below, f"{above}.{key}" if above else key)
    }


def value_paths(values: Any, above: str = "") -> set[str]:
    """Paths of all keys of values.yaml, down to lists and open maps."""
    if above in OPEN or re.search(RESOURCES, above) or not isinstance(values, dict) or not values:
        return {above}
    return {above} - {""} | {
        found
        for key, below in values.items()
        for found in value_paths(below, f"{above}.{key}" if above else key)
    }


def test_schema_and_values_have_the_same_keys() -> None:
    assert schema_paths(SCHEMA) - {"global"} == value_paths(VALUES)


def closed_sections(schema: Any, path: str = "") -> list[tuple[str, dict[str, Any]]]:
    found = []
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            found.append((path, schema))
        for key, below in schema.items():
            found += closed_sections(below, f"{path}/{key}")
    return found


def test_every_section_of_the_schema_is_closed() -> None:
    is_open = [
        path for path, section in closed_sections(SCHEMA) if section.get("additionalProperties", True) is True
    ]
    assert is_open == [
        "/properties/global",
        "/properties/profile",
        "/properties/limitRange/properties/container",
        "/properties/networkPolicies/properties/ui/properties/from/items",
        "/properties/airflow",
    ]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("instalation", "night"),
        ("store.uri", "s3://bucket/x"),
        ("images.airflow", "registry.example.com/x:1"),
        ("kueue.queue", "gpus"),
        ("storage.modelCache.sizes", "1Gi"),
        ("networkPolicies.dns.cidr", "10.0.0.1/32"),
        ("networkPolicies.outside.cidrs", [{"cidr": "10.0.0.1/32", "port": 443}]),
        ("launcher.otherAccounts", [{"name": "worker", "namespce": "airflow"}]),
        ("sweep.resources.limit", {"cpu": "1"}),
    ],
)
def test_a_misspelt_key_is_refused(path: str, value: Any) -> None:
    misspelt = "namespce" if "otherAccounts" in path else "port" if "outside" in path else path.split(".")[-1]
    with pytest.raises(HelmValuesError, match=misspelt):
        rendered_texts(changed(combination("existing-airflow"), path, value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("store.url", "file:///data"),
        ("images.data", "Registry/data:1"),
        ("images.pullPolicy", "Sometimes"),
        ("secrets", ["S3_KEYS"]),
        ("environment", {"AWS_ENDPOINT_URL": 9000}),
        ("trainjob.numNodes", 0),
        ("kueue.pods", ["gpu"]),
        ("sweep.schedule", "hourly"),
        ("sweep.resources", {"limits": {"cpu": "much"}}),
        ("storage.modelCache.size", "lots"),
        ("networkPolicies.outside.ports", [70000]),
        ("networkPolicies.apiServer.cidrs", []),
    ],
)
def test_a_value_out_of_range_is_refused(path: str, value: Any) -> None:
    with pytest.raises(HelmValuesError, match=path.replace(".", "/")):
        rendered_texts(changed(combination("existing-airflow"), path, value))


@pytest.mark.parametrize(
    ("name", "path", "value", "words"),
    [
        ("existing-airflow", "store.url", "", "store.url is empty"),
        ("existing-airflow", "images.training", "", "images.training is empty"),
        ("existing-airflow", "images.data", "registry:5000/data", "tag other than latest"),
        ("existing-airflow", "images.data", "registry/data:latest", "tag other than latest"),
        ("existing-airflow", "profile.launch", {"namespace": "x"}, "profile.launch.namespace is the chart's"),
        ("existing-airflow", "profile.launch", {"cpu": {"queue": "q"}}, "profile.launch.cpu.queue is the chart's"),
        ("existing-airflow", "environment", {"SPAVL_STORE": "s3://x/y"}, "environment.SPAVL_STORE is the chart's"),
        ("existing-airflow", "environment", {"HF_TOKEN": "hf_x"}, "environment.HF_TOKEN would be readable"),
        ("existing-airflow", "kueue.enabled", True, "kueue.clusterQueue is empty"),
        ("existing-airflow", "storage.modelCache.existingClaim", "weights", "storage.modelCache.enabled is false"),
        ("bundled-airflow", "airflow.postgresql.enabled", True, "set it to null"),
        ("kueue-trainjob-quota", "profile.launch.training.grace_s", 5, "set trainjob.graceSeconds"),
        ("bundled-airflow", "launcher.image", "registry.example.com/spavl/airflow:0.2.0", "run in one image"),
        ("bundled-airflow", "airflow.images.airflow.tag", "", "give it a tag"),
        ("bundled-airflow", "airflow.images.airflow", {"repository": "", "tag": ""}, "airflow.images.airflow is empty"),
        ("existing-airflow", "launcher.image", "", "launcher.image is empty"),
        ("bundled-airflow", "secrets", ["my-s3"], "airflow.extraEnvFrom does not name"),
    ],
)  # fmt: skip
def test_values_that_do_not_agree_are_refused_with_the_remedy(
    name: str, path: str, value: Any, words: str
) -> None:
    with pytest.raises(HelmRenderError, match=re.escape(words)):
        rendered_texts(changed(combination(name), path, value))


def test_a_secret_that_the_bundled_airflow_reads_is_taken() -> None:
    values = changed(combination("bundled-airflow"), "secrets", ["my-s3"])
    rendered_texts(changed(values, "airflow.extraEnvFrom", "- secretRef:\n    name: my-s3\n"))


def test_the_readme_has_every_value() -> None:
    readme = (CHART / "README.md").read_text("utf-8")
    made = chart_readme.with_table(readme, (CHART / "values.yaml").read_text("utf-8"))
    assert readme == made, "run: python tools/chart_readme.py"


def test_a_value_without_words_is_found() -> None:
    with pytest.raises(ValueError, match=r"store\.url has no line"):
        list(chart_readme.documented("store:\n  url: ''\n"))


def test_words_belong_to_the_key_below_them() -> None:
    text = "# -- The a.\na: {b: 1}\nc:\n  # -- The d.\n  d:\n    e: 2\n  # -- The f.\n  f: [3]\n"
    assert list(chart_readme.documented(text)) == [
        ("a", {"b": 1}, "The a."),
        ("c.d", {"e": 2}, "The d."),
        ("c.f", [3], "The f."),
    ]


def test_no_value_holds_a_shell() -> None:
    text = json.dumps(VALUES)
    assert not re.search(r"\b(ba)?sh\b.{0,6}-c|\$\(|&&", text)
