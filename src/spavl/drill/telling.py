"""A drill's result as a table on the screen, as Markdown for documentation, and as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from spavl.drill.finding import Finding
from spavl.drill.score import Score, Share

if TYPE_CHECKING:
    from rich.table import Table

WORDS = {
    "failed": "stopped",
    "inconclusive": "stopped: inconclusive",
    "undone": "made harmless",
    "refused": "refused",
    "crashed": "crashed",
    "released": "RELEASED",
    "impossible": "not possible here",
}


def screen_table(score: Score) -> Table:
    """One line per poison, family by family."""
    from rich.table import Table

    table = Table(title="spavl drill: poison → what stopped it", show_lines=False)
    for column in ("poison", "result", "at", "by", "s"):
        table.add_column(column, overflow="fold")
    for finding in _all(score):
        style = "bold red" if finding in score.released + score.unproven else ""
        table.add_row(
            finding.name, _result(finding, score), finding.stage, _by(finding), f"{finding.seconds:.0f}", style=style
        )  # fmt: skip
    return table


def summary_lines(score: Score) -> list[str]:
    """Kill rate, false alarms, and what came through, in words."""
    lines = [
        f"kill rate: {score.kill_rate.words()}",
        f"false alarms on honest nights: {score.false_alarms.words()}; inconclusive: {score.inconclusive_nights.words()}",
    ]
    if score.released:
        lines.append(f"released: {', '.join(finding.name for finding in score.released)}")
    if score.unproven:
        names = ", ".join(finding.name for finding in score.unproven)
        lines.append(f"stopped only by what stops honest nights too: {names}")
    return lines


def markdown(score: Score, reasons: Mapping[str, str]) -> str:
    """The same for documentation; `reasons` say why a poison is let through, by its name."""
    lines = [f"- {line[0].upper()}{line[1:]}." for line in summary_lines(score)[:2]]
    lines += ["", "| family | poison | what is wrong | result | stopped by |", "|---|---|---|---|---|"]
    for finding in _all(score):
        cells = (finding.family, f"`{finding.name}`", finding.says, _result(finding, score), _by(finding))
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    lines += ["", "## Let through, and why", ""]
    through = score.released + score.unproven
    lines += [f"- `{finding.name}`: {reasons.get(finding.name, 'no reason is known yet.')}" for finding in through] or ["Nothing."]  # fmt: skip
    lines += ["", "## Stopped by one expectation alone", ""]
    lines += [f"- `{finding.name}`: {_by(finding)}" for finding in _all(score) if len(finding.failures) == 1] or ["None."]  # fmt: skip
    lines += ["", "## Honest nights", "", "| night | result | stopped by |", "|---|---|---|"]
    lines += [f"| {night.name} | {_honest(night)} | {_by(night)} |" for night in score.honest]
    return "\n".join(lines) + "\n"


def to_json(score: Score) -> dict[str, Any]:
    """JSON values only."""
    return {
        "kill_rate": _share(score.kill_rate),
        "false_alarms": _share(score.false_alarms),
        "inconclusive_nights": _share(score.inconclusive_nights),
        "released": [finding.name for finding in score.released],
        "unproven": [finding.name for finding in score.unproven],
        "findings": [dataclasses.asdict(finding) for finding in _all(score)],
        "honest": [dataclasses.asdict(finding) for finding in score.honest],
    }


def _share(share: Share) -> dict[str, float]:
    low, high = share.interval
    return {"hits": share.hits, "n": share.n, "value": share.value if share.n else 0.0, "low": low, "high": high}  # fmt: skip


def _all(score: Score) -> Iterator[Finding]:
    from spavl.drill.poison import FAMILIES

    found = score.killed + score.released + score.unproven + score.impossible
    yield from sorted(found, key=lambda finding: (FAMILIES.index(finding.family), finding.name))


def _result(finding: Finding, score: Score) -> str:
    words = WORDS[finding.verdict]
    if finding.night > 1:
        words = f"{words} (night {finding.night})"
    return f"{words}, as honest nights are" if finding in score.unproven else words


def _honest(finding: Finding) -> str:
    return {"released": "released", "inconclusive": "inconclusive"}.get(finding.verdict, "FALSE ALARM")


def _by(finding: Finding) -> str:
    """The first expectation with value and limit, and how many more; the error of a refusal or a crash."""
    if not finding.failures:
        return finding.error
    first, more = finding.failures[0], len(finding.failures) - 1
    behind = f", and {more} more" if more else ""
    return f"{finding.stage}: {first.expectation} saw {first.saw}, limit {first.limit}{behind}"
