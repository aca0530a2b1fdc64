"""Commands that look and change nothing: `status`, `report`, `config` and `doctor`."""

from __future__ import annotations

import argparse
import math
import sys

import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from spavl.artifacts.record import stage_folder
from spavl.artifacts.store import Store, open_store
from spavl.outcome import Outcome
from spavl.plan import Plan, find_plan, read_plan
from spavl.profiles import load_config
from spavl.run import work_list

NOT_BEGUN = "not begun"


def status(arguments: argparse.Namespace) -> Outcome:
    store = open_store()
    plans = sorted(_plans(store, arguments.run_id), key=lambda plan: plan.created_at)
    table = Table(title=f"runs in {store.url}")
    for column in ("run", "DAG", "planned (UTC)", "stages"):
        table.add_column(column, no_wrap=column != "stages")
    for plan in plans:
        begun = frozenset() if plan.skip_reason else frozenset(store.names(f"runs/{plan.run_id}"))
        words = plan.skip_reason or ", ".join(
            f"{stage} {stage_status(store, plan, stage) if stage in begun else NOT_BEGUN}"
            for stage in plan.stages
        )
        table.add_row(plan.run_id, plan.dag, plan.created_at[:19], words)
    Console(stderr=True, width=None if sys.stderr.isatty() else 160).print(
        table if plans else f"no runs in {store.url}"
    )
    return Outcome("status", counts={"runs": len(plans)})


def _plans(store: Store, run_id: str | None) -> list[Plan]:
    """The plan of this run, or of all that have one."""
    if run_id:
        return [read_plan(store, run_id)]
    return [plan for run in store.names("runs") if (plan := find_plan(store, run))]


def stage_status(store: Store, plan: Plan, stage: str) -> str:
    """done, check failed, 40 % or not begun: one listing of the stage's folder, and more only of a stage that is at work."""
    folder = stage_folder(plan.run_id, stage)
    names = store.names(folder)
    if "record.json" in names:
        return "done"
    if "evidence" in names and store.exists(f"{folder}/evidence/report.json"):
        return "check failed"
    known = work_list.read(store, plan.run_id, stage) if "worklist.json" in names else None
    if known is None:
        return NOT_BEGUN
    chunk_size = plan.config[stage].get("chunk_size", 1)
    num_chunks = sum(math.ceil(group.num_items / chunk_size) for group in known.groups)
    return f"{len(work_list.part_paths(store, plan.run_id, stage)) / max(num_chunks, 1):.0%}"


def report(arguments: argparse.Namespace) -> Outcome:
    """Write `runs/<run id>/report.html` and the page over all nights, and say where they are."""
    from spavl.commands.history import refresh
    from spavl.report import build_report

    store = open_store()
    plan = read_plan(store, arguments.run_id)
    path = f"runs/{plan.run_id}/report{'-with-text' if arguments.show_text else ''}.html"
    store.write(path, build_report(store, plan.run_id, show_text=arguments.show_text).encode())
    links = {"report": store.url_of(path), "history": refresh(store)}
    return Outcome("report", run_id=plan.run_id, links=links)


def config(arguments: argparse.Namespace) -> None:
    """The profile with all defaults, as YAML on standard output."""
    resolved = load_config(arguments.profile, arguments.overrides)
    print(
        yaml.safe_dump(
            resolved.model_dump(mode="json", exclude={"profile"}), sort_keys=False, allow_unicode=True
        ),
        end="",
    )


def doctor(arguments: argparse.Namespace) -> Outcome:
    from spavl.commands.doctor import examine

    findings = examine(load_config(arguments.profile, arguments.overrides))
    table = Table(title=f"profile {arguments.profile}")
    for column in ("", "what", "finding", "remedy"):
        table.add_column(column)
    for finding in findings:
        table.add_row(
            "[green]✓" if finding.is_ok else "[red]✗",
            *(escape(text) for text in (finding.what, finding.seen, "" if finding.is_ok else finding.remedy)),
        )
    Console(stderr=True).print(table)
    missing = [finding for finding in findings if not finding.is_ok]
    if missing:
        words = "; ".join(f"{finding.what}: {finding.seen.rstrip('.')}" for finding in missing)
        return Outcome(
            "doctor",
            verdict="failed",
            exit_code=2,
            counts={"missing": len(missing)},
            error=words,
            next_step=missing[0].remedy,
        )
    return Outcome("doctor", counts={"missing": 0, "examined": len(findings)})
