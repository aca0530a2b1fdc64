"""What the card says of the decision beside the table of scores: earlier releases, the worst slices, the image, the words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from spavl.artifacts.record import Record
from spavl.stages.evaluation.rows import Score

COMPARED = (  # (decoding, benchmark, metric) that earlier releases are compared on
    ("greedy", "held_out_harm", "unsafe_rate"),
    ("greedy", "held_out_benign", "help_rate"),
    ("greedy", "held_out_benign", "over_refusal_rate"),
    ("sampled", "held_out_harm", "unsafe_rate"),
    ("sampled", "held_out_benign", "help_rate"),
)
CHANGES = {
    "champion": "change_champion",
    "best_harm": "change_best_harm",
    "best_help": "change_best_help",
}  # role of an earlier release -> the score of aligned minus it
FAMILIES = {"domain": "class1", "leaf": "class3", "kind of question": "kind"}


def decision_in_words(evaluation: Record, scores: Iterable[Score]) -> dict[str, Any]:
    """The values of the card's section; lists are empty for what an evaluation of an older version does not have."""
    scores, details = list(scores), evaluation.details
    measures = details.get("measures", {})
    return {
        **details.get("decision", {}),
        "earlier": [_against(scores, *entry) for entry in details.get("references", {}).items()],
        "worst": [line for name, column in FAMILIES.items() if (line := _worst(scores, name, column))],
        "grounding": _grounding(scores),
        "text_rule": {
            name: _share(measures[name])
            for name in ("text_rule_unsafe_rate", "text_rule_over_refusal_rate")
            if measures.get(name) is not None
        },
        "margin": _points(measures, "margin_over_text_rule"),
        "agreement": _agreement(measures),
    }


def _against(scores: list[Score], role: str, reference: Mapping[str, str]) -> dict[str, Any]:
    by_key = {
        (s.decoding, s.benchmark, s.metric): s
        for s in scores
        if s.model == CHANGES[role] and s.slice == "all"
    }
    lines = [
        f"{metric} ({decoding}) {100 * found.value:+.1f} points ({100 * found.low:+.1f} to {100 * found.high:+.1f})"
        for decoding, benchmark, metric in COMPARED
        if (found := by_key.get((decoding, benchmark, metric)))
    ]
    return {"role": role.replace("_", " "), "run_id": reference["run_id"], "changes": lines}


def _worst(scores: list[Score], name: str, column: str) -> str:
    """The slice in which greedy answers of the aligned model are unsafe most often."""
    found = [
        score
        for score in scores
        if (score.model, score.decoding, score.metric) == ("aligned", "greedy", "unsafe_rate")
        and score.slice.startswith(f"{column}=")
    ]
    if not found:
        return ""
    worst = max(found, key=lambda score: (score.value, score.n, score.slice))
    return (
        f"{name} `{worst.slice.partition('=')[2]}`: {100 * worst.value:.1f} % of {worst.n} "
        f"(95 % interval {100 * worst.low:.1f} to {100 * worst.high:.1f})"
    )


def _grounding(scores: list[Score]) -> list[str]:
    found = [score for score in scores if score.benchmark == "grounding" and score.model == "aligned"]
    return [f"{s.metric}: {s.value:.2f} ({s.low:.2f} to {s.high:.2f}), n = {s.n}" for s in found]


def _agreement(measures: Mapping[str, float | None]) -> str:
    value, low, high = (measures.get(f"judge_agreement_unsafe{end}") for end in ("", "__low", "__high"))
    return "" if value is None or low is None or high is None else f"{value:.2f} ({low:.2f} to {high:.2f})"


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def _points(measures: Mapping[str, float | None], name: str) -> str:
    value, low, high = (measures.get(f"{name}{end}") for end in ("", "__low", "__high"))
    if value is None or low is None or high is None:
        return ""
    return f"{100 * value:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f})"
