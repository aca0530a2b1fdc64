"""What the report says of `evaluation`: the decision and its grounds, the trials of its judges and whether they agree.

What was not measured is said and not left out, once the gate has been checked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spavl.judging.report import UNSAFE_OR_SAFE, trial_sections
from spavl.report.reading import RunState, rows_of_stage
from spavl.report.section import Heading, Place, Reading, Section
from spavl.report.template import render
from spavl.stages.evaluation.report.agreement import agreement, corrected
from spavl.stages.evaluation.report.before_after import before_after, key_figures
from spavl.stages.evaluation.report.decision import decision
from spavl.stages.evaluation.report.grounding import grounding
from spavl.stages.evaluation.report.slices import slices

FOLDER = "stages/evaluation/report"
SCORE_COLUMNS = (
    "benchmark",
    "decoding",
    "model",
    "slice",
    "metric",
    "value",
    "low",
    "high",
    "n",
    "gate_low",
    "gate_high",
    "judge",
    "judge_revision",
)


def sections(reading: Reading) -> list[Section]:
    """All of them in the order of the page; none before there are scores or a verdict."""
    run = reading.run
    scores = rows_of_stage(reading.store, run.stages.get("evaluation"), SCORE_COLUMNS)
    return [
        *_decision(run),
        *_before_after(run, scores),
        *_slices(run, scores),
        *_grounding(run, scores),
        *trial_sections(run, "evaluation", "gold_", "Judge of the gate", UNSAFE_OR_SAFE),
        *trial_sections(run, "evaluation", "second_gold_", "Second judge of the gate", UNSAFE_OR_SAFE),
        *_agreement(run),
    ]


def _decision(run: RunState) -> list[Section]:
    found = decision(run)
    if found is None:
        return []
    html = render(f"{FOLDER}/decision.html.j2", decision=found)
    return [Section(Place.DECISION, html, Heading("decision", "The decision"))]


def _before_after(run: RunState, scores: list[dict[str, Any]]) -> list[Section]:
    found = before_after(scores)
    if found is None:
        return []
    html = render(f"{FOLDER}/before_after.html.j2", before_after=found, corrected=corrected(run))
    heading = Heading("before-after", "Before and after")
    return [Section(Place.DECISION, html, heading, key_figures(scores))]


def _slices(run: RunState, scores: Sequence[Mapping[str, Any]]) -> list[Section]:
    stage = run.stages.get("evaluation")
    decodings = sorted({row["decoding"] for row in scores})
    found = [one for decoding in decodings if stage and (one := slices(scores, stage.check, decoding))]
    if not found and not run.is_decided:
        return []
    html = render(f"{FOLDER}/slices.html.j2", slices=found)
    return [Section(Place.DECISION, html, Heading("slices", "Slice by slice"))]


def _grounding(run: RunState, scores: Sequence[Mapping[str, Any]]) -> list[Section]:
    found = grounding(scores, run.stages.get("evaluation"))
    if found is None and not run.is_decided:
        return []
    html = render(f"{FOLDER}/grounding.html.j2", grounding=found)
    return [Section(Place.DECISION, html, Heading("grounding", "Does the image decide?"))]


def _agreement(run: RunState) -> list[Section]:
    if not run.is_decided:
        return []
    return [Section(Place.AGREEMENT, render(f"{FOLDER}/agreement.html.j2", agreement=agreement(run)))]
