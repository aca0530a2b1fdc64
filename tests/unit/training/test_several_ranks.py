"""Two ranks on gloo and one process do the same training: plain, with ZeRO-2 and with ZeRO-3; float32, one thread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.tiny_llava import build_tiny_llava
from tests.toy_ranks import Job, Seen, do, do_on_ranks, weights_in
from tests.toy_training import toy_context, train

from spavl.errors import UserError

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ranks")]

# 14 pairs about 5 images: every epoch has a step of 12 pairs and one of the 2 that are left, which are one tree
FULL: dict[str, Any] = {
    "lora": None, "num_epochs": 5, "global_batch_size": 12, "max_forward_tokens": 120, "log_every_steps": 1,
}  # fmt: skip
RECIPES = {
    "plain": FULL,
    "lora": FULL | {"lora": {"r": 8, "alpha": 16, "dropout": 0.1}},
    "zero2": FULL | {"zero_stage": 2},
    "zero3": FULL | {"zero_stage": 3},
}
STEPS, STOPPED_AFTER = 10, 5
EQUAL = ("plain", "zero2", "zero3")
RESUMED = ("lora", "zero2", "zero3")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each job, and the base."""
    folder = tmp_path_factory.mktemp("ranks")
    build_tiny_llava(folder / "base")
    return folder


@pytest.fixture(scope="module")
def seen(folder: Path) -> dict[str, Seen]:
    """What two ranks did, by job: each recipe undisturbed, and again with a stop in the middle ("stopped", "resumed").

    ZeRO-3 comes last: transformers loads what follows in the same process as if it were to be split as well.
    """
    jobs: dict[str, Job] = {}
    for recipe, values in RECIPES.items():
        jobs[recipe] = _job(folder / recipe, values)
        if recipe in RESUMED:
            place = folder / f"{recipe} stopped"
            jobs[f"{recipe} stopped"] = _job(place, values, STOPPED_AFTER, "stopped.pt")
            jobs[f"{recipe} resumed"] = _job(place, values)
    return dict(zip(jobs, do_on_ranks(list(jobs.values()), 2, folder), strict=True))


@pytest.fixture(scope="module")
def alone(folder: Path) -> Seen:
    """What one process does."""
    return do(_job(folder / "alone", FULL))


@pytest.mark.parametrize("recipe", EQUAL)
def test_first_gradients_on_two_ranks_are_those_of_one_process(
    recipe: str, seen: dict[str, Seen], alone: Seen
) -> None:
    assert seen[recipe].gradients.keys() == alone.gradients.keys() and len(alone.gradients) > 20
    for name, expected in alone.gradients.items():
        found = seen[recipe].gradients[name]
        assert (found - expected).norm() <= 1e-5 * expected.norm() > 0, name


@pytest.mark.parametrize("recipe", EQUAL)
def test_ten_losses_on_two_ranks_are_those_of_one_process(
    recipe: str, seen: dict[str, Seen], alone: Seen
) -> None:
    losses = _values(alone, "loss")
    assert len(losses) == STEPS and losses[-1] < losses[0] - 0.5
    assert _values(seen[recipe], "loss") == pytest.approx(losses, rel=1e-4)
    assert {name for _, name, _ in seen[recipe].rows} == {name for _, name, _ in alone.rows}


@pytest.mark.parametrize("recipe", EQUAL)
def test_the_model_that_two_ranks_leave_is_that_of_one_process(
    recipe: str, seen: dict[str, Seen], alone: Seen, folder: Path
) -> None:
    expected, found = weights_in(folder / "alone"), weights_in(folder / recipe)
    assert found.keys() == expected.keys()
    assert max((found[name] - expected[name]).abs().max() for name in expected) < 1e-5


@pytest.mark.parametrize("recipe", EQUAL)
def test_the_order_of_the_pairs_is_the_same_on_two_ranks(
    recipe: str, seen: dict[str, Seen], alone: Seen
) -> None:
    assert seen[recipe].steps == alone.steps
    assert [len(step) for step in alone.steps] == [12, 2] * 5


@pytest.mark.parametrize("recipe", EQUAL)
def test_a_step_with_fewer_trees_than_ranks_ends(recipe: str, seen: dict[str, Seen], alone: Seen) -> None:
    assert alone.num_fillers == 0
    assert seen[recipe].num_fillers >= STEPS / 2  # the steps of one tree, at least
    assert max(seen[recipe].num_forwards) > 1  # and gradients of several forwards were added up in others


@pytest.mark.parametrize("recipe", RESUMED)
def test_sigterm_to_one_rank_stops_both_after_the_same_step(recipe: str, seen: dict[str, Seen]) -> None:
    (first, second) = seen[f"{recipe} stopped"].errors
    assert first == second
    assert "training was asked to stop after step" in first
    assert len(seen[f"{recipe} stopped"].steps) in (STOPPED_AFTER, STOPPED_AFTER + 1)


@pytest.mark.parametrize("recipe", RESUMED)
def test_two_ranks_that_were_stopped_end_with_the_same_bits(
    recipe: str, seen: dict[str, Seen], folder: Path
) -> None:
    resumed = seen[f"{recipe} resumed"]
    assert 0 < len(resumed.steps) < STEPS and resumed.rows == seen[recipe].rows
    undisturbed, found = weights_in(folder / recipe), weights_in(folder / f"{recipe} stopped")
    assert all(found[name].equal(undisturbed[name]) for name in undisturbed)


def test_one_process_does_not_go_on_from_a_checkpoint_of_two(seen: dict[str, Seen], folder: Path) -> None:
    context = toy_context(folder / "lora", folder / "base", num_per_image=3, **_recipe(RECIPES["lora"]))
    with pytest.raises(UserError, match="made with number of ranks 2, and this process has 1"):
        train(context)


def _job(folder: Path, recipe: dict[str, Any], stop_after: int | None = None, seen: str = "seen.pt") -> Job:
    folder.mkdir(exist_ok=True)
    return Job(str(folder), str(folder.parent / "base"), _recipe(recipe), stop_after, seen)


def _recipe(recipe: dict[str, Any]) -> dict[str, Any]:
    return recipe | {"checkpoint_every_steps": 100}


def _values(seen: Seen, name: str) -> list[float]:
    return [value for _, row_name, value in seen.rows if row_name == name]
