"""A laptop, a pod and a TrainJob run the same words."""

from __future__ import annotations

import sys

import pytest

from spavl.launch.command import (
    SHARD,
    STEPS,
    pod_command,
    stage_command,
    trainer_command,
    weights_command,
)
from spavl.pipeline import STAGES

RUN = "20260101-0123456789"


def words(argv: list[str]) -> list[str]:
    return argv[argv.index("spavl") + 1 :]


def as_the_kubelet_reads(argv: list[str], **variables: str) -> list[str]:
    """`$$` is `$`, `$(NAME)` is a variable of the container."""
    read = []
    for word in argv:
        for name, value in variables.items():
            word = word.replace(f"$({name})", value)
        read.append(word.replace("$$", "$"))
    return read


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("stage", [stage.name for stage in STAGES])
def test_a_pod_runs_the_words_of_a_laptop(stage: str, step: str) -> None:
    group = "a group" if step == "work" else None
    local = stage_command(stage, step, RUN, group=group)
    pod = pod_command(stage, step, RUN, group=group)
    assert words(pod) == words(local) and pod[:3] == ["python", "-m", "spavl"] and local[0] == sys.executable


@pytest.mark.parametrize("shard", [0, 1, 7])
def test_each_pod_of_an_indexed_job_runs_its_own_shard(shard: int) -> None:
    pod = as_the_kubelet_reads(
        pod_command("responses", "work", RUN, group="bold", num_shards=8), **{SHARD: str(shard)}
    )
    assert words(pod) == words(
        stage_command("responses", "work", RUN, group="bold", shard=shard, num_shards=8)
    )
    assert words(pod) == ["responses", "--run-id", RUN, "--group", "bold", "--shard", f"{shard}/8"]


@pytest.mark.parametrize("group", ["$(HOME)", "a$b", "$$", "$(SPAVL_SHARD)"])
def test_a_group_is_never_read_as_a_variable(group: str) -> None:
    pod = pod_command("responses", "work", RUN, group=group)
    assert "$(" not in pod[pod.index("--group") + 1].replace("$$", "")
    assert words(as_the_kubelet_reads(pod)) == words(stage_command("responses", "work", RUN, group=group))


def test_a_training_on_several_gpus_of_one_pod_is_started_by_torchrun_as_on_a_laptop() -> None:
    local = stage_command("training", "work", RUN, group="dpo", num_processes=4)
    pod = pod_command("training", "work", RUN, group="dpo", num_processes=4)
    assert pod[1:] == local[1:] and pod[0] == "python" and "--standalone" in pod


def test_a_trainjob_leaves_nodes_and_ranks_to_kubeflow_trainer() -> None:
    assert trainer_command("training", RUN, "dpo") == [
        "python", "-m", "torch.distributed.run", "-m", "spavl", "training", "--run-id", RUN, "--group", "dpo", "--shard", "0/1",
    ]  # fmt: skip
    local = stage_command("training", "work", RUN, group="dpo", num_processes=4)
    assert words(trainer_command("training", RUN, "dpo")) == words(local)


def test_weights_are_fetched_by_model_name() -> None:
    assert weights_command(RUN, "judge", "/models") == [
        "python", "-m", "spavl", "weights", "--run-id", RUN, "--model", "judge", "--folder", "/models",
    ]  # fmt: skip


def test_work_without_a_group_is_a_bug() -> None:
    with pytest.raises(ValueError, match="work needs a group"):
        pod_command("responses", "work", RUN)
