"""The stage `reward` on toy pairs: it tells better answers from worse ones, and leaves a model that scores when loaded."""

from pathlib import Path

import pytest
from tests.sealing import seal_rows
from tests.tiny_llava import build_tiny_llava
from tests.toy_reward import reward_context, train

from spavl.errors import UserError
from spavl.stages.reward import stage


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return build_tiny_llava(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def sealed(base, tmp_path_factory):
    context = reward_context(tmp_path_factory.mktemp("run"), base)
    return context, seal_rows(stage, context, train(context))


def value(rows, name, last=True):
    found = [row.value for row in rows if row.name == name]
    return found[-1] if last else found[0]


def test_one_work_item_whose_id_follows_the_recipe(base, tmp_path):
    (first,), (same,) = (stage.prepare(reward_context(tmp_path, base)) for _ in range(2))
    (other,) = stage.prepare(reward_context(tmp_path, base, margin_weight=0.5))
    assert (first.id, first.group) == (same.id, "reward") and other.id != first.id


def test_it_learns_to_tell_better_answers_from_worse_ones_it_never_saw(sealed):
    _, made = sealed
    assert value(made.rows, "loss") < value(made.rows, "loss", last=False)
    assert value(made.rows, "eval_rewards/accuracies") == 1.0
    assert made.counts["pairs"] == 14 and made.counts["steps"] == 24
    assert {row.name for row in made.rows} >= {"rewards/accuracies/benign", "rewards/accuracies/weapon"}


def test_the_model_it_leaves_scores_a_better_answer_higher(sealed, tmp_path):
    from spavl.learning.reward_model import load_reward_model

    context, made = sealed
    folder = made.details["folders"]["model"]
    local = context.store.download(folder["path"], tmp_path, folder["files"])
    assert load_reward_model(local, "float32").outputs == ("reward",)
    assert made.details["outputs"] == ["reward"] and made.details["adaptation"] == "lora"


def test_its_checkpoints_are_gone_once_it_is_sealed(sealed):
    context, _ = sealed
    assert context.store.names("runs/20260101-test/reward/checkpoints") == []


def test_a_dataset_without_train_pairs_is_refused(base, tmp_path):
    context = reward_context(tmp_path, base)
    context.rows_by_stage = {"dataset": [row for row in context.rows("dataset") if row.split == "validation"]}
    with pytest.raises(UserError, match="0 train pairs"):
        stage.prepare(context)


def test_a_second_output_learns_the_judges_safety_labels(base, tmp_path):
    import dataclasses

    context = reward_context(tmp_path, base, with_cost=True)
    rows = [
        dataclasses.replace(row, chosen_is_unsafe=False, rejected_is_unsafe=not row.is_benign)
        for row in context.rows("dataset")
    ]
    context.rows_by_stage = {"dataset": rows}
    made = seal_rows(stage, context, train(context))
    assert made.details["outputs"] == ["reward", "cost"]
    assert value(made.rows, "cost/loss") < value(made.rows, "cost/loss", last=False)


@pytest.mark.parametrize("label", [None, False], ids=["no labels", "all safe"])
def test_a_cost_that_no_label_teaches_is_refused(label, base, tmp_path):
    import dataclasses

    context = reward_context(tmp_path, base, with_cost=True)
    rows = [
        dataclasses.replace(row, chosen_is_unsafe=label, rejected_is_unsafe=label)
        for row in context.rows("dataset")
    ]
    context.rows_by_stage = {"dataset": rows}
    num_safe = 0 if label is None else 28
    with pytest.raises(
        UserError, match=f"the 14 train pairs have {num_safe} labelled safe and 0 labelled unsafe"
    ):
        train(context)
