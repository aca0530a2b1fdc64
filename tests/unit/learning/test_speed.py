"""Speeds count from the end of a process's first step, over all ranks; a share of the peak only where a card's is known."""

from __future__ import annotations

import pytest

from spavl.learning.speed import Speed, flops_per_token, peak_flops


def clocked(*times_s: float, **more: float) -> Speed:
    return Speed(flops_per_token=10.0, clock=iter(times_s).__next__, **more)


def test_the_first_step_is_not_counted() -> None:
    speed = clocked(100.0, 102.0, 104.0)
    speed.step_ended(8, 9999)
    assert speed.rates() == {}
    speed.step_ended(8, 300)
    speed.step_ended(4, 100)
    assert speed.rates() == {"samples_per_second": 3.0, "tokens_per_second": 100.0}


def test_mfu_is_operations_per_second_over_the_peak() -> None:
    speed = clocked(0.0, 2.0, peak_flops=4000.0)
    speed.step_ended(8, 300)
    speed.step_ended(8, 400)
    assert speed.rates()["mfu"] == pytest.approx(200 * 10 / 4000)


def test_an_objective_that_counts_no_tokens_has_no_speed_of_them() -> None:
    speed = clocked(0.0, 2.0, peak_flops=4000.0)
    speed.step_ended(8, 0)
    speed.step_ended(8, 0)
    assert speed.rates() == {"samples_per_second": 4.0}


def test_operations_are_six_for_a_trained_weight_and_four_for_a_frozen_one() -> None:
    import torch

    class Tiny(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.vision_tower = torch.nn.Linear(7, 7)
            self.multi_modal_projector = torch.nn.Linear(2, 3)
            self.language_model = torch.nn.ModuleDict({"q_proj": torch.nn.Linear(5, 5)})
            self.embed_tokens = torch.nn.Embedding(11, 5)
            self.lm_head = torch.nn.Linear(5, 11)

    model = Tiny()
    model.language_model.requires_grad_(False)
    assert flops_per_token(model) == 6 * 2 * 3 + 4 * 5 * 5


def test_a_cpu_has_no_known_peak() -> None:
    import torch

    assert peak_flops(torch.device("cpu"), 2) is None
