"""What docs/kubernetes.md shows is what the chart takes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.charts.rendered import CHART, combination, objects, one, rendered

from spavl.config import KubernetesLaunch
from spavl.config.root import Config
from spavl.launch.needs import images_used
from spavl.pipeline import STAGES
from spavl.profiles import load_config

ROOT = CHART.parents[1]
GUIDE = (ROOT / "docs" / "kubernetes.md").read_text("utf-8")
BLOCKS = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.+?)```", GUIDE, flags=re.DOTALL)]


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """`above` over `below`, as Helm lays one file of values over another."""
    made = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(below.get(key), dict)
        made[key] = merged(below[key], value) if both else value
    return made


def config_of(values: dict[str, Any], folder: Path) -> Config:
    path = folder / "profile.yaml"
    path.write_text(one("ConfigMap", "spavl-profile", rendered(values))["data"]["profile.yaml"])
    return load_config(str(path))


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: "+".join(block))
def test_every_block_of_values_is_taken(block: dict[str, Any], tmp_path: Path) -> None:
    below = {} if "store" in block else combination("existing-airflow")  # the first block stands alone
    assert config_of(merged(below, block), tmp_path).launch.kind == "kubernetes"


def test_the_first_installation_has_all_that_its_stages_need(tmp_path: Path) -> None:
    config = config_of(BLOCKS[0], tmp_path)
    assert set(images_used(config, [stage.name for stage in STAGES])) == {
        *BLOCKS[0]["images"].values(), "vllm/vllm-openai:v0.32.0",
    }  # fmt: skip
    assert config.images.sources and config.responses.models
    assert config.judgements.judge and config.comparisons.judge and config.evaluation.judge


def test_the_guide_names_the_secrets_keys_that_airflow_reads() -> None:
    keys = set(re.findall(r"--from-literal=([\w-]+)=", GUIDE))
    assert {"connection", "fernet-key", "jwt-secret", "api-secret-key"} <= keys


def test_a_fernet_key_made_as_the_guide_says_is_one() -> None:
    import subprocess

    from cryptography.fernet import Fernet

    (words,) = re.findall(r'fernet-key="\$\((.+?)\)"', GUIDE)
    made = subprocess.run(["bash", "-c", words], capture_output=True, text=True, check=True).stdout.strip()
    assert Fernet(made).decrypt(Fernet(made).encrypt(b"connection")) == b"connection"


def test_the_table_of_rights_is_the_role() -> None:
    rows = dict(re.findall(r"^\| (`[a-z/]+`[^|]*)\| ([^|]+) \| [^|]+ \|$", GUIDE, flags=re.MULTILINE))
    told: dict[str, set[str]] = {}
    for what, verbs in rows.items():
        for resource in re.findall(r"`([a-z/]+)`(?! `|\))", what.split("(")[0]):
            told[resource] = set(verbs.split(", "))
    told["trainjobs"] = told["jobs"]  # the table says "the same"
    role = one("Role", "spavl-launcher", objects("kueue-trainjob-quota"))
    granted = {resource: set(rule["verbs"]) for rule in role["rules"] for resource in rule["resources"]}
    assert told == granted


def test_every_link_leads_somewhere() -> None:
    for page in (ROOT / "docs" / "kubernetes.md", CHART / "README.md"):
        for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_images_default_of_vllm_is_the_codes() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    config = KubernetesLaunch.model_validate({"kind": "kubernetes", "images": {}})
    assert values["images"]["vllm"] == config.images.vllm
