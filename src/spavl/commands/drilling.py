"""The command `drill`: the product attacks itself, and says which expectations stopped what."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from spavl.config import spavl_home
from spavl.errors import CheckFailed, UserError
from spavl.outcome import Outcome

MAX_FALSE_ALARMS = 0.05


def drill(arguments: argparse.Namespace) -> Outcome:
    """Run the chosen poisons; raises CheckFailed if the kill rate or the false alarms miss their limits."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported
    if arguments.list:
        return _list(arguments)
    folder = spavl_home() / "drill" / arguments.name
    score = _tables(arguments, folder) if arguments.tables_of else _nights(arguments, folder)
    return _tell(score, arguments, folder)


def _list(arguments: argparse.Namespace) -> Outcome:
    from spavl.drill.catalogue import chosen

    poisons = chosen(arguments.only, arguments.family, only_cheap=arguments.cheap)
    for poison in poisons:
        print(f"{poison.name:<36} {poison.family:<18} {poison.says}", file=sys.stderr)
    return Outcome("drill", counts={"poisons": len(poisons)})


def _nights(arguments: argparse.Namespace, folder: Path):
    from spavl.drill.catalogue import chosen
    from spavl.drill.drilling import Drill, run
    from spavl.drill.night import demo_night, night_from_run

    poisons = chosen(arguments.only, arguments.family, only_cheap=arguments.cheap)
    if arguments.from_run:
        night = night_from_run(folder / "night", arguments.from_run, _say)
    else:
        night = demo_night(folder / "night", arguments.profile, arguments.overrides, _say)
    return run(Drill(folder, night, poisons, arguments.honest, arguments.time_limit), _say)


def _tables(arguments: argparse.Namespace, folder: Path):
    from spavl.artifacts.store import open_store
    from spavl.drill.tables import drill_tables

    _say(
        "Recorded tables are poisoned and sealed again: no model is asked, so a poison of models, weights or "
        "settings is not tried, and answers stay those of the honest night."
    )
    return drill_tables(open_store(), arguments.tables_of, arguments.only, _say)


def _tell(score, arguments: argparse.Namespace, folder: Path) -> Outcome:
    from rich.console import Console

    from spavl.drill.telling import screen_table, summary_lines, to_json

    console = Console(stderr=True)
    console.print(screen_table(score))
    for line in summary_lines(score):
        console.print(line, highlight=False)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "drill.json"
    path.write_text(json.dumps(to_json(score), indent=1, ensure_ascii=False), "utf-8")
    counts = {"poisons": score.kill_rate.n, "killed": score.kill_rate.hits, "released": len(score.released)}
    counts |= {"honest": score.false_alarms.n, "false_alarms": score.false_alarms.hits}
    _require(score, arguments.min_kill_rate)
    return Outcome("drill", counts=counts, links={"drill": path.as_uri()})


def _require(score, min_kill_rate: float) -> None:
    if not score.kill_rate.n:
        raise UserError("no poison was tried.", next_step="`spavl drill --list` shows the names.")
    if score.kill_rate.value < min_kill_rate:
        raise CheckFailed(
            f"drill: {score.kill_rate.words()} poisons were stopped, limit >= {min_kill_rate:.0%}.",
            next_step="The table above names what was released; add or tighten an expectation for each.",
        )
    if score.false_alarms.n and score.false_alarms.value > MAX_FALSE_ALARMS:
        raise CheckFailed(
            f"drill: {score.false_alarms.words()} honest nights were stopped, limit <= {MAX_FALSE_ALARMS:.0%}.",
            next_step="Loosen the expectation that stops honest nights, or give it more prompts.",
        )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
