"""The commands that look, roll back and clean up, as a user calls them, in this process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.line import run_here, write_profile
from tests.unit.inference.misbehaving_server import running_server

from spavl.__main__ import main
from spavl.artifacts import channel
from spavl.artifacts.record import Record, record_path
from spavl.artifacts.store import Store, open_store
from spavl.commands.doctor import examine
from spavl.outcome import Outcome, parse
from spavl.profiles import load_config


@pytest.fixture
def store(spavl_home: Path) -> Store:
    return open_store()


def call(capsys: pytest.CaptureFixture[str], *argv: str, expect: int = 0) -> tuple[Outcome, str]:
    assert main(list(argv)) == expect
    captured = capsys.readouterr()
    return parse(captured.out.strip().splitlines()[-1]), captured.err


def planned(capsys, profile: Path, name: str) -> str:
    return call(
        capsys, "plan", "--dag", "refresh_preferences", "--airflow-run-id", name, "--profile", str(profile)
    )[0].run_id


def publish(store: Store, number: int, run_id: str, action: str = "publish") -> None:
    fingerprint = f"fingerprint of {run_id}"
    record = Record(run_id, "release", fingerprint, "2026-01-01T00:00:00+00:00", "0", {}, {}, {})
    store.write(record_path(run_id, "release"), record.to_json())
    channel.append(
        store,
        "stable",
        channel.Entry(
            number, number - 1, action, run_id, "release", fingerprint, "2026-01-01T00:00:00+00:00"
        ),
    )


def test_rolling_back_twice_goes_back_twice_and_history_stays(capsys, store: Store) -> None:
    for number, run_id in enumerate(
        ["20260101-aaaaaaaaaa", "20260102-bbbbbbbbbb", "20260103-cccccccccc"], start=1
    ):
        publish(store, number, run_id)
    assert call(capsys, "rollback", "--reason", "drill")[0].run_id == "20260102-bbbbbbbbbb"
    assert call(capsys, "rollback", "--reason", "drill")[0].run_id == "20260101-aaaaaaaaaa"
    outcome, _ = call(capsys, "rollback", "--reason", "drill", expect=2)
    assert "nothing before" in outcome.error
    assert [(entry.number, entry.action) for entry in channel.history(store, "stable")] == [
        (1, "publish"),
        (2, "publish"),
        (3, "publish"),
        (4, "rollback"),
        (5, "rollback"),
    ]
    assert "→ 5" in call(capsys, "releases")[1]


def test_a_named_rollback_moves_the_channel_once(capsys, store: Store) -> None:
    for number, run_id in enumerate(["20260101-aaaaaaaaaa", "20260102-bbbbbbbbbb", "20260103-cccccccccc"], 1):
        publish(store, number, run_id)
    for verdict in ("done", "already done"):
        outcome, _ = call(capsys, "rollback", "--reason", "drill", "--name", "monday")
        assert (outcome.verdict, outcome.run_id) == (verdict, "20260102-bbbbbbbbbb")
    assert (
        call(capsys, "rollback", "--reason", "drill", "--name", "tuesday")[0].run_id == "20260101-aaaaaaaaaa"
    )
    assert call(capsys, "rollback", "--reason", "drill", "--name", "monday")[0].verdict == "already done"
    assert call(capsys, "rollback", "--reason", "drill", "--to", "1")[0].verdict == "already done"
    assert channel.head_number(store, "stable") == 5


def test_prune_goes_on_where_a_killed_one_has_stopped(capsys, tmp_path: Path, store: Store) -> None:
    store.write("runs/20260101-aaaaaaaaaa/images/left.parquet", b"of a run whose plan is gone")
    store.write(
        "forgotten/000001.json", b'{"image_ids": ["' + b"0" * 64 + b'"], "by": "a", "reason": "b", "at": ""}'
    )
    assert call(capsys, "prune", "--forgotten", "--yes")[0].counts["runs"] == 1
    assert store.names("runs") == []


def test_rolling_back_to_an_entry_that_is_not_there_names_the_range(capsys, store: Store) -> None:
    publish(store, 1, "20260101-aaaaaaaaaa")
    outcome, _ = call(capsys, "rollback", "--reason", "drill", "--to", "7", expect=2)
    assert (outcome.error, outcome.next_step) == (
        "channel 'stable' has no entry 7.",
        "Its entries are 1 to 1.",
    )


def test_a_release_whose_files_are_gone_is_not_rolled_back_to(capsys, store: Store) -> None:
    publish(store, 1, "20260101-aaaaaaaaaa")
    publish(store, 2, "20260102-bbbbbbbbbb")
    store.remove(record_path("20260101-aaaaaaaaaa", "release"))
    assert "is gone" in call(capsys, "rollback", "--reason", "drill", expect=2)[0].error
    assert channel.head(store, "stable").number == 2


def test_status_tells_how_far_each_stage_is(capsys, tmp_path: Path, store: Store) -> None:
    profile = write_profile(tmp_path, num_per_leaf=1, num_per_benign=3, images={"chunk_size": 25})
    run_id = planned(capsys, profile, "tonight")
    call(capsys, "prepare", "images", "--run-id", run_id)
    assert "images 0%" in " ".join(call(capsys, "status")[1].split())
    call(capsys, "images", "--run-id", run_id)
    words = " ".join(call(capsys, "status", "--run-id", run_id)[1].split())
    assert "images done" in words and "questions not begun" in words


def test_prune_shows_first_and_removes_only_what_nothing_reaches(
    capsys, tmp_path: Path, store: Store, spavl_home: Path
) -> None:
    profile = write_profile(tmp_path, num_per_leaf=1, num_per_benign=3)
    runs = [planned(capsys, profile, f"night {number}") for number in range(3)]
    for run_id in runs:
        run_here(spavl_home, run_id, "images")
    stray = store.put_blob(b"a picture that no run names")
    store.write("references/of-a-former-base/part.parquet", b"log-probabilities that no run used")
    kept = store.walk("blobs")
    channel.append(
        store, "dataset", channel.Entry(1, 0, "publish", runs[0], "dataset", "f", "2026-01-01T00:00:00+00:00")
    )

    shown, _ = call(capsys, "prune", "--keep-runs", "1")
    assert (
        shown.verdict == "skipped"
        and shown.counts["blobs"] == 1
        and shown.counts["runs"] == 1
        and shown.counts["references"] == 1
        and store.walk("blobs") == kept
    )
    removed, _ = call(capsys, "prune", "--keep-runs", "1", "--yes")
    assert removed.verdict == "done" and removed.counts["bytes"] == shown.counts["bytes"]
    left = store.names("runs")
    assert runs[0] in left and len(left) == 2
    assert not store.exists(f"blobs/{stray[:2]}/{stray}") and len(store.walk("blobs")) == len(kept) - 1
    assert store.names("references") == []
    assert call(capsys, "prune", "--keep-runs", "1", "--yes")[0].counts["runs"] == 0


def test_doctor_names_what_is_missing_and_the_remedy(capsys, tmp_path: Path) -> None:
    profile = write_profile(tmp_path, num_per_leaf=0, num_per_benign=1)
    assert call(capsys, "doctor", "--profile", str(profile))[0].counts["missing"] == 0
    outcome, words = call(capsys, "doctor", "--profile", "demo", expect=2)
    assert "responses: bold" in outcome.error and "create-once" in words


def cluster_profile(tmp_path: Path, **launch) -> Path:
    launch = {"kind": "kubernetes", "images": {"data": "registry.test/data:1", "training": "registry.test/t:1"}, **launch}  # fmt: skip
    return write_profile(tmp_path, num_per_leaf=0, num_per_benign=1, launch=launch)


def test_doctor_says_what_pods_would_lack(capsys, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SPAVL_STORE", f"file://{tmp_path}/store")
    there = {"SPAVL_STORE": f"file://{tmp_path}/store"}
    assert (
        call(capsys, "doctor", "--profile", str(cluster_profile(tmp_path, env=there)))[0].counts["missing"]
        == 0
    )
    for launch, words in (
        ({"env": {}}, "store of pods: launch.env.SPAVL_STORE is not set"),
        ({"env": {"SPAVL_STORE": "s3://another/store"}}, f"s3://another/store, and SPAVL_STORE is file://{tmp_path}/store here"),
        ({"env": there, "images": {"data": "registry.test/data:1"}}, "images of pods"),
    ):  # fmt: skip
        outcome, _ = call(capsys, "doctor", "--profile", str(cluster_profile(tmp_path, **launch)), expect=2)
        assert words in outcome.error


def test_doctor_leaves_keys_of_pods_to_their_secrets(capsys, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SPAVL_STORE", f"file://{tmp_path}/store")
    launch = {"kind": "kubernetes", "images": {"data": "registry.test/data:1", "training": "registry.test/t:1"}, "env": {"SPAVL_STORE": f"file://{tmp_path}/store"}}  # fmt: skip
    judge = {"kind": "endpoint", "name": "judge", "model": "m", "revision": "1", "base_url": "https://judge.test/v1", "api_key_env": "JUDGE_KEY"}  # fmt: skip
    for secrets, exit_code in ((["keys"], 0), ([], 2)):
        profile = write_profile(tmp_path, num_per_leaf=0, num_per_benign=1, judgements={"judge": judge}, launch={**launch, "secrets": secrets})  # fmt: skip
        outcome, _ = call(capsys, "doctor", "--profile", str(profile), expect=exit_code)
    assert "JUDGE_KEY is not set" in outcome.error and "launch.secrets" in outcome.next_step


def test_doctor_asks_the_server_of_a_served_model_where_no_pod_starts_one(capsys, tmp_path: Path) -> None:
    with running_server() as server:
        for name, missing in (("judge-7b", 0), ("unknown", 2)):
            judge = {
                "kind": "vllm",
                "name": name,
                "path": "a/b",
                "revision": "1",
                "base_url": server.base_url,
            }
            profile = write_profile(tmp_path, num_per_leaf=0, num_per_benign=1, judgements={"judge": judge})
            call(capsys, "doctor", "--profile", str(profile), expect=missing)
    outcome, words = call(capsys, "doctor", "--profile", str(profile), expect=2)
    assert "server of unknown" in outcome.error and "vllm serve" in words


@pytest.mark.parametrize(("image", "needed"), [("data", False), ("airflow", True), ("", True)])
def test_only_what_launches_jobs_needs_the_clusters_client(
    monkeypatch, tmp_path: Path, image: str, needed: bool
) -> None:
    monkeypatch.setenv("SPAVL_IMAGE", image)
    examined = [finding.what for finding in examine(load_config(str(cluster_profile(tmp_path))))]
    assert ("extra kubernetes" in examined) == needed


def test_doctor_shows_brackets_as_they_are(capsys, tmp_path: Path) -> None:
    base = {"kind": "transformers", "name": "base", "path": "/no/[red]"}
    profile = write_profile(tmp_path, num_per_leaf=0, num_per_benign=1, training={"base": base})
    _, words = call(capsys, "doctor", "--profile", str(profile), expect=2)
    assert "'/no/[red]'" in words


def test_config_prints_every_default(capsys) -> None:
    assert main(["config", "--profile", "demo", "--set", "training.beta=0.5"]) == 0
    assert "beta: 0.5" in capsys.readouterr().out


def test_the_outcome_is_also_the_pods_termination_message(capsys, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SPAVL_TERMINATION_LOG", str(tmp_path / "message"))
    outcome, _ = call(capsys, "images", "--run-id", "nonsense", expect=2)
    assert json.loads((tmp_path / "message").read_text())["error"] == outcome.error


def test_a_failed_stage_leaves_its_reason_for_the_report(capsys, tmp_path: Path, store: Store) -> None:
    run_id = planned(capsys, write_profile(tmp_path, num_per_leaf=0, num_per_benign=1), "tonight")
    call(capsys, "seal", "questions", "--run-id", run_id, expect=2)
    assert parse(store.read(f"runs/{run_id}/questions/failure.json").decode()).error.startswith(
        "`questions` of run"
    )
