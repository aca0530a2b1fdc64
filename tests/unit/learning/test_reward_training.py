"""A reward model through the project's own trainer: from toy pairs to a saved model that tells them apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.tiny_llava import build_tiny_llava
from tests.toy_pairs import toy_pairs

from spavl.learning import base_model, encoding, trainer
from spavl.learning.pair_steps import Course, PairSteps
from spavl.learning.pictures import Pictures
from spavl.learning.preparing import prepare_model, prepare_process, with_adapters
from spavl.learning.reward_model import (
    load_reward_model,
    prepare_reward_model,
    restored,
    save_reward_model,
)
from spavl.learning.reward_objective import RewardObjective
from spavl.stages.training.config import TrainingConfig

OUTPUTS = ("reward", "cost")
HOOKS = trainer.Hooks(lambda *_: None, lambda *_: None, lambda: False)


@pytest.mark.parametrize("lora", [None, {"r": 8, "alpha": 16}], ids=["full", "lora"])
def test_pairs_are_learnt_and_the_saved_model_scores_as_the_trained_one(
    tmp_path: Path, lora: dict[str, Any] | None
) -> None:
    base = build_tiny_llava(tmp_path / "base")
    settings = TrainingConfig.model_validate(
        {
            "base": {"kind": "transformers", "name": "tiny", "path": str(base), "device": "cpu"},
            "lora": lora, "learning_rate": 5e-3, "warmup_steps": 1, "checkpoint_every_steps": 100,
        }
    )  # fmt: skip
    process = prepare_process(settings, tmp_path / "work", num_threads=1)
    prepared = prepare_model(base, settings, process)
    prepare_reward_model(prepared.model, OUTPUTS)
    pairs = toy_pairs(tmp_path / "images", 16)
    encoded, _ = encoding.usable_pairs(pairs, prepared.encoder, prepared.stop, 400)
    files = {pair.image_id: pair.image for pair in pairs}
    kept = prepared.kept_features("toy", files, tmp_path)
    pictures = Pictures(prepared.processor, prepared.prompt, files, kept)
    steps = PairSteps(encoded, Course(2, 8, 0, True), prepared.layout, pictures)
    objective = RewardObjective(steps, pictures, OUTPUTS)
    running = trainer.make_trainer(prepared.model, objective, process.arguments(steps.num_steps), HOOKS)
    running.train()
    seen = trainer.evaluate(running, objective)
    assert seen["rewards/accuracies"] == 1.0
    assert "cost/loss" not in seen  # the toy pairs have no labels

    fresh = with_adapters(base_model.load_model(base, "float32"), settings)
    prepare_reward_model(fresh, OUTPUTS)
    whole = restored(fresh, trainer.final_weights(running))
    save_reward_model(whole, prepared.processor, OUTPUTS, tmp_path / "saved")
    loaded = load_reward_model(tmp_path / "saved", "float32")
    (forward,) = PairSteps(encoded, Course(1, 16, 0, True), prepared.layout, pictures).forwards(0, 0, 1)
    scores = loaded.scores(forward.forward, pictures.arguments(loaded.model, forward), 2 * len(forward.pairs))
    margins = (scores[0::2, 0] - scores[1::2, 0]).mean().item()
    assert margins == pytest.approx(seen["rewards/margins"], rel=1e-3)
    assert torch.all(scores[0::2, 0] > scores[1::2, 0])
