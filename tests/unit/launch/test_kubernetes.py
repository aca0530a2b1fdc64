"""The launcher on a cluster: the same calls and the same outcomes as the local one, with a controller that plays its part."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from tests.cluster_api import ClusterApi
from tests.cluster_plan import RUN_ID, cluster_plan
from tests.cluster_workload import Workload, live, wait_for

from spavl.artifacts import failure
from spavl.artifacts.store import open_store
from spavl.launch import LAUNCHERS, StepFailed
from spavl.outcome import Outcome

LAUNCH = {"poll_s": 0.02, "pending_timeout_s": 30}


def plan(**launch: Any):
    return cluster_plan({**LAUNCH, **launch})


def meanwhile(api: ClusterApi, play: Callable[[Workload], None]) -> threading.Thread:
    """Plays the controller of the first object that is made."""
    thread = threading.Thread(target=lambda: play(wait_for(lambda: live(api))[0]), daemon=True)
    thread.start()
    return thread


def step(api: ClusterApi, play: Callable[[Workload], None], stage: str = "images", name: str = "seal", **launch: Any):  # fmt: skip
    """The outcome of a step, and its lines."""
    lines: list[str] = []
    player = meanwhile(api, play)
    try:
        return LAUNCHERS["kubernetes"].step(plan(**launch), stage, name, on_line=lines.append), lines
    finally:
        player.join(20)


def group(api: ClusterApi, play: Callable[[Workload], None], num_shards: int = 3, stage: str = "images", **launch: Any):  # fmt: skip
    lines: list[str] = []
    player = meanwhile(api, play)
    try:
        outcome = LAUNCHERS["kubernetes"].group(
            plan(**launch), stage, "drawings", num_shards, on_line=lines.append
        )
        return outcome, lines
    finally:
        player.join(20)


def test_a_step_returns_its_outcome_and_its_log_is_shown(api) -> None:
    groups = [{"group": "drawings", "num_shards": 2, "num_items": 9}]
    prepared = Outcome("images", "prepare", RUN_ID, groups=groups)

    def play(job: Workload) -> None:
        job.succeed(job.add_pod(), prepared, log="listing\n")
        job.complete()

    outcome, lines = step(api, play, name="prepare")
    assert outcome == prepared
    assert "listing" in lines and not any("spavl" in line and '"verdict"' in line for line in lines)


def test_an_outcome_that_is_too_long_for_a_termination_message_is_read_from_the_log(api) -> None:
    groups = [{"group": f"model-{number}", "num_shards": 1, "num_items": 9} for number in range(200)]
    prepared = Outcome("images", "prepare", RUN_ID, groups=groups)

    def play(job: Workload) -> None:
        pod = job.add_pod()
        job.succeed(pod, prepared)
        ended = api.objects["core/pods", pod]["status"]["containerStatuses"][0]["state"]["terminated"]
        ended["message"] = prepared.to_line()[:4096]
        job.complete()

    assert step(api, play, name="prepare")[0].groups == groups


def test_counts_of_all_shards_are_added_and_their_lines_say_whose_they_are(api) -> None:
    def play(job: Workload) -> None:
        for shard in range(3):
            outcome = Outcome("images", "work", RUN_ID, counts={"computed": shard + 1})
            job.succeed(job.add_pod(shard), outcome, log=f"shard {shard} here\n")
        job.complete()

    outcome, lines = group(api, play)
    assert outcome == Outcome("images", "work", RUN_ID, counts={"computed": 6})
    assert "[2/3] shard 2 here" in lines


def test_of_a_log_of_very_long_lines_the_newest_are_shown(api) -> None:
    """The server would cut the newest bytes off, not the oldest."""

    def play(job: Workload) -> None:
        log = "".join(f"{number} {'x' * 5000}\n" for number in range(400))
        job.succeed(job.add_pod(), Outcome("images", "seal", RUN_ID), log=log)
        job.complete()

    _, lines = step(api, play)
    assert any(line.startswith("399 x") for line in lines)


def test_of_two_pods_made_in_the_same_second_the_one_that_succeeded_counts(api) -> None:
    def play(job: Workload) -> None:
        bad, good = job.add_pod(), job.add_pod()
        job.succeed(good, Outcome("images", "seal", RUN_ID, counts={"rows": 7}), log="good\n")
        job.fail(bad, 1, log="bad\n")
        for pod in (good, bad):
            api.objects["core/pods", pod]["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
        job.complete()

    outcome, lines = step(api, play)
    assert outcome.counts == {"rows": 7} and "good" in lines


def test_an_index_that_fails_is_tried_again_by_the_job_and_told(api) -> None:
    def play(job: Workload) -> None:
        job.fail(job.add_pod(1), 1, log="first try\n")
        job.run(job.add_pod(0))
        wait_for(lambda: [line for line in lines if "shard 1 is tried again" in line])
        done = Outcome("images", "work", RUN_ID, counts={"computed": 1})
        job.succeed(job.add_pod(0), done)
        job.succeed(job.add_pod(1), done, log="second try\n")
        job.complete()

    lines: list[str] = []
    player = meanwhile(api, play)
    outcome = LAUNCHERS["kubernetes"].group(plan(), "images", "drawings", 2, on_line=lines.append)
    player.join(20)
    assert outcome.counts == {"computed": 2}
    assert "[1/2] second try" in lines and "[1/2] first try" not in lines


def test_a_failure_shows_the_log_and_says_container_exit_and_the_commands_own_words(api) -> None:
    said = Outcome(
        "images", "seal", RUN_ID, "failed", 3, error="num_rows is 3, at least 10.", next_step="Add images."
    )

    def play(job: Workload) -> None:
        job.fail(job.add_pod(), 3, message=said.to_line(), log=f"checking\nspavl: {said.error}\nfailed\n")
        job.give_up("PodFailurePolicy")

    with pytest.raises(StepFailed) as caught:
        step(api, play)
    outcome = caught.value.outcome
    assert (outcome.exit_code, outcome.verdict, outcome.next_step) == (3, "failed", "Add images.")
    assert outcome.error.startswith("num_rows is 3, at least 10. (Job spavl/spavl-")
    assert "container spavl of pod" in outcome.error and "exit code 3" in outcome.error
    assert "Its last lines: checking | failed" in outcome.error  # what it says of itself is there once


def test_a_container_that_died_without_a_word_gives_its_last_lines(api) -> None:
    def play(job: Workload) -> None:
        job.fail(job.add_pod(), 137, log="almost\n", reason="OOMKilled")
        job.give_up()

    with pytest.raises(StepFailed, match=r"OOMKilled, exit code 137.*Its last lines: almost") as caught:
        step(api, play)
    assert caught.value.exit_code == 75


@pytest.mark.parametrize(
    ("reason", "message", "named", "remedy"),
    [
        ("CreateContainerConfigError", 'secret "s3" not found', "Secret 's3'", "`secrets`"),
        ("ErrImagePull", "not found", "image 'registry/spavl-data:1' cannot be pulled", "launch.images"),
    ],
)
def test_what_can_never_start_fails_in_one_line_and_nothing_is_left(
    api, reason, message, named, remedy
) -> None:
    with pytest.raises(StepFailed) as caught:
        step(api, lambda job: job.wait_because(job.add_pod(), reason, message))
    assert named in caught.value.outcome.error and remedy in caught.value.outcome.next_step
    assert "\n" not in caught.value.outcome.error and caught.value.exit_code == 2
    assert api.of("batch/jobs") == api.of("core/pods") == []


def test_a_claim_that_does_not_exist_fails_in_one_line_and_nothing_is_left(api) -> None:
    words = '0/3 nodes are available: persistentvolumeclaim "models" not found.'
    with pytest.raises(StepFailed, match="PersistentVolumeClaim 'models'"):
        step(api, lambda job: job.unschedulable(job.add_pod(), words))
    assert api.of("batch/jobs") == []


def test_gpus_that_no_node_has_are_waited_for_and_then_named_and_nothing_is_left(api) -> None:
    words = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
    with pytest.raises(
        StepFailed, match=r"no pod could start in 1 s.*3 Insufficient nvidia.com/gpu"
    ) as caught:
        step(api, lambda job: job.unschedulable(job.add_pod(), words), pending_timeout_s=1)
    assert caught.value.exit_code == 75
    assert api.of("batch/jobs") == []


def test_a_used_up_quota_is_waited_for_and_shown(api) -> None:
    def play(job: Workload) -> None:
        job.warn(job.name, "FailedCreate", 'Error creating: pods "x" is forbidden: exceeded quota: night')
        wait_for(lambda: [line for line in lines if "exceeded quota: night" in line])
        job.succeed(job.add_pod(), Outcome("images", "seal", RUN_ID))
        job.complete()

    lines: list[str] = []
    player = meanwhile(api, play)
    assert LAUNCHERS["kubernetes"].step(plan(), "images", "seal", on_line=lines.append).verdict == "done"
    assert lines[0] == "images: seal"
    player.join(20)


def test_a_server_that_crashes_again_and_again_fails_with_its_last_lines_and_nothing_is_left(api) -> None:
    def play(job: Workload) -> None:
        job.restart_server(job.add_pod(), 4, "CUDA out of memory\n")

    with pytest.raises(StepFailed, match=r"restarted 4 times.*Its last lines: CUDA out of memory"):
        group(api, play, num_shards=1)
    assert api.of("batch/jobs") == []


def test_a_profile_error_and_a_forbidden_verb_are_failed_steps_too(api) -> None:
    api.forbidden.add(("create", "batch/jobs"))
    with pytest.raises(StepFailed, match="forbids us to create batch/jobs") as caught:
        LAUNCHERS["kubernetes"].step(plan(), "images", "seal", on_line=lambda line: None)
    assert caught.value.exit_code == 2
    with pytest.raises(StepFailed, match=r"launch.images.data is not set"):
        LAUNCHERS["kubernetes"].step(plan(images={}), "images", "seal", on_line=lambda line: None)


def test_a_rank_that_knew_the_reason_is_believed_over_torchruns_exit_code_1(api) -> None:
    """The former attempt's reason is forgotten before a new one begins."""
    store = open_store()
    failure.keep(store, Outcome("training", "work", RUN_ID, "failed", 2, error="an old reason"))

    def play(job: Workload) -> None:
        assert failure.read(store, RUN_ID, "training") is None
        failure.keep(store, Outcome("training", "work", RUN_ID, "failed", 2, error="beta must be positive."))
        job.fail(job.add_pod(), 1, log="ChildFailedError\n")
        job.give_up()

    with pytest.raises(StepFailed, match=r"beta must be positive.*exit code 1") as caught:
        group(api, play, num_shards=1, stage="training")
    assert caught.value.exit_code == 2


def test_a_trainjob_gives_its_outcome_as_a_job_does(api) -> None:
    def play(job: Workload) -> None:
        assert job.kind == "TrainJob"
        outcome = Outcome("training", "work", RUN_ID, counts={"computed": 12})
        job.succeed(job.add_pod(0), outcome, log="rank 0\n")
        job.fail(job.add_pod(1), 0, log="node 1\n")
        api.objects["core/pods", api.of("core/pods")[-1]["metadata"]["name"]]["status"]["phase"] = "Succeeded"
        job.complete()

    outcome, lines = group(api, play, num_shards=1, stage="training", trainjob={"num_nodes": 2})
    assert outcome.counts == {"computed": 12}
    assert "[1/2] node 1" in lines
