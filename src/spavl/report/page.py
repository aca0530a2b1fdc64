"""Puts a run's page together: state and sections into one HTML text."""

from __future__ import annotations

from typing import Any

from spavl.artifacts.store import Store
from spavl.report import alignment, night, overview, words
from spavl.report.attacks import attacks
from spavl.report.decision import decision
from spavl.report.grounding import grounding
from spavl.report.reading import RunState, data_docs_link, open_tables, read_run
from spavl.report.slices import slices
from spavl.report.template import style_sheet, template
from spavl.report.trial import agreement, corrected, trials


def build_report(store: Store, run_id: str, *, show_text: bool = False) -> str:
    """The HTML page of a run, to lie at `runs/<run_id>/report.html`; links to Data Docs are relative to that place.

    Texts of questions and answers appear only with `show_text`. Raises UserError where there is no such run or where one
    of its tables is damaged.
    """
    run = read_run(store, run_id)
    return template("page.html.j2").render(
        **_frame(store, run), **_sections(store, run, show_text), show_text=show_text
    )


def _frame(store: Store, run: RunState) -> dict[str, Any]:
    docs = {stage.name: data_docs_link(store, run.run_id, stage) for stage in run.stages.values()}
    return {
        "run_id": run.run_id,
        "plan": run.plan,
        "title": words.DAG_TITLES.get(run.plan.get("dag", ""), "Run"),
        "style": style_sheet(),
        "verdict": overview.verdict(run),
        "simplifications": overview.simplifications(run),
        "sources": {name: plan.get("dag", "") for name, plan in run.plans.items() if name != run.run_id},
        "stages": overview.stage_rows(run, docs),
        "checks": overview.checks(run),
        "lineage": overview.lineage(run),
        "models": overview.models(run),
        "container_images": overview.container_images(run),
    }


def _sections(store: Store, run: RunState, show_text: bool) -> dict[str, Any]:
    evaluation = run.stages.get("evaluation")
    scores = alignment.scores_of(store, evaluation)
    decodings = sorted({row["decoding"] for row in scores})
    sections = {
        "decision": decision(run),
        "slices": [
            found
            for decoding in decodings
            if evaluation and (found := slices(scores, evaluation.check, decoding))
        ],
        "grounding": grounding(scores, evaluation),
        "attacks": attacks(store, run),
        "trials": trials(run),
        "agreement": agreement(run),
        "corrected": corrected(run),
        "has_benchmarks": "benchmarks" in run.stages,
        **_night(store, run, show_text),
        "reward": alignment.training(store, run, "reward"),
        "training": alignment.training(store, run),
        "before_after": alignment.before_after(scores),
        "key_figures": alignment.key_figures(scores),
    }
    release = run.record("release")
    return {**sections, "release": release, "tiles": _tiles(sections)}


def _night(store: Store, run: RunState, show_text: bool) -> dict[str, Any]:
    """The sections about preference data, whose tables are the large ones."""
    with open_tables(store) as tables:
        return {
            "images": night.images(tables, run),
            "judge": night.judge(tables, run),
            "pairs": night.pairs(tables, run),
            "splits": night.splits(tables, run),
            "examples": night.examples(tables, run, show_text=show_text),
        }


def _tiles(sections: dict[str, Any]) -> list[dict[str, str]]:
    """The largest figures of the page: the aligned model's where there is one, else the night's."""
    if sections["key_figures"]:
        return sections["key_figures"]
    tiles = []
    if sections["images"]:
        tiles.append(
            {
                "label": "Images accepted",
                "value": sections["images"]["total"],
                "note": f"{sections['images']['benign']} benign",
            }
        )
    if sections["judge"]:
        num_judged = sum(model.num_answers for model in sections["judge"]["models"])
        num_models = len(sections["judge"]["models"])
        tiles.append(
            {"label": "Answers judged", "value": words.number(num_judged), "note": f"by {num_models} models"}
        )
    if sections["pairs"]:
        tiles.append(
            {
                "label": "Preference pairs",
                "value": sections["pairs"]["total"],
                "note": f"{sections['pairs']['benign']} benign",
            }
        )
    return tiles
