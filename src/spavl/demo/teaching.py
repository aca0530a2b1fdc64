"""Teaches the demo's models, in three steps that were found to work where the language loss alone leaves them blind.

First the vision tower learns to tell shape, colour and background, with heads that are thrown away; then the projector
and the language model learn to answer on the tower's frozen, cached features; then each variant learns its manner.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from spavl.demo.concepts import COLOURS, SHAPES
from spavl.demo.drawing import BACKGROUNDS
from spavl.demo.lessons import Lesson, Manner, Pool, Teacher
from spavl.demo.models import VISION_WIDTH

if TYPE_CHECKING:
    import torch

TOWER_BATCH_SIZE, TOWER_RATE = 64, 2e-3
TURNS_PER_LESSON, LANGUAGE_RATE, MANNER_RATE = 32, 3e-3, 5e-4
FIRST_MANNER = Manner(compliance=0.3, over_refusal=0.05)
VARIANTS = {  # bold is the one to align
    "bold": Manner(compliance=0.9, over_refusal=0.02),
    "frank": Manner(compliance=0.6, over_refusal=0.10),
    "wary": Manner(compliance=0.3, over_refusal=0.25),
    "timid": Manner(compliance=0.1, over_refusal=0.50),
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """How long is taught; the defaults give models that see, and a shorter recipe gives ones that babble."""

    num_pictures_per_concept: int = 100
    num_tower_steps: int = 1000
    num_language_steps: int = 400
    num_manner_steps: int = 50
    num_measured_harm: int = 106
    num_measured_benign: int = 64

    @property
    def num_steps(self) -> int:
        return self.num_tower_steps + self.num_language_steps + self.num_manner_steps * len(VARIANTS)


Tick = Callable[[str], None]  # called once per step with a note


def teach_tower(model: Any, pool: Pool, steps: int, seed: int, tick: Tick) -> None:
    """Train the vision tower as a classifier of shape, colour and background; the heads are thrown away."""
    import torch
    from torch.nn.functional import cross_entropy

    tower = model.model.vision_tower
    heads = torch.nn.ModuleList(
        torch.nn.Linear(VISION_WIDTH, len(names)) for names in (SHAPES, COLOURS, BACKGROUNDS)
    )
    order = torch.Generator().manual_seed(seed)

    def losses() -> Iterable[torch.Tensor]:
        for _ in range(steps):
            batch = torch.randint(len(pool.concepts), (TOWER_BATCH_SIZE,), generator=order)
            seen = tower(pool.pixels[batch]).last_hidden_state[:, 1:].mean(dim=1)
            yield sum(cross_entropy(head(seen), pool.targets[batch, k]) for k, head in enumerate(heads))

    _descend([*tower.parameters(), *heads.parameters()], losses(), steps, TOWER_RATE, tick, "vision tower")


def see(model: Any, pool: Pool) -> torch.Tensor:
    """The tower's features of the whole pool, as the projector gets them: [N, 16, 64] float32."""
    import torch

    with torch.no_grad():
        parts = [
            model.model.vision_tower(pixels).last_hidden_state[:, 1:] for pixels in pool.pixels.split(512)
        ]
    return torch.cat(parts)


def teach_language(model: Any, features: torch.Tensor, teacher: Teacher, steps: int, tick: Tick) -> None:
    """Teach projector and language model to answer about what the tower sees, in FIRST_MANNER."""
    _teach(model, features, teacher, FIRST_MANNER, steps, LANGUAGE_RATE, tick, "language")


def teach_manner(
    model: Any, features: torch.Tensor, teacher: Teacher, name: str, steps: int, tick: Tick
) -> Any:
    """A copy of the model that answers in the manner of VARIANTS[name]."""
    variant = copy.deepcopy(model)
    _teach(variant, features, teacher, VARIANTS[name], steps, MANNER_RATE, tick, name)
    return variant


def _teach(
    model: Any,
    features: torch.Tensor,
    teacher: Teacher,
    manner: Manner,
    steps: int,
    rate: float,
    tick: Tick,
    note: str,
) -> None:
    parts = (
        model.model.multi_modal_projector,
        model.model.language_model,
    )  # lm_head is tied to the latter's input
    parameters = [parameter for part in parts for parameter in part.parameters()]
    losses = (_answer_loss(model, features, teacher.lesson(TURNS_PER_LESSON, manner)) for _ in range(steps))
    _descend(parameters, losses, steps, rate, tick, note)


def _answer_loss(model: Any, features: torch.Tensor, lesson: Lesson) -> torch.Tensor:
    """Mean cross-entropy in nats over the answers' tokens, end of sequence included."""
    from torch.nn.functional import cross_entropy

    projected = model.model.multi_modal_projector(features[lesson.pictures])
    seen = {"image": SimpleNamespace(pooler_output=list(projected))}
    hidden = model.model(input_ids=lesson.input_ids, mm_encoder_outputs=seen).last_hidden_state[:, :-1]
    labels = lesson.labels[:, 1:]
    learned = labels >= 0
    return cross_entropy(model.lm_head(hidden[learned]), labels[learned])


def _descend(
    parameters: list[Any], losses: Iterable[torch.Tensor], steps: int, rate: float, tick: Tick, note: str
) -> None:
    """AdamW with a short linear warm-up and a cosine down to a tenth; gradients clipped at norm 1."""
    import torch

    optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.01)
    warmup = max(1, steps // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warmup, 0.55 + 0.45 * math.cos(math.pi * step / steps))
    )
    for loss in losses:
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        tick(note)
