"""What `make test-cluster` hands to the chart is what the chart takes: it runs rarely, and must not rot meanwhile."""

from __future__ import annotations

from tests.charts.rendered import combination, one, rendered
from tests.cluster.work import chart_values, says, work_of

IMAGE = "registry.example/spavl-data:0.1.0"


def test_its_values_are_valid_and_make_what_it_looks_for() -> None:
    made = rendered(chart_values(IMAGE, "s3://bucket/store", ["keys"]))
    names = {(it["kind"], it["metadata"]["name"]) for it in made}
    assert {
        ("ServiceAccount", "spavl-launcher"),
        ("ServiceAccount", "spavl-job"),
        ("CronJob", "spavl-sweep"),
    } <= names


def test_the_policy_and_the_runtime_that_it_installs_are_in_the_chart() -> None:
    assert one("NetworkPolicy", "spavl-deny", rendered(combination("existing-airflow")))
    assert one("TrainingRuntime", "spavl-training", rendered(combination("kueue-trainjob-quota")))


def test_its_work_differs_from_the_launchers_in_the_command_alone() -> None:
    work = work_of("ns", IMAGE, says(), num_shards=3)
    spec = work.manifest["spec"]["template"]["spec"]
    assert work.manifest["spec"]["completionMode"] == "Indexed"
    assert spec["containers"][0]["command"][:2] == ["python", "-c"]
    assert spec["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
