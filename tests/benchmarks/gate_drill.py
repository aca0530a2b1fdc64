"""The drill as a benchmark: every poison and honest nights on the demo world, kept in results/ and docs/drill.md.

python -m tests.benchmarks.gate_drill             # all: up to half an hour of one core; goes on where it was stopped
python -m tests.benchmarks.gate_drill --quick     # the cheap poisons and two honest nights; writes no documentation
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.benchmarks.drill_reasons import REASONS

from spavl.config import spavl_home
from spavl.drill.catalogue import chosen
from spavl.drill.drilling import Drill, run
from spavl.drill.night import demo_night
from spavl.drill.score import Score
from spavl.drill.telling import markdown, summary_lines, to_json

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).parent / "results" / "gate_drill.json"
DOCUMENT = ROOT / "docs" / "drill.md"
MIN_KILL_RATE, MAX_FALSE_ALARMS = 0.95, 0.05
HEAD = """# The drill: the product attacks itself

`spavl drill` runs one honest night of the demo world and then the same night again with one poison at a time. A poison
enters where it would in life: a model's answers, an image source, a setting, recorded rows, weights. Only the stages from
there on run again. What is stopped by no check up to the gate is *released*. The share that is stopped is to expectations
what a mutation score is to tests. *Inconclusive* and *refused* publish nothing, so they count as stopped and are named;
*made harmless* means that the line itself took the poison's effect away (copies of test images put beside their originals).
A check that stops honest nights too stops nothing here.

This page is written by `python -m tests.benchmarks.gate_drill`. `spavl drill --list` shows the catalogue, `--only`,
`--family` and `--cheap` choose, `--honest N` adds honest nights, `--tables-of RUN` drills the recorded tables of a night of
yours with your own suites and asks no model. Everything runs in a store of its own under `SPAVL_HOME/drill`; a run that
holds a poisoned model is refused by `release`.

## Result

"""


def main() -> int:
    arguments = _arguments()
    folder = spavl_home() / "drill" / "gate"
    night = demo_night(folder / "night", "demo", (), _say)
    poisons = chosen(only_cheap=arguments.quick)
    honest = 2 if arguments.quick else arguments.honest
    score = run(Drill(folder, night, poisons, honest, arguments.time_limit), _say)
    for line in summary_lines(score):
        _say(line)
    if not arguments.quick:
        _keep(score)
    is_good = score.kill_rate.value >= MIN_KILL_RATE and score.false_alarms.value <= MAX_FALSE_ALARMS
    return 0 if is_good else 3


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="cheap poisons and two honest nights")
    parser.add_argument("--honest", type=int, default=20, help="honest nights (default: 20)")
    parser.add_argument("--time-limit", type=float, help="start nothing further after so many seconds")
    return parser.parse_args()


def _keep(score: Score) -> None:
    values = {"goal": {"kill_rate": MIN_KILL_RATE, "false_alarms": MAX_FALSE_ALARMS}, **to_json(score)}
    RESULTS.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", "utf-8")
    DOCUMENT.write_text(HEAD + markdown(score, REASONS), "utf-8")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
