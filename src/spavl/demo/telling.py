"""Tells what the night came to: the summary on the terminal, and `summary.json` in the run's folder."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import quote

from spavl.demo.summary import ALIGN, REFRESH, rate_lines, reuse_line, stage_lines, summarise, verdict_lines
from spavl.demo.watching import Ended, Night
from spavl.errors import UserError
from spavl.plan import read_plan

VERDICTS = {"done": "released", "skipped": "nothing to align", "failed": "failed"}


def finish(night: Night, ended: Ended) -> int:
    """Gather, print and keep the night's summary; returns the exit code."""
    if aligned := night.spavl_runs.get(ALIGN):
        # watched from its middle, the night's refresh is the one that made this dataset
        night.spavl_runs[REFRESH] = read_plan(night.store, aligned).inputs["dataset"]["run_id"]
    found = summarise(night.store, night.config, night.spavl_runs)
    is_open = ended.verdict == "failed" and found["gate"].get("verdict") == "inconclusive"
    summary = {
        "night": night.number,
        "verdict": "inconclusive" if is_open else VERDICTS[ended.verdict],
        "failed_stage": ended.stage if ended.verdict == "failed" else None,
        "reason": ended.reason or None,
        "duration_s": round(time.monotonic() - night.started, 1),
        **found,
        "links": _links(night),
    }
    _print(night, summary, ended)
    _write(night, summary)
    return ended.exit_code


def _links(night: Night) -> dict[str, str]:
    links = {"airflow": night.airflow.url, "safety_history": f"{night.airflow.url}/spavl/history"}
    for dag_id, run_id in night.airflow_runs.items():
        base = f"{night.airflow.url}/spavl/runs/{dag_id}/{quote(run_id)}"
        links |= {f"{dag_id}_report": f"{base}/report", f"{dag_id}_data_docs": f"{base}/data_docs/"}
    return links


def _print(night: Night, summary: dict[str, Any], ended: Ended) -> None:
    screen = night.screen
    took = f"{summary['verdict']} after {summary['duration_s']:.0f} s"
    screen.say(f"\nNight {summary['night']}: {took}; {reuse_line(summary)}\n", style="bold")
    for table in (stage_lines(summary), rate_lines(summary, "greedy"), rate_lines(summary, "sampled")):
        if table:
            screen.console.print(table)
            screen.say("")
    for line in verdict_lines(summary):
        screen.say(line)
    if ended.reason:
        where = f"failed at {ended.stage}" if ended.verdict == "failed" else ended.verdict
        screen.say(f"{where}: {ended.reason}", style="red" if ended.exit_code else "")
    user, password = night.airflow.credentials() or ("admin", "?")
    screen.say(f"\nAirflow     {night.airflow.url}  user {user}  password {password}")
    for name, link in summary["links"].items():
        if name != "airflow":
            screen.say(f"{name.replace('_', ' '):<30} {link}")
    screen.say("\nModels, judge and pictures are the demo's tiny world. `make down` stops Airflow.")


def _write(night: Night, summary: dict[str, Any]) -> None:
    """`summary.json` in the folder of the last run that had a plan; its path is the last line printed."""
    run_id = night.spavl_runs.get(ALIGN) or night.spavl_runs.get(REFRESH)
    if run_id is None:
        raise UserError(f"the night has no run: {summary['reason']}", next_step=f"See {night.airflow.url}.")
    path = f"runs/{run_id}/summary.json"
    night.store.write(path, json.dumps(summary, indent=1, ensure_ascii=False).encode())
    night.screen.say(str(night.store.local_path(path) or night.store.url_of(path)))
