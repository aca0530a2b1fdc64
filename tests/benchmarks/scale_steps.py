"""Single steps at several times the paper's size: CPU seconds and peak memory of each step's own process, on made tables.

    python -m tests.benchmarks.scale_steps --times 1 10

At 10 times: 930,000 questions, 12 models, 11,160,000 responses, 22,320,000 judgements, 3,720,000 comparison rows. A whole night
of that size takes an hour of CPU, most of it in shards, which are as small as one likes; what must hold is that the steps that
are one process do: `prepare` of every stage that asks a model, the seal of `preferences`, and the report.

Simplified, and said here: the tables are made by the engine and say nothing; suites only warn.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.scale_night import Step, keep, measured_step, plan_of, summed
from tests.benchmarks.scale_tables import Size, write_tables

from spavl.artifacts.store import open_store

STEPS = ("responses prepare", "judgements prepare", "comparisons prepare", "preferences seal", "report")
LIMIT_MB, LIMIT_MB_BEYOND = (
    400,
    1200,
)  # of the engine (`tables.memory_limit_mb`): the default, and for more than the paper's size
READS = {  # step -> tables that must be there; the step's own stage has no record then
    "responses prepare": ("images", "questions"),
    "judgements prepare": ("responses",),
    "comparisons prepare": ("judgements",),
    "preferences seal": ("comparisons",),
    "report": (),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, nargs="+", default=[1, 10], help="of 93,000 questions")
    parser.add_argument("--shards", type=int, default=64, help="per group")
    parser.add_argument("--steps", nargs="*", default=list(STEPS), choices=STEPS)
    parser.add_argument("--result", help="JSON file to keep the figures in")
    arguments = parser.parse_args()
    found = {times: _measure(times, arguments.shards, arguments.steps) for times in arguments.times}
    print(f"{'':20} " + " ".join(f"{93_000 * times:>12,} questions" for times in found))
    for name in arguments.steps:
        cells = (next(step for step in steps if step.name == name) for steps in found.values())
        print(f"{name:20} " + " ".join(f"{_cell(step):>23}" for step in cells))
    done = {times: [step for step in steps if not math.isnan(step.cpu_s)] for times, steps in found.items()}
    keep(arguments.result, {f"{93_000 * times} questions": summed(steps) for times, steps in done.items()})


def _measure(times: int, num_shards: int, names: list[str]) -> list[Step]:
    home = Path(tempfile.mkdtemp(prefix="spavl-scale-"))
    os.environ["SPAVL_HOME"] = str(home)
    try:
        size = Size(num_images=31_000 * times)
        store = open_store()
        plan = plan_of(
            store, home, "steps", size.models, num_shards, LIMIT_MB if times == 1 else LIMIT_MB_BEYOND
        )
        steps = []
        for name in STEPS[: max(map(STEPS.index, names)) + 1]:
            if READS[name]:
                write_tables(store, plan.run_id, size, *READS[name])
            if name in names:
                step, stage = name.split()[-1], name.split()[0]
                argv = (step, stage) if stage != "report" else ("report",)
                steps.append(_measured(name, *argv, "--run-id", plan.run_id))
                print(steps[-1], file=sys.stderr, flush=True)
        return steps
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _measured(name: str, *argv: str) -> Step:
    """The step; without figures if it failed, whose words are on standard error then."""
    try:
        return measured_step(name, *argv)[0]
    except subprocess.CalledProcessError:
        return Step(name, math.nan, math.nan, math.nan)


def _cell(step: Step) -> str:
    return "failed" if math.isnan(step.cpu_s) else f"{step.cpu_s:9.1f} CPU s {step.peak_mb:5.0f} MB"


if __name__ == "__main__":
    main()
