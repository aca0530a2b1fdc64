"""What is hashed of a config does not depend on where a home lies."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from spavl.artifacts.store import open_store
from spavl.config.portable import home_free
from spavl.pipeline import DAGS
from spavl.plan import Plan, alignment_key, make_plan


@pytest.mark.parametrize(
    ("text", "free"),
    [
        ("/a/home", "${SPAVL_HOME}"),
        ("/a/home/", "${SPAVL_HOME}"),
        ("/a/home/images/b.csv", "${SPAVL_HOME}/images/b.csv"),
        ("/a/home//images/./b", "${SPAVL_HOME}/images/b"),
        ("file:///a/home/images", "file://${SPAVL_HOME}/images"),
        ("/a/home/tasks/mine.py@attack", "${SPAVL_HOME}/tasks/mine.py@attack"),
        ("/a/home2/images", "/a/home2/images"),
        ("/a/home/../other", "/a/home/../other"),
        ("/a", "/a"),
        ("s3://bucket/a/home/x", "s3://bucket/a/home/x"),
        ("s3:///a/home/x", "s3:///a/home/x"),
        ("a/home/x", "a/home/x"),
        ("see /a/home/x", "see /a/home/x"),
        ("", ""),
    ],
)
def test_a_path_inside_the_home_counts_by_its_place_in_it(text: str, free: str) -> None:
    assert home_free(text, Path("/a/home")) == free


def test_values_are_looked_for_at_any_depth_and_others_stay() -> None:
    config = {"sources": [{"url": "/a/home/x", "seed": 3}], "args": {"folder": "/a/home/y"}, "share": 0.5, "on": True, "no": None}  # fmt: skip
    assert home_free(config, "/a/home") == {
        "sources": [{"url": "${SPAVL_HOME}/x", "seed": 3}],
        "args": {"folder": "${SPAVL_HOME}/y"},
        "share": 0.5,
        "on": True,
        "no": None,
    }


@pytest.mark.parametrize("home", ["", ".", "home"])
def test_a_plan_of_a_former_version_has_no_home_and_keeps_its_hashes(home: str) -> None:
    assert home_free({"url": "/a/home/x", "name": "home/y"}, home) == {"url": "/a/home/x", "name": "home/y"}


def test_the_same_profile_in_two_homes_decides_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def planned(home: Path) -> Plan:
        monkeypatch.setenv("SPAVL_HOME", str(home))
        for folder in ("images", "model"):
            (home / folder).mkdir(parents=True)
        (home / "model" / "model.safetensors").write_bytes(b"weights")
        model = {"kind": "transformers", "name": "tiny", "path": "${SPAVL_HOME}/model"}
        (tmp_path / "profile.yaml").write_text(
            yaml.safe_dump(
                {
                    "images": {"sources": [{"name": "drawings", "url": "file://${SPAVL_HOME}/images", "licence": "CC0-1.0"}]},
                    "responses": {"models": [model]},
                    "training": {"base": model},
                }
            )
        )  # fmt: skip
        return make_plan(
            open_store(),
            dag="refresh_preferences",
            airflow_run_id="one",
            profile=str(tmp_path / "profile.yaml"),
        )

    one, other = planned(tmp_path / "one" / "home"), planned(tmp_path / "other" / "place")
    assert (one.run_id[9:], one.revisions) == (other.run_id[9:], other.revisions)
    assert one.config["images"] != other.config["images"]
    for stage in (stage for stages in DAGS.values() for stage in stages):
        assert home_free(one.config[stage], one.home) == home_free(other.config[stage], other.home)
    keys = {alignment_key(plan.resolved, "f", plan.revisions, plan.home) for plan in (one, other)}
    former = {alignment_key(plan.resolved, "f", plan.revisions) for plan in (one, other)}
    assert (len(keys), len(former)) == (1, 2)
