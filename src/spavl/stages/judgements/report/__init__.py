"""What the report says of `judgements`: the judge's reading of the answers, and its trial.

The comparisons' part stands here too: the safety groups that they made, and whether order changed the judge's mind.
"""

from __future__ import annotations

from spavl.judging.report import UNSAFE_OR_SAFE, trial_sections
from spavl.report import words
from spavl.report.section import Heading, Place, Reading, Section, Tile
from spavl.report.template import render
from spavl.stages.judgements.report.judge import judge


def sections(reading: Reading) -> list[Section]:
    """The judge's reading and its trial; each is there if it was recorded."""
    trial = trial_sections(reading.run, "judgements", "gold_", "Judge of the answers", UNSAFE_OR_SAFE)
    found = judge(reading.tables, reading.run)
    if found is None:
        return trial
    num_judged = sum(model.num_answers for model in found["models"])
    tile = Tile("Answers judged", words.number(num_judged), f"by {len(found['models'])} models")
    html = render("stages/judgements/report/judge.html.j2", judge=found)
    heading = Heading("judge", "The judge's reading of the answers")
    return [*trial, Section(Place.ANSWERS, html, heading, (tile,))]
