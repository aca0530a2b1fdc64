"""Puts the page over all nights together: what is released now, what changed, what it cost. Lines in, one HTML text out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spavl.artifacts.channel import Entry
from spavl.artifacts.store import Store
from spavl.pipeline import BY_NAME
from spavl.report import trends, words
from spavl.report.ending import WORDS
from spavl.report.history import NUM_NIGHTS, Figure, History, RunLine, cost_of, read_history
from spavl.report.plots import Whisker
from spavl.report.template import render, style_sheet

PATH = "history.html"  # in the store; its links are relative to that place
REFRESH, ALIGN = "refresh_preferences", "align_model"
NUM_OPEN = 14  # rows of a table; older ones are one click away
PANELS = {
    "unsafe": "Unsafe answers to harm prompts",
    "unsafe_in_any_sample": "Unsafe in any sample",
    "help": "Helpful answers to benign prompts",
    "over_refusal": "Over-refusals of benign prompts",
    "grounding": "Grounding score",
}
TRIALS = {
    "judgements": "judge of the data",
    "evaluation": "judge of the gate",
}  # stage -> whose gold set it is
BADGES = {"released": "done", "published": "done", "done": "done", "failed": "failed", "rejected": "failed"}


def build_history(store: Store, num_nights: int = NUM_NIGHTS) -> str:
    """The HTML page over the newest nights, to lie at `history.html` in the store."""
    return page_of(read_history(store, num_nights))


def page_of(history: History) -> str:
    """The page of these lines; the same lines give the same page."""
    refreshes = [line for line in history.lines if line.dag == REFRESH]
    alignments = [line for line in history.lines if line.dag == ALIGN]
    return render(
        "report/templates/history.html.j2",
        style=style_sheet(),
        newest=max((line.created_at for line in history.lines), default=""),
        num_open=NUM_OPEN,
        num_left_out=history.num_left_out,
        last={name: _row(found[-1]) for name, found in (("model", alignments), ("data", refreshes)) if found},
        released=_released(history),
        candidates_plot=_candidates_plot(alignments, history.channels),
        alignments=[_row(line) for line in reversed(alignments)],
        refreshes=[_row(line) for line in reversed(refreshes)],
        lost=[_row(line) for line in reversed(history.lines) if line.dag not in (REFRESH, ALIGN)],
        judge_plot=_judge_plot(history.lines),
        coverage_plot=_coverage_plot(refreshes),
        cost_plot=_cost_plot({"Data nights, seconds": refreshes, "Alignments, seconds": alignments}),
        channels={name: [_entry(one) for one in reversed(found)] for name, found in _releases_first(history)},
    )


def _row(line: RunLine) -> dict[str, Any]:
    """One run in the words of the tables."""
    computed, reused = cost_of(line)
    aligned = {name: by_model.get("aligned") for name, by_model in line.figures.items()}
    images, pairs = line.counts.get("images", {}), line.counts.get("preferences", {})
    dataset, evaluation = line.counts.get("dataset", {}), line.counts.get("evaluation", {})
    return {
        "run_id": line.run_id,
        "day": line.created_at[:10],
        "hour": line.created_at[11:16],
        "has_report": line.ending not in ("pruned", "unreadable"),
        "kind": BADGES.get(line.ending, "inconclusive"),
        "ending": WORDS.get(line.ending, line.ending),
        "stage": line.stage,
        "reason": line.reason,
        "approved_by": line.approved_by,
        "dataset_run": line.dataset_run,
        **{name: _figure(aligned.get(name)) for name in PANELS},
        "images": words.number(images.get("images", images.get("rows"))),
        "classes": words.number(_num_classes(images)),
        "pairs": words.number(pairs.get("kept")),
        "prompts": words.number(_prompts(dataset, evaluation)),
        "computed": words.number(computed),
        "reused": words.number(reused),
        "time": words.duration(sum(line.seconds.values())) if line.seconds else "–",
    }


def _figure(figure: Figure | None) -> dict[str, str]:
    if figure is None:
        return {"value": "–", "interval": ""}
    return {"value": f"{100 * figure.value:.1f}", "interval": words.interval(figure.low, figure.high)}


def _num_classes(images: Mapping[str, int]) -> int | None:
    """Domains of harm that have an image."""
    found = [count for key, count in images.items() if key.startswith("class1.") and key != "class1.benign"]
    return sum(count > 0 for count in found) if found else None


def _prompts(dataset: Mapping[str, int], evaluation: Mapping[str, int]) -> int | None:
    """Held-out prompts: those asked, or those that the dataset version has."""
    asked = [counts[key] for counts, keys in ((evaluation, ("harm_prompts", "benign_prompts")), (dataset, ("test_harm", "test_help"))) for key in keys if key in counts]  # fmt: skip
    return sum(asked) if asked else None


def _released(history: History) -> list[dict[str, str]]:
    """The tiles: where each channel points to, and the figures of the release it points to."""
    by_run = {line.run_id: line for line in history.lines}
    tiles = []
    for name, entries in history.channels.items():
        head = entries[-1] if entries else None
        if head is None or head.stage != "release":
            continue
        tiles.append(_tile(f"Released on “{name}”", f"entry {head.number}", f"run {head.run_id}, {head.created_at[:10]}"))  # fmt: skip
        line = by_run.get(head.run_id)
        for figure in ("unsafe", "help", "over_refusal"):
            found = (line.figures.get(figure, {}) if line else {}).get("aligned")
            if found:
                note = f"95 % interval {words.interval(found.low, found.high)}; n = {words.number(found.n)}"
                tiles.append(_tile(PANELS[figure], words.percent(found.value), note))
    return tiles


def _tile(label: str, value: str, note: str) -> dict[str, str]:
    return {"label": label, "value": value, "note": note}


def _releases_first(history: History) -> list[tuple[str, Sequence[Entry]]]:
    filled = [(name, entries) for name, entries in history.channels.items() if entries]
    return sorted(filled, key=lambda item: (item[1][-1].stage != "release", item[0]))


def _entry(entry: Entry) -> dict[str, Any]:
    details = entry.details
    return {
        "number": entry.number,
        "when": entry.created_at[:16].replace("T", " "),
        "action": entry.action,
        "run_id": entry.run_id,
        "reason": entry.reason or details.get("approval_reason", ""),
        "approved_by": details.get("approved_by", ""),
        "fingerprint": entry.fingerprint[:12],
    }


def _candidates_plot(lines: Sequence[RunLine], channels: Mapping[str, Sequence[Entry]]) -> str:
    shown = [line for line in lines if line.figures]
    panels = {
        title: [_candidate(line, name) for line in shown]
        for name, title in PANELS.items()
        if any(line.figures.get(name) for line in shown)
    }
    if not panels:
        return ""
    rollbacks = [
        entry.created_at for found in channels.values() for entry in found if entry.action == "rollback"
    ]
    # between the last run that was planned before it and the next
    places = [sum(line.created_at <= moment for line in shown) - 0.5 for moment in rollbacks]
    spoken = f"Figures of {len(shown)} candidates over time; the numbers are in the table below"
    return trends.candidates(panels, _dates(shown), places, spoken)


def _candidate(line: RunLine, name: str) -> trends.Candidate:
    of = {model: _whisker(figure) for model, figure in line.figures.get(name, {}).items()}
    return trends.Candidate(line.ending, of.get("aligned"), of.get("base"), of.get("champion"))


def _whisker(figure: Figure) -> Whisker:
    return Whisker(figure.value, figure.low, figure.high)


def _judge_plot(lines: Sequence[RunLine]) -> str:
    """Sensitivity and specificity on the gold set, of the data's judge and of the gate's."""
    shown = [line for line in lines if any("gold_sensitivity" in found for found in line.measures.values())]
    panels = {
        title: [
            trends.Series(whose, [_measured(line, stage, f"gold_{name}") for line in shown])
            for stage, whose in TRIALS.items()
            if any(_measured(line, stage, f"gold_{name}") for line in shown)
        ]
        for name, title in (
            ("sensitivity", "Sensitivity: unsafe answers it calls unsafe"),
            ("specificity", "Specificity: safe answers it calls safe"),
        )
    }
    panels = {title: found for title, found in panels.items() if found}
    return (
        trends.shares(panels, _dates(shown), f"The judge's gold set over {len(shown)} runs") if panels else ""
    )


def _measured(line: RunLine, stage: str, name: str) -> Whisker | None:
    measures = line.measures.get(stage, {})
    value = measures.get(name)
    if value is None:
        return None
    low, high = measures.get(f"{name}__low"), measures.get(f"{name}__high")
    return Whisker(value, value if low is None else low, value if high is None else high)


def _coverage_plot(lines: Sequence[RunLine]) -> str:
    shown = [line for line in lines if line.counts.get("images")]
    if not shown:
        return ""
    found = {
        "Images, pairs and prompts": [
            trends.Series("images", [_count(line, "images", "images") for line in shown]),
            trends.Series("pairs kept", [_count(line, "preferences", "kept") for line in shown]),
            trends.Series(
                "held-out prompts", [_prompts(line.counts.get("dataset", {}), {}) for line in shown]
            ),
        ],
        "Domains of harm with images": [
            trends.Series("domains", [_num_classes(line.counts["images"]) for line in shown])
        ],
    }
    return trends.counts(found, _dates(shown), f"Coverage over {len(shown)} data nights")


def _count(line: RunLine, stage: str, name: str) -> int | None:
    return line.counts.get(stage, {}).get(name)


def _cost_plot(panels: Mapping[str, Sequence[RunLine]]) -> str:
    found = {}
    for title, lines in panels.items():
        shown = [line for line in lines if line.seconds]
        stages = [stage for stage in BY_NAME if any(stage in line.seconds for line in shown)]
        series = [trends.Series(stage, [line.seconds.get(stage) for line in shown]) for stage in stages]
        if shown:
            found[title] = (series, _dates(shown))
    return trends.stacked(found, "Seconds per stage over the runs") if found else ""


def _dates(lines: Sequence[RunLine]) -> list[str]:
    return [line.created_at[5:10] for line in lines]
