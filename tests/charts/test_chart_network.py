"""Who may speak with whom, read from the rendered policies as Kubernetes reads them: denied, unless one of them allows it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.charts.rendered import COMBINATIONS, RELEASE, combination, objects, pod_specs, rendered

from spavl.launch import names

Labels = dict[str, str]
STORE, API_SERVER, DATABASE = "203.0.113.0/24", "10.96.0.1/32", "10.20.0.0/24"


def job(stage: str) -> Labels:
    return names.labels("spavl", "20260101-0123456789", stage, "work", "spavl-0")


def airflow(component: str) -> Labels:
    return {"tier": "airflow", "component": component, "release": RELEASE}


def of_chart(name: str, component: str) -> Labels:
    labels = [spec["metadata"].get("labels", {}) for it in objects(name) for spec in pod_specs(it)]
    return next(found for found in labels if found.get("app.kubernetes.io/component") == component)


def selects(selector: dict[str, Any], labels: Labels) -> bool:
    expressions = selector.get("matchExpressions", [])
    assert all(expression["operator"] == "In" for expression in expressions)
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        labels.get(expression["key"]) in expression["values"] for expression in expressions
    )


def policies(name: str, labels: Labels) -> list[dict[str, Any]]:
    """The specs of the policies that hold for a pod."""
    specs = [it["spec"] for it in objects(name) if it["kind"] == "NetworkPolicy"]
    return [spec for spec in specs if selects(spec["podSelector"], labels)]


def addresses(name: str, labels: Labels) -> set[tuple[str, int]]:
    """Addresses outside of the cluster's pods, and ports, that a pod may connect to."""
    return {
        (peer["ipBlock"]["cidr"], port["port"])
        for spec in policies(name, labels)
        for rule in spec.get("egress", [])
        for peer in rule["to"]
        if "ipBlock" in peer
        for port in rule["ports"]
    }


def meet(name: str, one: Labels, other: Labels) -> bool:
    """Whether one pod of the namespace may connect to another: its egress and the other's ingress both say so."""
    out = [peer for spec in policies(name, one) for rule in spec.get("egress", []) for peer in rule["to"]]
    into = [
        peer for spec in policies(name, other) for rule in spec.get("ingress", []) for peer in rule["from"]
    ]
    return all(
        any("namespaceSelector" not in peer and selects(peer["podSelector"], labels) for peer in peers if "podSelector" in peer)
        for peers, labels in ((out, other), (into, one))
    )  # fmt: skip


@pytest.mark.parametrize("name", [name for name in COMBINATIONS if name != "no-network-policies"])
def test_everything_is_denied_first(name: str) -> None:
    deny = [it["spec"] for it in objects(name) if it["metadata"]["name"] == "spavl-deny"]
    assert deny == [{"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}]


def test_an_unknown_pod_reaches_dns_and_nothing_else() -> None:
    stranger = {"app": "stranger"}
    assert addresses("bundled-airflow", stranger) == set()
    (rule,) = [rule for spec in policies("bundled-airflow", stranger) for rule in spec.get("egress", [])]
    assert {(port["protocol"], port["port"]) for port in rule["ports"]} == {("UDP", 53), ("TCP", 53)}


@pytest.mark.parametrize("stage", ["images", "responses", "training", "evaluation"])
def test_a_job_reaches_the_store_but_not_the_kubernetes_api(stage: str) -> None:
    assert addresses("bundled-airflow", job(stage)) == {(STORE, 443)}


@pytest.mark.parametrize("component", ["scheduler", "triggerer"])
def test_what_launches_jobs_reaches_the_kubernetes_api(component: str) -> None:
    assert addresses("bundled-airflow", airflow(component)) == {
        (STORE, 443), (DATABASE, 5432), (API_SERVER, 443), (API_SERVER, 6443),
    }  # fmt: skip


@pytest.mark.parametrize("component", ["dag-processor", "api-server"])
def test_the_rest_of_airflow_does_not(component: str) -> None:
    assert addresses("bundled-airflow", airflow(component)) == {(STORE, 443), (DATABASE, 5432)}


def test_the_sweep_reaches_the_kubernetes_api() -> None:
    sweep = of_chart("bundled-airflow", "sweep")
    assert {(API_SERVER, 443), (API_SERVER, 6443)} <= addresses("bundled-airflow", sweep)


def test_the_test_pod_reaches_what_a_job_reaches() -> None:
    doctor = of_chart("bundled-airflow", "doctor")
    assert addresses("bundled-airflow", doctor) == addresses("bundled-airflow", job("images"))


def test_pods_of_a_training_meet_and_other_jobs_do_not() -> None:
    name = "kueue-trainjob-quota"
    assert meet(name, job("training"), job("training"))
    assert meet(name, job("reward"), job("reward"))
    assert not meet(name, job("responses"), job("training"))
    assert not meet(name, job("training"), job("responses"))
    assert not meet(name, job("responses"), job("responses"))


def test_a_training_reports_to_trainer_only() -> None:
    spaces = [
        peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
        for spec in policies("kueue-trainjob-quota", job("training"))
        for rule in spec.get("egress", [])
        for peer in rule["to"]
        if "namespaceSelector" in peer
    ]
    assert sorted(spaces) == ["kube-system", "kubeflow-system"]


def test_parts_of_airflow_meet_and_jobs_do_not_reach_them() -> None:
    name = "bundled-airflow"
    assert meet(name, airflow("scheduler"), airflow("api-server"))
    assert meet(name, airflow("api-server"), airflow("scheduler"))  # it reads the tasks' logs there
    assert not meet(name, job("responses"), airflow("api-server"))


def test_the_pages_are_open_to_whom_the_values_name() -> None:
    entrances = [
        (rule["from"], rule["ports"])
        for spec in policies("bundled-airflow", airflow("api-server"))
        for rule in spec.get("ingress", [])
        if "ports" in rule
    ]
    named = combination("bundled-airflow")["networkPolicies"]["ui"]["from"]
    assert entrances == [(named, [{"protocol": "TCP", "port": 8080}])]


def test_the_trial_database_is_airflows_alone() -> None:
    name = "trial-database"
    database = {"app.kubernetes.io/name": "postgresql", "app.kubernetes.io/instance": RELEASE}
    assert meet(name, airflow("scheduler"), database)
    assert not meet(name, job("responses"), database)


def test_a_database_that_no_value_names_is_reached_on_its_port() -> None:
    values = combination("bundled-airflow")
    del values["networkPolicies"]["database"]
    (policy,) = [it for it in rendered(values) if it["metadata"]["name"] == "spavl-airflow"]
    ways = [rule for rule in policy["spec"]["egress"] if {"protocol": "TCP", "port": 5432} in rule.get("ports", [])]  # fmt: skip
    assert [way["to"] for way in ways] == [[{"ipBlock": {"cidr": "0.0.0.0/0"}}]]


def test_with_the_trial_database_no_other_is_reached() -> None:
    assert 5432 not in {port for _, port in addresses("trial-database", airflow("scheduler"))}


def test_at_first_no_private_network_is_open() -> None:
    blocks = [
        peer["ipBlock"]
        for spec in policies("existing-airflow", job("images"))
        for rule in spec.get("egress", [])
        for peer in rule["to"]
        if "ipBlock" in peer
    ]
    assert [block["cidr"] for block in blocks] == ["0.0.0.0/0"]
    assert {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"} <= set(blocks[0]["except"])


def test_policies_can_be_left_to_others() -> None:
    assert not any(it["kind"] == "NetworkPolicy" for it in objects("no-network-policies"))
