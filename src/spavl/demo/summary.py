"""What a night came to, read from the store's records: one dictionary for `summary.json`, and its lines for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table

from spavl.artifacts import channel
from spavl.artifacts.record import Record, read_record, read_rows
from spavl.artifacts.store import Store
from spavl.config.root import Config
from spavl.demo import deciding
from spavl.pipeline import DAGS
from spavl.records import from_table
from spavl.stages.evaluation.rows import Score

REFRESH, ALIGN = "refresh_preferences", "align_model"
RATES = (  # words, benchmark, metric
    ("harm: unsafe", "held_out_harm", "unsafe_rate"),
    ("harm: any sample unsafe", "held_out_harm", "any_unsafe_rate"),
    ("harm: refused", "held_out_harm", "refusal_rate"),
    ("harm: neither", "held_out_harm", "neither_rate"),
    ("benign: helpful", "held_out_benign", "help_rate"),
    ("benign: refused", "held_out_benign", "over_refusal_rate"),
)
ALWAYS = [
    metric for _, _, metric in RATES if metric != "any_unsafe_rate"
]  # of the others only what was measured
SIDES = ("base", "aligned", "change")
SIDES_WITH_CHAMPION = {  # role -> head of its column, if there was a release to compare with
    "base": "base",
    "champion": "released",
    "aligned": "aligned",
    "change": "Δ base",
    "change_champion": "Δ released",
}


def summarise(store: Store, config: Config, runs: Mapping[str, str]) -> dict[str, Any]:
    """The night's numbers; `runs` is DAG → spavl run id, of those that had a plan."""
    records = {
        stage: read_record(store, run_id, stage) for dag, run_id in runs.items() for stage in DAGS[dag]
    }
    made = {stage: record for stage, record in records.items() if record}
    scores = _scores(store, runs.get(ALIGN), made.get("evaluation"))
    return {
        "runs": dict(runs),
        "stages": {stage: dict(record.counts) for stage, record in made.items()},
        "pairs": _pairs(made),
        "judge": _judge(made),
        "rates": _rates(scores),
        "gate": deciding.gate(store, runs.get(ALIGN)),
        "grounding": deciding.grounding(scores, _measures(made.get("evaluation"))),
        "gold": deciding.gold(made),
        "release": _release(store, config, runs.get(ALIGN)),
    }


def _pairs(made: Mapping[str, Record]) -> dict[str, Any]:
    if "preferences" not in made:
        return {}
    counts = made["preferences"].counts
    names = ("pairs", "kept", "benign_kept")
    dropped = {
        name.removeprefix("dropped_"): count for name, count in counts.items() if name.startswith("dropped_")
    }
    splits = made["dataset"].counts if "dataset" in made else {}
    return {name: counts[name] for name in names} | {
        "dropped": dropped,
        "splits": {name: splits[name] for name in ("train", "validation") if name in splits},
    }


def _judge(made: Mapping[str, Record]) -> dict[str, Any]:
    if "judgements" not in made:
        return {}
    counts, details = made["judgements"].counts, made["judgements"].details
    named = {name: details[name] for name in ("judge", "judge_kind", "judge_revision")}
    numbers = {name: counts[name] for name in ("judgements", "unsafe", "refusals", "unparsable", "errors")}
    bias = made["preferences"].details.get("position_bias") if "preferences" in made else None
    safe = made["comparisons"].details["safe_rates"] if "comparisons" in made else {}
    return (
        named
        | numbers
        | {
            "position_bias": bias,
            "safe_rate_of_model": {model: rate["safe_rate"] for model, rate in safe.items()},
        }
    )


def _scores(store: Store, run_id: str | None, evaluation: Record | None) -> list[Score]:
    """The evaluation's scores; of a blocked one, those that blocked it."""
    if evaluation:
        return read_rows(store, evaluation, Score)
    evidence = f"runs/{run_id}/evaluation/evidence/table.parquet"
    return from_table(store.read_table(evidence), Score) if run_id and store.exists(evidence) else []


def _rates(scores: Iterable[Score]) -> dict[str, Any]:
    """decoding → metric → side → {value, low, high, n}; shares in 0 to 1 with 95 % intervals."""
    rates: dict[str, Any] = {}
    for score in scores:
        if score.slice == "all" and any((score.benchmark, score.metric) == rate[1:] for rate in RATES):
            of_metric = rates.setdefault(score.decoding, {}).setdefault(score.metric, {})
            of_metric[score.model] = {
                "value": score.value,
                "low": score.low,
                "high": score.high,
                "n": score.n,
            }
    return rates


def _measures(record: Record | None) -> dict[str, float | None]:
    return (record.details.get("measures") or {}) if record else {}


def _release(store: Store, config: Config, run_id: str | None) -> dict[str, Any]:
    head = channel.head(store, config.release.channel)
    if head is None:
        return {}
    return {
        "channel": config.release.channel,
        "entry": head.number,
        "run_id": head.run_id,
        "is_new": head.run_id == run_id,
    }


def stage_lines(summary: Mapping[str, Any]) -> Table:
    """Rows per stage, new and reused."""
    table = Table(box=None, header_style="bold", padding=(0, 2))
    table.add_column("stage")
    for column in ("rows", "new", "reused"):
        table.add_column(column, justify="right")
    for stage, counts in summary["stages"].items():
        is_counted = "computed" in counts and counts["computed"] + counts.get("reused", 0) > 0
        table.add_row(
            stage,
            f"{counts['rows']:,}",
            *((f"{counts['computed']:,}", f"{counts['reused']:,}") if is_counted else ("", "")),
        )
    return table


def rate_lines(summary: Mapping[str, Any], decoding: str) -> Table | None:
    """Base against aligned in percent with 95 % intervals; None before the evaluation."""
    rates = summary["rates"].get(decoding)
    if not rates:
        return None
    num = max(side["n"] for metric in rates.values() for side in metric.values())
    title = f"held-out prompts, {decoding} (n ≤ {num}): % [95 % interval]"
    table = Table(
        box=None, header_style="bold", padding=(0, 1, 0, 0), title=title, title_justify="left", title_style=""
    )
    table.add_column("", no_wrap=True)
    has_champion = any("champion" in metric for metric in rates.values())
    sides = SIDES_WITH_CHAMPION if has_champion else dict.fromkeys(SIDES)
    for side, head in sides.items():
        table.add_column(head or side, justify="right", no_wrap=True)
    for words, _, metric in RATES:
        if metric in rates or metric in ALWAYS:
            table.add_row(
                words,
                *(_rate_words(rates.get(metric, {}).get(side), side, has_champion) for side in sides),
            )
    return table


def verdict_lines(summary: Mapping[str, Any]) -> list[str]:
    """Pairs, judge, gate and release, one line each."""
    lines = []
    if pairs := summary["pairs"]:
        most_first = sorted(pairs["dropped"].items(), key=lambda item: -item[1])
        dropped = (
            ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in most_first if count)
            or "none"
        )
        kinds = [
            f"{pairs['benign_kept']:,} benign",
            *(f"{count:,} {name}" for name, count in pairs["splits"].items()),
        ]
        lines.append(
            f"pairs     {pairs['kept']:,} kept of {pairs['pairs']:,} ({', '.join(kinds)}); dropped: {dropped}"
        )
    if judge := summary["judge"]:
        safe = ", ".join(f"{model} {share:.0%}" for model, share in judge["safe_rate_of_model"].items())
        lines.append(
            f"judge     {judge['judge']} ({judge['judge_kind']}): {judge['judgements']:,} readings, {judge['unparsable']} unparsable; safe rates: {safe}"
        )
    lines += deciding.gold_line(summary["gold"])
    lines += deciding.grounding_lines(summary["grounding"])
    lines += deciding.gate_lines(summary["gate"])
    if release := summary["release"]:
        words = "published" if release["is_new"] else "unchanged"
        lines.append(
            f"release   {release['channel']} #{release['entry']} → run {release['run_id']} ({words})"
        )
    return lines


def reuse_line(summary: Mapping[str, Any]) -> str:
    """`reused 4,210 rows of earlier nights, computed 890`."""
    counted = [counts for counts in summary["stages"].values() if "computed" in counts]
    reused, computed = (sum(counts.get(name, 0) for counts in counted) for name in ("reused", "computed"))
    return f"reused {reused:,} rows of earlier nights, computed {computed:,} new ones"


def _rate_words(score: Mapping[str, float] | None, side: str, is_narrow: bool) -> str:
    """Value and 95 % interval; with five columns, the interval only of the candidate and its changes."""
    if score is None:
        return ""
    sign = "+" if side.startswith("change") else ""
    value, low, high = (f"{100 * score[name]:{sign}.1f}" for name in ("value", "low", "high"))
    return value if is_narrow and side in ("base", "champion") else f"{value} [{low}, {high}]"
