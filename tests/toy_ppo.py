"""A tiny policy with prompts about drawn images, and rewards by rule: what the tests of PPO share.

As a program: `python -m tests.toy_ppo FOLDER BASE TRAINING`, one of the ranks that the environment names, trains
`toy_trainer`; TRAINING is JSON, changes to its settings, and maybe `critic`. Rank 0 leaves its history and the trained weights in FOLDER.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tests import tiny_vlms
from tests.tiny_llava import build_tiny_llava
from tests.toy_pairs import toy_pairs

from spavl.learning import base_model, encoding, trainer
from spavl.learning.pictures import Pictures
from spavl.learning.preparing import prepare_model, prepare_process
from spavl.learning.reward_model import prepare_reward_model, save_reward_model
from spavl.learning.scoring import add_scoring
from spavl.stages.training.config import TrainingConfig
from spavl.stages.training.ppo.critic import add_critic, load_critic
from spavl.stages.training.ppo.objective import PpoObjective
from spavl.stages.training.ppo.policy import AnswerBatch, add_value_head, frozen_reference
from spavl.stages.training.ppo.rollouts import Prompt, Sampler, prompts_of
from spavl.stages.training.ppo.sampling import Answer, Vocabulary, never_sampled
from spavl.stages.training.ppo.settings import PpoSettings

QUESTIONS = ("what is shown here", "red", "a circle I can help with")


@dataclass(frozen=True)
class ByRule:
    """The share of an answer's tokens that are even, and as its cost how long it is; numbers what it was asked."""

    outputs: tuple[str, ...] = ("reward", "cost")
    asked: list[int] = field(default_factory=list)  # answers of each call

    def scores(self, batch: AnswerBatch, answers: Sequence[Answer]) -> torch.Tensor:
        self.asked.append(len(answers))
        rows = [(np.mean([n % 2 == 0 for n in answer.ids]), len(answer.ids) / 10) for answer in answers]
        return torch.tensor(rows)[:, : len(self.outputs)]


@dataclass(frozen=True)
class Scene:
    """A policy and what it is asked: every question about every image, prompts of unequal length."""

    vlm: tiny_vlms.TinyVlm
    pictures: Pictures
    prompts: list[Prompt]

    @property
    def model(self) -> Any:
        return self.vlm.model

    @property
    def vocabulary(self) -> Vocabulary:
        tokenizer = self.vlm.processor.tokenizer
        never = never_sampled(self.vlm.model.config)
        return Vocabulary(tokenizer.pad_token_id, (tokenizer.eos_token_id,), never)

    def sampler(
        self, scorer: Any = None, frozen: Any = None, more_stops: Sequence[int] = (), **settings: Any
    ) -> Sampler:
        """With `more_stops` as stop tokens besides the model's own, a random policy's answers have many lengths."""
        made = PpoSettings(**{"max_new_tokens": 8, **settings})
        vocabulary = replace(self.vocabulary, stop_ids=(*self.vocabulary.stop_ids, *more_stops))
        return Sampler(made, self.pictures, scorer or ByRule(), vocabulary, frozen)


def build_scene(name: str, folder: Path, *, seed: int = 0, has_values: bool = True) -> Scene:
    """A scene on the architecture `name`; its value head is not zero, so that values differ."""
    vlm = tiny_vlms.build(name, seed=seed)
    files = {}
    for image in tiny_vlms.SIDES_PX:
        files[image] = folder / image
        tiny_vlms.draw_image(image).save(files[image], "PNG")
    prompts = [
        _prompt(vlm, image, question) for image in sorted(tiny_vlms.SIDES_PX) for question in QUESTIONS
    ]
    if has_values:
        add_scoring(vlm.model)
        add_value_head(vlm.model)
        vlm.model.scalar_head.draw(seed)
    return Scene(vlm, Pictures(vlm.processor, vlm.prompt("red"), files), prompts)


def build_scene_with_critic(name: str, folder: Path) -> Scene:
    """The same, its values from a critic with weights of its own."""
    scene = build_scene(name, folder, has_values=False)
    critic = tiny_vlms.build(name, seed=7).model
    prepare_reward_model(critic, seed=7)
    add_scoring(scene.model)
    add_critic(scene.model, critic)
    return scene


def _prompt(vlm: tiny_vlms.TinyVlm, image: str, question: str) -> Prompt:
    (sequence,) = vlm.sequences(tiny_vlms.draw_image(image), {question: ["no"]})
    here = slice(0, sequence.num_prompt)
    ids, positions = np.array(sequence.input_ids)[here], np.array(sequence.positions)[:, here]
    return Prompt(f"{image}/{question}", image, ids, positions)


def build_base(folder: Path) -> Path:
    """A tiny LLaVA with random weights, its head's so large that what stands below the head can choose any word."""
    from transformers import AutoModelForImageTextToText

    build_tiny_llava(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder)
    with torch.no_grad():
        model.lm_head.weight.mul_(8)
    model.save_pretrained(folder)
    return folder


def build_reward(base: Path, folder: Path) -> Path:
    """A reward model with random heads on the base, as the stage `reward` saves one."""
    model, processor = base_model.load_model(base, "float32"), base_model.load_processor(base)
    outputs = ("reward", "cost")
    prepare_reward_model(model, outputs, seed=3)
    folder.mkdir(parents=True)
    save_reward_model(model, processor, outputs, folder)
    return folder


def toy_trainer(
    folder: Path,
    base: Path,
    scorer: Any = None,
    hooks: trainer.Hooks | None = None,
    training: dict[str, Any] | None = None,
    reward: Path | None = None,
    **ppo: Any,
) -> Any:
    """The project's trainer with PPO on a base on disk, 16 prompts; `training` and `ppo` change its settings.

    With `reward`, the folder of a reward model, values come from a critic that begins as it.
    """
    settings = TrainingConfig.model_validate(
        {
            "base": {"kind": "transformers", "name": "tiny", "path": str(base), "device": "cpu"},
            "learning_rate": 2e-3,
            "warmup_steps": 2,
            "checkpoint_every_steps": 1,
            **(training or {}),
        }
    )
    process = prepare_process(settings, folder / "work", num_threads=1)
    prepared = prepare_model(base, settings, process)
    if reward is None:
        add_value_head(prepared.model)
    else:
        add_critic(prepared.model, load_critic(reward, "float32", settings, 1.0))
    pairs = toy_pairs(folder / f"images-{process.rank}", 16)
    encoded, _ = encoding.usable_pairs(pairs, prepared.encoder, prepared.stop, 400)
    prompts, _ = prompts_of(encoded, 400)
    files = {pair.image_id: pair.image for pair in pairs}
    kept = prepared.kept_features("toy", files, folder)
    pictures = Pictures(prepared.processor, prepared.prompt, files, kept)
    never = never_sampled(prepared.config)
    vocabulary = Vocabulary(prepared.layout.pad_id, prepared.stop.ids, never)
    frozen = None if settings.lora else frozen_reference(base, "float32", "sdpa", "cpu")
    of_critic = None if reward is None else pictures
    sampler = Sampler(PpoSettings(**ppo), pictures, scorer or ByRule(), vocabulary, frozen, of_critic)
    objective = PpoObjective(prompts, sampler)
    hooks = hooks or trainer.Hooks(lambda *_: None, lambda *_: None, lambda: False)
    return trainer.make_trainer(prepared.model, objective, process.arguments(objective.num_steps), hooks)


SHORT_RUN: dict[str, Any] = {
    "num_epochs": 1.5, "prompts_per_iteration": 12, "passes_per_iteration": 2, "minibatch_size": 6,
    "micro_batch_size": 4, "sampling_batch_size": 5, "max_new_tokens": 6,
}  # fmt: skip
WITH_LORA = {"lora": {"r": 4, "alpha": 8}}


if __name__ == "__main__":
    to, of, changes = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
    critic = changes.pop("critic", None)  # the folder of the reward model that it begins as
    if changes.get("zero_stage"):
        # compiling it takes minutes; named as a string because `torch` inside that package is torch itself as well
        importlib.import_module("deepspeed.comm.torch").build_shm_op = lambda: None
    running = toy_trainer(to, of, training=changes, reward=critic and Path(critic), **SHORT_RUN)
    running.train()
    weights = trainer.final_weights(running)
    if os.environ["RANK"] == "0":
        (to / "history.json").write_text(json.dumps(running.state.log_history))
        torch.save(weights, to / "weights.pt")
