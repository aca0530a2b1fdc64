"""The profile alone decides how a training is done, whatever launcher starts it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from spavl.errors import UserError
from spavl.learning import process_group
from spavl.learning.trainer import trainer_arguments
from spavl.stages.training.config import TrainingConfig


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As at the start of a process: what accelerate's launcher asked for is read once in each."""
    monkeypatch.setenv("DS_ACCELERATOR", "cpu")
    process_group._asked_by_launcher.cache_clear()
    yield
    process_group._asked_by_launcher.cache_clear()


@pytest.mark.parametrize(
    ("variable", "name", "zero_stage"),
    [
        ("ACCELERATE_USE_DEEPSPEED", "DeepSpeed", 0),
        ("ACCELERATE_USE_FSDP", "FSDP", 0),
        ("ACCELERATE_USE_FSDP", "FSDP", 2),
    ],
)
def test_a_launchers_own_way_of_splitting_is_refused(
    variable: str, name: str, zero_stage: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "true")
    with pytest.raises(UserError, match=f"told to use {name}, and training.zero_stage is {zero_stage}"):
        process_group.join(use_cpu=True, zero_stage=zero_stage)


def test_a_launchers_precision_does_not_overrule_the_profiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "fp16")
    for bf16, expected in ((False, "no"), (True, "bf16")):
        settings = TrainingConfig(bf16=bf16)
        assert trainer_arguments(settings, 1, tmp_path, use_cpu=True).mixed_precision == expected


def test_alone_there_is_nobody_to_wait_for() -> None:
    assert process_group.gather("mine") == ["mine"]
    assert process_group.agree("mine") == "mine"
    process_group.leave()
