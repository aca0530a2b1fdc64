"""Puts a run's page together: state, and the sections that its stages bring, into one HTML text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spavl.artifacts.store import Store
from spavl.pipeline import BY_NAME
from spavl.report import overview, words
from spavl.report.reading import RunState, data_docs_link, open_tables, read_run
from spavl.report.section import Place, Reading, Section, Tile
from spavl.report.template import render, style_sheet
from spavl.stages import optional_module


def build_report(store: Store, run_id: str, *, show_text: bool = False) -> str:
    """The HTML page of a run, to lie at `runs/<run_id>/report.html`; links to Data Docs are relative to that place.

    Texts of questions and answers appear only with `show_text`. Raises UserError if there is no such run or if one of its
    tables is damaged.
    """
    run = read_run(store, run_id)
    with open_tables(store) as tables:
        found = sections_of(Reading(store, run, tables, show_text))
    return page_of(store, run, found)


def sections_of(reading: Reading) -> list[Section]:
    """What the stages have to say, in the order of the map."""
    modules = (optional_module(stage, "report") for stage in BY_NAME)
    return [section for module in modules if module for section in module.sections(reading)]


def page_of(store: Store, run: RunState, sections: Sequence[Section]) -> str:
    """The page with these sections, each at its place, in the order given."""
    by_place = {place.value: [one for one in sections if one.place is place] for place in Place}
    return render(
        "report/templates/page.html.j2", **_frame(store, run), sections=by_place, tiles=tiles_of(sections)
    )


def tiles_of(sections: Sequence[Section]) -> list[Tile]:
    """The largest figures of the page: the aligned model's if there is one, else the night's."""
    of_decision = [tile for one in sections if one.place is Place.DECISION for tile in one.tiles]
    return of_decision or [tile for one in sections for tile in one.tiles]


def _frame(store: Store, run: RunState) -> dict[str, Any]:
    docs = {stage.name: data_docs_link(store, run.run_id, stage) for stage in run.stages.values()}
    return {
        "run_id": run.run_id,
        "plan": run.plan,
        "title": words.DAG_TITLES.get(run.plan.get("dag", ""), "Run"),
        "style": style_sheet(),
        "verdict": overview.verdict(run),
        "is_decided": run.is_decided,
        "simplifications": overview.simplifications(run),
        "sources": {name: plan.get("dag", "") for name, plan in run.plans.items() if name != run.run_id},
        "stages": overview.stage_rows(run, docs),
        "checks": overview.checks(run),
        "lineage": overview.lineage(run),
        "models": overview.models(run),
        "container_images": overview.container_images(run),
    }
