"""The chart and the code agree: the profile that it writes, the rights that it grants, the runtime that trainings refer to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.charts.rendered import COMBINATIONS, NAMESPACE, changed, combination, objects, one, rendered

from spavl.config import KubernetesLaunch
from spavl.config.root import Config
from spavl.launch.cluster import VERBS
from spavl.profiles import load_config

SHARED_CLUSTER = "kueue-trainjob-quota"


def installed_config(manifests: list[dict[str, Any]], folder: Path) -> Config:
    """The config that Airflow's pods read, from a file as it is mounted."""
    path = folder / "profile.yaml"
    path.write_text(one("ConfigMap", "spavl-profile", manifests)["data"]["profile.yaml"])
    return load_config(str(path))


def launch_of(manifests: list[dict[str, Any]], folder: Path) -> KubernetesLaunch:
    launch = installed_config(manifests, folder).launch
    assert isinstance(launch, KubernetesLaunch)
    return launch


@pytest.mark.parametrize("name", COMBINATIONS)
def test_the_installed_profile_loads(name: str, tmp_path: Path) -> None:
    config = installed_config(objects(name), tmp_path)
    assert config.launch.kind == "kubernetes"
    assert config.installation == combination(name).get("installation", "spavl")


@pytest.mark.parametrize("name", COMBINATIONS)
def test_the_profile_names_what_the_chart_installs(name: str, tmp_path: Path) -> None:
    launch, there = launch_of(objects(name), tmp_path), objects(name)
    installed = {(it["kind"], it["metadata"]["name"]) for it in there}
    assert launch.namespace == NAMESPACE
    assert ("ServiceAccount", launch.service_account) in installed
    assert launch.env["SPAVL_STORE"] == one("ConfigMap", "spavl-environment", there)["data"]["SPAVL_STORE"]
    if launch.trainjob:
        assert ("TrainingRuntime", launch.trainjob.runtime) in installed


def test_a_shared_cluster_is_told_as_the_values_say(tmp_path: Path) -> None:
    launch = launch_of(objects(SHARED_CLUSTER), tmp_path)
    assert launch.secrets == ("spavl-s3", "spavl-judge")
    assert launch.images.pull_secrets == ("registry",) and launch.images.pull_policy == "Always"
    assert launch.model_cache_claim == "spavl-models"
    assert (launch.cpu.queue, launch.inference.queue, launch.training.queue) == (None, "spavl", "spavl")
    assert launch.inference.node_selector == {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}
    assert (launch.training.num_gpus, launch.training.grace_s, launch.training.priority_class) == (
        8, 300, "training-high",
    )  # fmt: skip
    assert launch.trainjob is not None and launch.trainjob.num_nodes == 2


def test_an_existing_claim_and_queue_are_named_in_the_profile(tmp_path: Path) -> None:
    launch = launch_of(objects("own-claim"), tmp_path)
    assert launch.model_cache_claim == "weights-of-all-teams"
    assert {launch.cpu.queue, launch.inference.queue, launch.training.queue} == {"team-queue"}


def test_without_a_cache_each_pod_fetches_its_weights(tmp_path: Path) -> None:
    assert launch_of(objects("existing-airflow"), tmp_path).model_cache_claim is None


def test_numbers_of_a_profile_stay_numbers(tmp_path: Path) -> None:
    values = changed(combination("existing-airflow"), "profile.images", {"max_file_bytes": 12345678901})
    values = changed(values, "profile.training", {"learning_rate": 1e-06})
    config = installed_config(rendered(values), tmp_path)
    assert (config.images.max_file_bytes, config.training.learning_rate) == (12345678901, 1e-06)


def granted(manifests: list[dict[str, Any]]) -> dict[str, set[str]]:
    """Verbs by `group/resource`, as the table of the launcher writes them."""
    verbs: dict[str, set[str]] = {}
    for rule in one("Role", "spavl-launcher", manifests)["rules"]:
        assert set(rule) == {"apiGroups", "resources", "verbs"}
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                verbs.setdefault(f"{group or 'core'}/{resource}", set()).update(rule["verbs"])
    return verbs


def test_the_role_grants_just_what_the_launcher_does() -> None:
    assert granted(objects(SHARED_CLUSTER)) == {what: set(verbs) for what, verbs in VERBS.items()}


def test_without_kueue_and_trainer_their_rights_are_not_granted() -> None:
    others = ("kueue.x-k8s.io/", "trainer.kubeflow.org/")
    expected = {what: set(verbs) for what, verbs in VERBS.items() if not what.startswith(others)}
    assert granted(objects("existing-airflow")) == expected


def test_nothing_is_granted_by_a_wildcard() -> None:
    for what, verbs in granted(objects(SHARED_CLUSTER)).items():
        assert "*" not in what and "*" not in verbs
        assert "secrets" not in what


def test_only_the_launcher_and_the_named_accounts_are_bound() -> None:
    bindings = [it for it in objects("existing-airflow") if it["kind"] == "RoleBinding"]
    accounts = [(subject["namespace"], subject["name"]) for it in bindings for subject in it["subjects"]]
    assert accounts == [
        (NAMESPACE, "spavl-launcher"),
        ("airflow", "airflow-worker"),
        ("airflow", "airflow-triggerer"),
    ]


@pytest.mark.parametrize(
    "change",
    [{}, {"trainjob.priorityClass": ""}, {"secrets": []}, {"trainjob.numNodes": 4, "trainjob.graceSeconds": 60}],
    ids=["as-it-is", "no-priority", "no-secrets", "four-nodes"],
)  # fmt: skip
def test_the_training_runtime_is_the_one_that_trainings_count_on(
    change: dict[str, Any], tmp_path: Path
) -> None:
    from spavl.launch.trainjob import training_runtime

    values = combination(SHARED_CLUSTER)
    for path, value in change.items():
        values = changed(values, path, value)
    manifests = rendered(values)
    runtime = one("TrainingRuntime", "spavl-training", manifests)
    expected = training_runtime(launch_of(manifests, tmp_path))
    assert runtime["spec"] == expected["spec"]
    assert (runtime["apiVersion"], runtime["kind"]) == (expected["apiVersion"], expected["kind"])
    assert expected["metadata"]["labels"].items() <= runtime["metadata"]["labels"].items()


def test_the_training_runtime_is_one_that_trainer_takes() -> None:
    from kubeflow_trainer_api.models import TrainerV1alpha1TrainingRuntime

    runtime = one("TrainingRuntime", "spavl-training", objects(SHARED_CLUSTER))
    read = TrainerV1alpha1TrainingRuntime.from_dict(runtime)
    assert read is not None and read.to_dict() == runtime, "a key that Trainer does not know is lost"


def test_the_sweep_runs_on_the_installed_profile_as_the_launcher() -> None:
    from spavl.__main__ import _parser

    cron = one("CronJob", "spavl-sweep", objects("existing-airflow"))
    pod = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    python, dash_m, module, *words = pod["containers"][0]["command"]
    assert (python, dash_m, module) == ("python", "-m", "spavl")
    assert _parser().parse_args(words).command == "sweep"
    assert pod["serviceAccountName"] == "spavl-launcher"
    assert cron["spec"]["concurrencyPolicy"] == "Forbid"


def test_the_sweep_asks_for_no_airflow_connection(tmp_path: Path) -> None:
    """An Airflow outside of the cluster needs one; the sweep runs inside, where no Airflow holds it."""
    from spavl.__main__ import _parser

    values = combination("existing-airflow")
    values["profile"] = {"extends": "cluster", "launch": {"connection": "gpu-cluster"}}
    made = rendered(values)
    profile = tmp_path / "profile.yaml"
    profile.write_text(one("ConfigMap", "spavl-profile", made)["data"]["profile.yaml"])
    pod = one("CronJob", "spavl-sweep", made)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    overrides = _parser().parse_args(pod["containers"][0]["command"][3:]).overrides
    assert load_config(str(profile)).launch.connection == "gpu-cluster"
    assert load_config(str(profile), overrides).launch.connection is None


def test_the_sweep_would_never_remove_its_own_job() -> None:
    """It removes what is labelled managed-by=spavl; the chart's own pods are Helm's."""
    pod = one("CronJob", "spavl-sweep", objects("existing-airflow"))["spec"]["jobTemplate"]["spec"][
        "template"
    ]
    assert pod["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"


def test_the_profile_is_written_as_one_would_by_hand() -> None:
    text = one("ConfigMap", "spavl-profile", objects("existing-airflow"))["data"]["profile.yaml"]
    assert yaml.safe_load(text) == {
        "extends": "cluster",
        "installation": "spavl",
        "launch": {
            "kind": "kubernetes",
            "namespace": NAMESPACE,
            "service_account": "spavl-job",
            "secrets": [],
            "env": {"SPAVL_STORE": "s3://spavl-ci/store"},
            "images": {
                "data": "registry.example.com/spavl/data:0.1.0",
                "training": "registry.example.com/spavl/training:0.1.0",
                "vllm": "vllm/vllm-openai:v0.32.0",
                "pull_policy": "IfNotPresent",
                "pull_secrets": [],
            },
        },
    }
