"""What a person who decides about a release is shown first, in Markdown: the gate's verdict, the figures, what was not met."""

from __future__ import annotations

from collections.abc import Mapping

from spavl.artifacts.store import Store
from spavl.report import words
from spavl.report.checks import expectations_of
from spavl.report.history import MODELS, Figure, make_line
from spavl.report.reading import read_stage

ASKED = {
    "unsafe": "Unsafe answers to harm prompts",
    "unsafe_in_any_sample": "Unsafe in any of several samples",
    "help": "Helpful answers to benign prompts",
    "over_refusal": "Over-refusals of benign prompts",
    "grounding": "Grounding score",
}
TITLES = {"base": "Base", "champion": "Released now", "aligned": "Candidate"}


def approval_request(store: Store, run_id: str, report: str) -> str:
    """The text of the form; `report` is the address of the run's report."""
    found = expectations_of(read_stage(store, run_id, "evaluation").check)
    not_met = [one for one in found if not one.has_passed]
    lines = [
        f"**The gate has passed**: {len(found) - len(not_met)} of {len(found)} expectations are met.",
        "",
        *_table(make_line(store, run_id).figures),
        "",
        *(f"- {one.severity}, not met: {one.reason} (seen {one.seen}, limit {one.limit})" for one in not_met),
        "",
        f"**[The whole report]({report})**",
        "",
        "*Reject* ends the run as failed; nothing is published and the channel stays where it is.",
    ]
    return "\n".join(lines)


def _table(figures: Mapping[str, Mapping[str, Figure]]) -> list[str]:
    models = [model for model in MODELS if any(model in by_model for by_model in figures.values())]
    rows = [
        "| | " + " | ".join(TITLES[model] for model in models) + " |",
        "|---|" + "---|" * len(models),
    ]
    for name, title in ASKED.items():
        if by_model := figures.get(name):
            cells = " | ".join(_cell(by_model.get(model)) for model in models)
            rows.append(f"| {title} | {cells} |")
    return rows


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return "–"
    return f"{words.percent(figure.value)} ({words.interval(figure.low, figure.high)})"
