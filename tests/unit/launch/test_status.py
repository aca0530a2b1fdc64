"""What states of objects mean, on objects written by hand: phase, words, and whether waiting can help."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from spavl.launch.status import Limits, Seen, judge
from spavl.outcome import Outcome

NOW = datetime.datetime(2026, 11, 25, 12, 0, 0, tzinfo=datetime.UTC)
LIMITS = Limits(pending_timeout_s=600, num_server_restarts=3)
MADE = "2026-11-25T11:59:00Z"  # a minute ago
LONG_AGO = "2026-11-25T11:00:00Z"  # longer than pending_timeout_s


def an_object(*conditions: dict[str, Any], made: str = MADE, suspend: bool = False, **status: Any) -> dict[str, Any]:  # fmt: skip
    return {
        "metadata": {"name": "spavl-x-1", "creationTimestamp": made},
        "spec": {"suspend": suspend, "activeDeadlineSeconds": 3600},
        "status": {"conditions": list(conditions), **status},
    }


def condition(kind: str, reason: str = "", message: str = "", value: str = "True", **more: str) -> dict[str, Any]:  # fmt: skip
    return {"type": kind, "status": value, "reason": reason, "message": message, **more}


def a_pod(phase: str, shard: int = 0, made: str = MADE, **status: Any) -> dict[str, Any]:
    metadata = {
        "name": f"pod-{shard}",
        "creationTimestamp": made,
        "annotations": {"batch.kubernetes.io/job-completion-index": str(shard)},
    }
    return {"metadata": metadata, "spec": {"nodeName": "node-7"}, "status": {"phase": phase, **status}}


def container(name: str = "spavl", restarts: int = 0, **state: Any) -> dict[str, Any]:
    return {"name": name, "image": "r/spavl-data:1", "restartCount": restarts, "state": state}


def running(shard: int = 0) -> dict[str, Any]:
    return a_pod("Running", shard, containerStatuses=[container(running={"startedAt": MADE})])


def ended(exit_code: int, message: str = "", reason: str = "Error", shard: int = 0, name: str = "spavl", **more: Any) -> dict[str, Any]:  # fmt: skip
    terminated = {"exitCode": exit_code, "message": message, "reason": reason, "finishedAt": MADE}
    return a_pod("Failed", shard, containerStatuses=[container(name, terminated=terminated)], **more)


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return a_pod("Pending", containerStatuses=[container(waiting={"reason": reason, "message": message})])


def unschedulable(message: str, made: str = MADE) -> dict[str, Any]:
    conditions = [condition("PodScheduled", "Unschedulable", message, "False")]
    return a_pod("Pending", made=made, conditions=conditions)


def event(about: str, reason: str, message: str, kind: str = "Warning") -> dict[str, Any]:
    return {
        "involvedObject": {"name": about},
        "reason": reason,
        "message": message,
        "type": kind,
        "lastTimestamp": MADE,
    }


def look(found: dict[str, Any], *pods: dict[str, Any], events: tuple = (), num_shards: int = 1, queue: str | None = None):  # fmt: skip
    return judge(Seen(found, pods, events, "spavl", num_shards, queue), LIMITS, NOW)


def test_a_suspended_object_waits_in_its_queue_without_a_limit() -> None:
    seen = look(an_object(suspend=True, made="2026-11-20T00:00:00Z"), queue="gpus")
    assert (seen.phase, seen.words) == ("queued", "waits in queue 'gpus'")


def test_a_queues_own_words_are_shown() -> None:
    words = "couldn't assign flavors to pod set main: insufficient quota for nvidia.com/gpu"
    seen = look(
        an_object(suspend=True), queue="gpus", events=(event("spavl-x-1", "Pending", words, "Normal"),)
    )
    assert seen.words == f"waits in queue 'gpus': {words}"


def test_a_suspended_object_without_a_queue_is_said_to_be_odd() -> None:
    assert "the profile names no queue" in look(an_object(suspend=True)).words


def test_a_trainjob_that_says_suspended_is_queued() -> None:
    assert look(an_object(condition("Suspended")), queue="gpus").phase == "queued"


def test_a_new_object_waits_to_start() -> None:
    assert look(an_object()).phase == "pending"


def test_time_in_a_queue_does_not_count_as_pending() -> None:
    assert look(an_object(made=LONG_AGO, startTime=MADE)).phase == "pending"
    admitted = condition("Suspended", value="False", lastTransitionTime=MADE)
    assert look(an_object(admitted, made=LONG_AGO)).phase == "pending"


def test_a_pod_in_place_of_a_lost_one_waits_anew() -> None:
    assert look(an_object(made=LONG_AGO), a_pod("Pending")).phase == "pending"
    assert look(an_object(made=LONG_AGO), a_pod("Pending", made=LONG_AGO)).phase == "failed"


def test_a_pod_that_worked_for_hours_and_is_evicted_has_not_waited_for_hours() -> None:
    evicted = running()
    evicted["metadata"] |= {"creationTimestamp": LONG_AGO, "deletionTimestamp": MADE}
    evicted["status"]["conditions"] = [condition("DisruptionTarget", "EvictionByEvictionAPI", "drained")]
    seen = look(an_object(made=LONG_AGO, startTime=LONG_AGO), evicted)
    assert seen.phase == "pending"
    assert "pod pod-0 is ending on node node-7 (EvictionByEvictionAPI: drained)" in seen.words


def test_a_pod_that_cannot_end_is_not_waited_for_for_ever() -> None:
    stuck = running()
    stuck["metadata"] |= {"creationTimestamp": LONG_AGO, "deletionTimestamp": LONG_AGO}
    failure = look(an_object(made=LONG_AGO), stuck).failure
    assert failure.exit_code == 75 and "pod pod-0 is ending on node node-7" in failure.error
    assert "remove the Node object" in failure.next_step


def test_a_job_that_puts_off_its_next_pod_waits_anew() -> None:
    def written(at: str) -> list[dict[str, str]]:
        return [
            {"manager": "spavl", "operation": "Update", "time": MADE},
            {"manager": "kube-controller-manager", "subresource": "status", "time": at},
        ]

    found = an_object(made=LONG_AGO, startTime=LONG_AGO)
    assert look(found | {"metadata": found["metadata"] | {"managedFields": written(MADE)}}).phase == "pending"
    assert look(found | {"metadata": found["metadata"] | {"managedFields": written(LONG_AGO)}}).phase == "failed"  # fmt: skip


def test_weights_that_took_hours_do_not_count_as_pending() -> None:
    def fetched(at: str) -> dict[str, Any]:
        weights = container("weights", terminated={"exitCode": 0, "finishedAt": at})
        return a_pod("Pending", made=LONG_AGO, initContainerStatuses=[weights])

    assert look(an_object(made=LONG_AGO), fetched(MADE)).phase == "pending"
    assert look(an_object(made=LONG_AGO), fetched(LONG_AGO)).phase == "failed"


def test_a_server_that_has_just_crashed_is_waited_for_and_told() -> None:
    crashed = container("vllm", 1, waiting={"reason": "CrashLoopBackOff"})
    crashed["lastState"] = {"terminated": {"exitCode": 1, "finishedAt": MADE}}
    seen = look(an_object(made=LONG_AGO), a_pod("Pending", made=LONG_AGO, initContainerStatuses=[crashed]))
    assert seen.phase == "pending" and "container vllm has crashed and is started again" in seen.words


def test_more_gpus_than_any_node_has_waits_with_the_reason_then_fails_and_may_be_tried_again() -> None:
    words = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
    early = look(an_object(), unschedulable(words))
    late = look(an_object(made=LONG_AGO), unschedulable(words, made=LONG_AGO))
    assert early.phase == "pending" and "3 Insufficient nvidia.com/gpu" in early.words
    assert late.phase == "failed" and late.failure.exit_code == 75
    assert "no pod could start in 600 s" in late.failure.error and "nvidia.com/gpu" in late.failure.error
    assert "launch section" in late.failure.next_step


def test_pods_that_wait_while_others_work_may_wait() -> None:
    stuck = unschedulable("0/3 nodes are available: 3 Insufficient nvidia.com/gpu.")
    seen = look(an_object(made=LONG_AGO), running(1), stuck, num_shards=2)
    assert seen.phase == "running" and "Insufficient" in seen.words


def test_a_missing_claim_fails_at_once_and_is_named() -> None:
    seen = look(
        an_object(), unschedulable('0/3 nodes are available: persistentvolumeclaim "models" not found.')
    )
    assert (seen.phase, seen.failure.exit_code) == ("failed", 2)
    assert seen.failure.error == "there is no PersistentVolumeClaim 'models' in the namespace."
    assert "launch.model_cache_claim" in seen.failure.next_step


def test_a_claim_that_is_not_bound_yet_may_wait() -> None:
    assert (
        look(an_object(), unschedulable("pod has unbound immediate PersistentVolumeClaims")).phase
        == "pending"
    )


def test_a_missing_secret_fails_at_once_and_is_named() -> None:
    seen = look(an_object(), waiting("CreateContainerConfigError", 'secret "s3" not found'))
    assert (seen.phase, seen.failure.exit_code) == ("failed", 2)
    assert seen.failure.error == "there is no Secret 's3' in the namespace."
    assert "`secrets`" in seen.failure.next_step


def test_a_missing_secret_of_a_volume_is_read_from_the_pods_events() -> None:
    mount = event("pod-0", "FailedMount", 'MountVolume.SetUp failed for volume "v": secret "ca" not found')
    assert look(an_object(), waiting("ContainerCreating"), events=(mount,)).failure.error.startswith(
        "there is no Secret 'ca'"
    )


def test_a_secret_cache_that_is_slow_may_wait() -> None:
    seen = look(an_object(), waiting("CreateContainerConfigError", "failed to sync secret cache: timed out"))
    assert seen.phase == "pending"


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("ErrImagePull", 'Failed to pull image "r/spavl-data:1": not found'),
        ("ImagePullBackOff", "Back-off pulling image: ErrImagePull: unauthorized: authentication required"),
        ("InvalidImageName", "couldn't parse image reference"),
        ("ErrImageNeverPull", "Container image is not present with pull policy of Never"),
    ],
)
def test_an_image_that_cannot_be_pulled_fails_at_once_and_is_named(reason: str, message: str) -> None:
    seen = look(an_object(), waiting(reason, message))
    assert (seen.phase, seen.failure.exit_code) == ("failed", 2)
    assert "image 'r/spavl-data:1' cannot be pulled" in seen.failure.error
    assert "launch.images" in seen.failure.next_step


def test_an_images_reason_is_found_in_events_where_the_status_has_lost_it() -> None:
    words = 'Failed to pull image "r/spavl-data:1": manifest unknown'
    seen = look(
        an_object(),
        waiting("ImagePullBackOff", "Back-off pulling image"),
        events=(event("pod-0", "Failed", words),),
    )
    assert seen.phase == "failed" and "manifest unknown" in seen.failure.error


def test_a_registry_that_is_away_may_wait() -> None:
    seen = look(an_object(), waiting("ErrImagePull", "failed to pull image: i/o timeout"))
    assert seen.phase == "pending" and "i/o timeout" in seen.words


def test_a_quota_that_is_used_up_waits_with_the_reason() -> None:
    words = (
        'Error creating: pods "x" is forbidden: exceeded quota: gpus, requested: requests.nvidia.com/gpu=8'
    )
    seen = look(an_object(), events=(event("spavl-x-1", "FailedCreate", words),))
    assert seen.phase == "pending" and "exceeded quota: gpus" in seen.words
    late = look(an_object(made=LONG_AGO), events=(event("spavl-x-1", "FailedCreate", words),))
    assert late.phase == "failed" and "ResourceQuota" in late.failure.next_step


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ('pods "x" is forbidden: error looking up service account spavl/spavl-job: serviceaccount "spavl-job" not found', "launch.service_account"),
        ("pods \"x\" is forbidden: no PriorityClass with name night was found", "priority_class"),
        ('pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true', "Correct"),
    ],
)  # fmt: skip
def test_pods_that_are_refused_for_good_fail_at_once(words: str, named: str) -> None:
    seen = look(an_object(), events=(event("spavl-x-1", "FailedCreate", f"Error creating: {words}"),))
    assert (seen.phase, seen.failure.exit_code) == ("failed", 2) and named in seen.failure.next_step


def test_a_webhook_that_is_away_may_wait() -> None:
    words = "Error creating: Internal error occurred: failed calling webhook"
    assert look(an_object(), events=(event("spavl-x-1", "FailedCreate", words),)).phase == "pending"


def test_weights_and_server_that_start_are_running_and_say_so() -> None:
    weights = a_pod("Pending", initContainerStatuses=[container("weights", running={"startedAt": MADE})])
    server = a_pod(
        "Pending",
        initContainerStatuses=[
            container("weights", terminated={"exitCode": 0}),
            container("vllm", running={"startedAt": MADE}),
        ],
    )
    assert (look(an_object(made=LONG_AGO), weights).phase, look(an_object(), weights).words) == (
        "running",
        "is starting: the model's weights are fetched",
    )
    assert look(an_object(), server).words == "is starting: the vLLM server loads its model"


def test_a_server_that_was_restarted_too_often_fails_the_group() -> None:
    def restarted(times: int) -> dict[str, Any]:
        crashed = container("vllm", times, waiting={"reason": "CrashLoopBackOff"})
        crashed["lastState"] = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
        return a_pod("Pending", initContainerStatuses=[crashed])

    assert look(an_object(), restarted(3)).phase == "pending"
    failure = look(an_object(), restarted(4)).failure
    assert "restarted 4 times (launch.num_server_restarts is 3)" in failure.error
    assert "OOMKilled" in failure.error
    assert (failure.container, failure.pod, failure.is_former) == ("vllm", "pod-0", True)


def test_a_server_that_crashed_in_a_pod_that_has_ended_fails_nothing() -> None:
    done, other = a_pod("Succeeded", 0, initContainerStatuses=[container("vllm", 9)]), running(1)
    assert look(an_object(), done, other, num_shards=2).phase == "running"


def test_shards_are_counted() -> None:
    pods = [a_pod("Succeeded", 0), a_pod("Succeeded", 1), running(2), a_pod("Pending", 3)]
    seen = look(an_object(succeeded=2), *pods, num_shards=8)
    assert seen.words == "is running: 2 of 8 shards done, 1 at work, 5 to come"
    assert (seen.working_pod, seen.working_shard) == ("pod-2", 2)


def test_a_single_pod_says_where_it_runs() -> None:
    assert look(an_object(), running()).words == "is running on node node-7"


def test_a_shard_that_failed_and_is_tried_again_is_told() -> None:
    seen = look(an_object(), running(0), ended(1, shard=1), num_shards=2)
    assert "shard 1 is tried again: container spavl of pod pod-1 ended with exit code 1" in seen.words


def test_an_evicted_pod_is_told_and_does_not_fail_the_job() -> None:
    gone = a_pod("Failed", conditions=[condition("DisruptionTarget", "EvictionByEvictionAPI", "drained")])
    seen = look(an_object(), gone)
    assert seen.phase == "pending" and "EvictionByEvictionAPI: drained" in seen.words


def test_a_pod_of_a_lost_node_is_told_and_not_counted_as_working() -> None:
    lost = running()
    lost["status"]["phase"] = "Unknown"
    seen = look(an_object(), lost)
    assert seen.phase == "pending" and "its node is lost" in seen.words


def test_success_is_success() -> None:
    assert look(an_object(condition("Complete")), a_pod("Succeeded")).phase == "succeeded"


def test_a_failed_command_is_told_by_its_own_outcome() -> None:
    outcome = Outcome("images", "seal", "20261125-0123456789", "failed", 3, error="too few rows")
    seen = look(an_object(condition("Failed", "PodFailurePolicy")), ended(3, outcome.to_line()))
    assert seen.failure.exit_code == 3 and seen.failure.outcome.error == "too few rows"
    assert seen.failure.error == "container spavl of pod pod-0 ended with exit code 3."


def test_of_several_failed_pods_the_users_mistake_is_told() -> None:
    pods = [ended(1, shard=0), ended(2, shard=1), ended(137, shard=2)]
    failed = condition("Failed", "FailedIndexes", "Job has failed indexes")
    seen = look(an_object(failed), *pods, num_shards=3)
    assert seen.failure.exit_code == 2 and seen.failure.pod == "pod-1"
    assert seen.failure.error.endswith("(Job has failed indexes.)")


def test_of_failed_pods_one_that_was_taken_away_is_told_last() -> None:
    evicted = a_pod("Failed", 1, made="2026-11-25T11:59:59Z", reason="Evicted", message="low on disk")
    failed = condition("Failed", "BackoffLimitExceeded")
    assert look(an_object(failed), ended(1), evicted).failure.pod == "pod-0"
    alone = look(an_object(failed), evicted).failure
    assert "Evicted: low on disk" in alone.error and alone.exit_code == 75


def test_a_pod_that_is_leaving_keeps_nobody_waiting() -> None:
    leaving = waiting("CreateContainerConfigError", 'secret "s3" not found')
    leaving["metadata"]["deletionTimestamp"] = MADE
    assert look(an_object(), leaving).phase == "pending"


def test_memory_that_ran_out_is_named_with_its_remedy_and_may_be_tried_again() -> None:
    seen = look(an_object(condition("Failed", "BackoffLimitExceeded")), ended(137, reason="OOMKilled"))
    assert "OOMKilled" in seen.failure.error and "`memory`" in seen.failure.next_step
    assert seen.failure.exit_code == 75


@pytest.mark.parametrize(
    "words",
    [
        'Usage of EmptyDir volume "home" exceeds the limit "20Gi". ',
        "Pod ephemeral local storage usage exceeds the total limit of containers 20Gi. ",
        'Container spavl exceeded its local ephemeral storage limit "20Gi". ',
    ],
)
def test_disk_that_ran_out_is_no_ones_fault_but_the_profiles(words: str) -> None:
    full = a_pod("Failed", reason="Evicted", message=words)
    failure = look(an_object(condition("Failed", "BackoffLimitExceeded")), full).failure
    assert failure.error == f"pod pod-0 used more disk than its limit: {words.strip('. ')}."
    assert "`scratch`" in failure.next_step and failure.exit_code == 75


def test_a_deadline_is_named_with_its_remedy() -> None:
    seen = look(an_object(condition("Failed", "DeadlineExceeded")), ended(143))
    assert seen.failure.error == "stopped after 3600 s." and "launch.timeout_s" in seen.failure.next_step
    assert seen.failure.exit_code == 75


def test_weights_that_could_not_be_fetched_are_told_by_their_container() -> None:
    outcome = Outcome("weights", run_id="", verdict="failed", exit_code=2, error="no such revision")
    pod = a_pod(
        "Failed",
        initContainerStatuses=[
            container("weights", terminated={"exitCode": 2, "message": outcome.to_line()}),
            container("vllm", waiting={"reason": "PodInitializing"}),
        ],
        containerStatuses=[container(waiting={"reason": "PodInitializing"})],
    )
    failure = look(an_object(condition("Failed", "PodFailurePolicy")), pod).failure
    assert (failure.container, failure.exit_code, failure.outcome.error) == ("weights", 2, "no such revision")


def test_a_server_that_is_ended_after_its_client_is_not_blamed() -> None:
    pod = ended(1)
    pod["status"]["initContainerStatuses"] = [container("vllm", terminated={"exitCode": 143})]
    assert look(an_object(condition("Failed")), pod).failure.container == "spavl"


def test_a_job_whose_pods_are_gone_fails_with_the_jobs_own_words() -> None:
    seen = look(an_object(condition("Failed", "BackoffLimitExceeded", "Job has reached the specified limit")))
    assert seen.failure.error == "BackoffLimitExceeded: Job has reached the specified limit."
