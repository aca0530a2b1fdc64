"""Runs the comparisons of `training_speed.py`: which sides, in which turns, and what is concluded of them."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.benchmarks import speed_flops, speed_report, speed_sides
from tests.benchmarks.speed_children import Child, running
from tests.benchmarks.speed_shapes import Shape, as_7b, build_pairs
from tests.benchmarks.speed_sides import PLAIN, Job, Parts, Seconds, Side

TRL, TRL_COMPACT, OURS = "TRL", "TRL, head as on a GPU", "ours"
# of 1, 2, 3 and 6 none was faster beyond the noise of this CPU; more pairs at a time only take more memory
TRL_PAIRS_PER_FORWARD = 2
ROOM_7B = {"max_forward_tokens": 2200}  # two trees in a forward, beside 14 GB of weights on a card of 80 GB
TOLERANCE = {"float32": 1e-4, "bfloat16": 2e-2}  # relative, of a step's loss

# what is switched off or on, in groups that fit into memory together
WITHOUT = (("tree", "references", "features", "head"), ("packing", "grouping", "blocks"))
PLAIN_WITH = (("tree", "head"), ("references", "features"))


@dataclass(frozen=True)
class Bench:
    """Measures on one machine."""

    scratch: Path
    matrix_gflops: float
    num_rounds: int
    device: str
    activation_checkpointing: bool = False
    weighs: bool = True  # each side runs once more, for its peak memory alone

    def compare(self, shape: Shape, *, lora: bool = False) -> dict[str, Any]:
        """TRL and ours on one shape."""
        sides = [Side(TRL, speed_sides.trl, micro_batch=TRL_PAIRS_PER_FORWARD)]
        if self.device == "cpu":
            sides.append(replace(sides[0], name=TRL_COMPACT, is_compact=True))
        sides.append(Side(OURS, speed_sides.ours))
        job = self._job(shape, lora=lora or shape.is_7b)
        if shape.is_7b:
            return self._concluded(job, _one_at_a_time(sides, job, self.num_rounds))
        return self._concluded(job, self._side_by_side(sides, job))

    def ablate(self, shape: Shape) -> list[dict[str, Any]]:
        """Time of ours without each part over ours; and of the plain way with each part over the plain way."""
        rows = []
        for names in WITHOUT:
            rows += self._variants(shape, OURS, Parts(), {f"without {n}": Parts().without(n) for n in names})
        for names in PLAIN_WITH:
            rows += self._variants(shape, "plain", PLAIN, {f"plain with {n}": PLAIN.also(n) for n in names})
        return rows

    def _variants(
        self, shape: Shape, against: str, parts: Parts, variants: Mapping[str, Parts]
    ) -> list[dict[str, Any]]:
        sides = [Side(name, speed_sides.ours, own) for name, own in {against: parts, **variants}.items()]
        measured = self._side_by_side(sides, self._job(shape, lora=False))
        return [
            {"variant": name, "against": against, "memory_mb": measured.reports[name]["memory_mb"]}
            | speed_report.ratio(measured.rounds, name, against)
            for name in variants
        ]

    def _side_by_side(self, sides: Sequence[Side], job: Job) -> Measured:
        measured = _side_by_side(sides, job, self.num_rounds)
        if self.weighs:
            for side in sides:
                measured.reports[side.name]["memory_mb"] = _peak_memory_mb(side, job)
        return measured

    def _job(self, shape: Shape, *, lora: bool) -> Job:
        # before the rounds one step; after them one that is counted, one that is profiled, and one that is never asked for
        num_turns = 1 if shape.is_7b else self.num_rounds
        num_steps = 1 + num_turns * shape.steps_per_round + 3
        folder = Path(tempfile.mkdtemp(prefix=f"{shape.name}-", dir=self.scratch))
        return Job(
            shape=shape,
            pairs=build_pairs(shape, num_steps, folder / "images"),
            num_steps=num_steps,
            folder=folder,
            device=self.device,
            lora=lora,
            bf16=shape.is_7b,
            activation_checkpointing=self.activation_checkpointing,
            **(ROOM_7B if shape.is_7b else {}),
        )

    def _concluded(self, job: Job, measured: Measured) -> dict[str, Any]:
        shape, unit = job.shape, "cpu_s" if self.device == "cpu" else "wall_s"
        others = [name for name in measured.rounds if name != OURS]
        sides = {name: self._side(job, measured, name, unit) for name in measured.rounds}
        cold = speed_report.cold_start(measured.facts[OURS], sides[OURS], job.num_steps, unit)
        step = "cpu_seconds_per_step" if unit == "cpu_s" else "seconds_per_step"
        ratios = {
            name: speed_report.ratio(measured.rounds, name, OURS)
            | {"first_epoch": sides[name][step] / cold["first_epoch"]}
            for name in others
        }
        for seen in ratios.values():
            seen["met"] = None if shape.goal is None else seen["median"] >= shape.goal
        history = {name: report["history"] for name, report in measured.reports.items()}
        losses = {name: speed_report.loss_difference(history[OURS], history[name]) for name in others}
        kinds = measured.profile
        tolerance = TOLERANCE["bfloat16" if job.bf16 else "float32"]
        tokens = {facts["tokens"] for facts in measured.facts.values()}
        return {
            "shape": shape.name,
            "title": _title(job),
            "goal": shape.goal,
            "text": dict(shape.text),
            "tower": dict(shape.tower),
            "forward_shares_percent": speed_flops.shares(shape),
            "forward_shares_percent_of_llava_7b": speed_flops.shares(as_7b(shape)),
            "trained_parameters": measured.facts[OURS]["trained_parameters"],
            "pairs_per_step": shape.pairs_per_step,
            "num_rounds": self.num_rounds,
            "sides": sides,
            "ratio": ratios,
            "losses": losses,
            "equal": len(tokens) == 1 and all(seen["loss"] <= tolerance for seen in losses.values()),
            "how": measured.facts[OURS]["how"],
            "cold": cold,
            "collating_cpu_s_per_step": measured.facts[TRL]["collating"].cpu_s,
            "profile": {
                "shares": {name: value / sum(kinds.values()) for name, value in kinds.items()},
            },
        }

    def _side(self, job: Job, measured: Measured, name: str, unit: str) -> dict[str, float]:
        seconds = measured.rounds[name]
        facts = speed_report.side_facts(seconds, measured.reports[name], job.shape.pairs_per_step)
        gflop = measured.counted[name] / 1e9
        rate = gflop / statistics.median(getattr(one, unit) for one in seconds)
        return facts | {"gflop_per_step": gflop, "mfu": rate / self.matrix_gflops}


@dataclass
class Measured:
    """By side: seconds per step in each round, operations of a step, facts before and reports after; our profile."""

    rounds: dict[str, list[Seconds]] = field(default_factory=dict)
    counted: dict[str, int] = field(default_factory=dict)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)
    profile: dict[str, float] = field(default_factory=dict)

    def time(self, child: Child) -> None:
        steps = [child.step() for _ in range(child.job.shape.steps_per_round)]
        mean = Seconds(
            *(statistics.fmean(getattr(one, name) for one in steps) for name in ("wall_s", "cpu_s"))
        )
        self.rounds.setdefault(child.side.name, []).append(mean)

    def look_inside(self, child: Child) -> None:
        self.counted[child.side.name] = child.counted_step()
        if child.side.name == OURS:
            self.profile = child.profiled_step()

    def keep(self, child: Child) -> None:
        self.facts[child.side.name] = child.facts
        self.reports[child.side.name] = child.report


def _side_by_side(sides: Sequence[Side], job: Job, num_rounds: int) -> Measured:
    """All sides live at once and wait for their turns; every other round goes the other way round."""
    children, measured = [Child(side, job) for side in sides], Measured()
    with running(*children):
        for child in children:
            child.step()
        for number in range(num_rounds):
            for child in children if number % 2 == 0 else reversed(children):
                measured.time(child)
        for child in children:
            measured.look_inside(child)
    for child in children:
        measured.keep(child)
    return measured


def _one_at_a_time(sides: Sequence[Side], job: Job, num_rounds: int) -> Measured:
    """Every side is started anew in each round: for what fits into memory alone."""
    measured = Measured()
    for number in range(num_rounds):
        for side in sides if number % 2 == 0 else reversed(sides):
            child = Child(side, replace(job, folder=job.folder / str(number)))
            with running(child):
                child.step()
                measured.time(child)
                measured.look_inside(child)
            measured.keep(child)
    return measured


def _peak_memory_mb(side: Side, job: Job) -> float:
    """Of two steps, in a process that gives freed memory back."""
    child = Child(side, job, keeps_memory=False)
    with running(child):
        for _ in range(2):
            child.step()
    return child.report["memory_mb"]


def _title(job: Job) -> str:
    shape = job.shape
    what = f"LoRA of rank {job.adapter['r']}" if job.lora else "full fine-tuning, tower frozen"
    precision = "bfloat16" if job.bf16 else "float32"
    return (
        f"{shape.name}: {shape.image_tokens} image tokens, {shape.questions_per_image} question(s) per image, "
        f"{shape.answer_tokens}-token answers, {shape.pairs_per_step} pairs per step, {what}, {precision}"
    )
