import math

from spavl.learning.metrics import evaluation_rows, first_not_finite, training_rows
from spavl.stages.training.rows import TrainingMetric


def entry(step, loss, **more):
    return {"step": step, "epoch": step / 4, "loss": loss, **more}


def test_values_are_means_over_their_window_and_the_last_window_may_be_short():
    rows = training_rows([entry(1, 4.0), entry(2, 2.0), entry(3, 1.0)], log_every_steps=2)
    assert rows == [
        TrainingMetric("2/loss", 2, 0.5, "loss", 3.0),
        TrainingMetric("3/loss", 3, 0.75, "loss", 1.0),
    ]


def test_learning_rate_and_token_count_are_the_last_of_their_window():
    history = [
        entry(1, 1.0, learning_rate=0.1, num_tokens=10),
        entry(2, 1.0, learning_rate=0.2, num_tokens=30),
    ]
    values = {row.name: row.value for row in training_rows(history, log_every_steps=2)}
    assert values == {"loss": 1.0, "learning_rate": 0.2, "num_tokens": 30.0}


def test_times_and_the_trainers_closing_summary_give_no_row():
    history = [
        entry(1, 1.0, train_steps_per_second=3.0),
        {"step": 1, "epoch": 1.0, "train_runtime": 3.2, "train_loss": 9.0},
    ]
    assert [row.id for row in training_rows(history, log_every_steps=1)] == ["1/loss"]


def test_evaluation_rows_carry_the_last_step_and_no_times():
    seen = {"eval_loss": 0.5, "eval_runtime": 3.0, "eval_samples_per_second": 9.0, "epoch": 2.0, "step": 0}
    assert evaluation_rows(seen, step=7, epoch=2.0) == [
        TrainingMetric("7/eval_loss", 7, 2.0, "eval_loss", 0.5)
    ]


def test_a_loss_that_is_no_number_is_named():
    assert first_not_finite({"loss": math.nan}) == "loss"
    assert first_not_finite({"loss": 1.0, "grad_norm": math.inf}) == "grad_norm"
    assert first_not_finite({"loss": 1.0, "eval_loss": math.nan}) is None
