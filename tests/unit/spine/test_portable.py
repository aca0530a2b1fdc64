"""What is hashed of a config does not depend on where a home lies."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from tests.many_nights import DATASET_COUNTS

from spavl.artifacts.record import Record, record_path
from spavl.artifacts.store import open_store
from spavl.config import spavl_home
from spavl.config.portable import home_free
from spavl.demo.picture_folder import Batch, draw_folder
from spavl.pipeline import DAGS
from spavl.plan import Plan, alignment_key, make_plan
from spavl.profiles import load_config
from spavl.run.publish import publish
from spavl.run.stage_run import StageRun


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


def decided(home: Path, profile: Path) -> dict[str, object]:
    """Fingerprint of every stage of both DAGs, and the ids of what is listed from files of the home."""
    os.environ["SPAVL_HOME"] = str(home)
    store, found = open_store(f"file://{home / 'store'}"), {}
    for dag in DAGS:
        plan = make_plan(store, dag=dag, airflow_run_id="one", profile=str(profile))
        for stage in plan.stages:
            run = StageRun(store, plan, stage)
            if stage in ("images", "benchmarks"):
                found[f"ids of {stage}"] = [item.id for item in run.module.prepare(run.context)]
            found[stage] = run.fingerprint
            record = Record(
                plan.run_id, stage, run.fingerprint, "2026", "0", {}, {}, {}, counts=DATASET_COUNTS
            )
            model = {"path": "m", "files": {"model.safetensors": {"sha256": "0" * 64, "num_bytes": 1}}}
            record = replace(record, folders={"model": model} if stage == "training" else {})
            store.write(record_path(plan.run_id, stage), record.to_json())
            publish(store, plan, record)
    return found


@pytest.mark.parametrize("place", ["in the home", "outside"])
def test_a_home_that_is_moved_has_the_fingerprints_and_ids_that_it_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    homes = [tmp_path / "one" / "home", tmp_path / "another" / "place" / "home"]
    inside = homes[0] / "files" if place == "in the home" else tmp_path / "files"
    for model in ("bold", "frank", "wary", "timid"):
        (inside / model).mkdir(parents=True)
        (inside / model / "model.safetensors").write_bytes(model.encode())
    draw_folder(inside / "images", Batch(0, 1), Batch(0, 1), 1)
    (inside / "mine.py").write_text("def attack(): ...\n")
    named = "${SPAVL_HOME}/files" if place == "in the home" else str(inside)
    monkeypatch.setenv("SPAVL_HOME", str(homes[0]))  # `decided` sets it anew
    values = load_config("demo").model_dump(mode="json", exclude={"profile"})
    text = yaml.safe_dump(values).replace(str(spavl_home() / "demo" / "world" / "models"), named)
    values = yaml.safe_load(text.replace(str(spavl_home() / "demo"), named))
    values["benchmarks"]["tasks"] += [
        {"name": "mine", "task": f"{named}/mine.py@attack", "args": {"folder": f"{named}/images"}},
    ]
    (tmp_path / "profile.yaml").write_text(yaml.safe_dump(values))
    profile = tmp_path / "profile.yaml"

    before = decided(homes[0], profile)
    shutil.rmtree(homes[0] / "store")
    homes[1].parent.mkdir(parents=True)
    os.rename(homes[0], homes[1])
    after = decided(homes[1], profile)
    assert after == before
    assert len(before) == len({stage for stages in DAGS.values() for stage in stages} - {"reward"}) + 2
    assert len(before["ids of benchmarks"]) == 2 * 11 and before["ids of images"]
