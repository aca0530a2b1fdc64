"""The whole line for tests: a profile over drawn pictures, and the command line as a user starts it, as processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from spavl import run as steps
from spavl.artifacts.engine import small_engine
from spavl.artifacts.parts import table_from_json
from spavl.artifacts.store import Store, open_store
from spavl.outcome import Outcome, parse
from spavl.pipeline import BY_NAME
from spavl.plan import read_plan

NAMED = ("red circle", "blue square", "green star", "black ring", "cyan moon", "purple bar")
SURE = tuple(f"sure, PLACEHOLDER {words}." for words in NAMED)
SORRY = tuple(
    f"sorry, {words}."
    for words in ("not this", "no help with that", "i will not", "i would rather not", "never", "not for me")
)
STAND_INS = {  # fake models that comply less and less, as shares of their replies; in more than a word or two, as models do
    "bold": SURE,
    "frank": SURE + SORRY[:3],
    "wary": SURE[:3] + SORRY,
    "timid": SORRY * 4 + SURE,
}


def write_profile(
    folder: Path, *, num_per_leaf: int = 2, num_per_benign: int = 7, night: int = 1, **sections: Any
) -> Path:
    """A profile of fake answerers and the demo's rules over drawn pictures; sections given here replace keys one level deep."""
    from spavl.demo.picture_folder import Batch, draw_folder

    draw_folder(folder / "images", Batch(num_per_leaf, num_per_benign), Batch(0, 1), night)
    source = {"name": "drawings", "url": str(folder / "images"), "table": "images.csv", "licence": "CC0-1.0"}
    source["columns"] = {"file": "{file}", "label": "label", "caption": "caption"}
    models = [{"kind": "fake", "name": name, "replies": list(replies)} for name, replies in STAND_INS.items()]
    values: dict[str, Any] = {
        "expectations": "demo",  # the drawings' questions have the demo's ten wordings
        "images": {"sources": [source]},
        "questions": {"generator": {"kind": "demo_rules"}, "num_benign_controls": 4},
        "responses": {"models": models},
        "judgements": {
            "judge": {"kind": "demo_rules"},
            "gold": {"set": "demo", "num_per_behaviour": 20, "num_pairs_per_axis": 40},
        },
        "comparisons": {"judge": {"kind": "demo_rules"}},
    }
    for name, section in sections.items():
        values[name] = {**values.get(name, {}), **section}
    path = folder / "profile.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def environment(home: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "SPAVL_HOME": str(home), "OMP_NUM_THREADS": "1", **more}


def spavl(home: Path, *argv: str, expect: int = 0, timeout_s: float = 240, **more: str) -> Outcome:
    """Run one command to its end and return its outcome; asserts the exit code, showing what the command said."""
    command = [sys.executable, "-m", "spavl", *argv]
    finished = subprocess.run(
        command, env=environment(home, **more), capture_output=True, text=True, timeout=timeout_s, check=False
    )
    assert finished.returncode == expect, (
        f"{argv} ended with {finished.returncode}, not {expect}:\n{finished.stdout[-2000:]}\n{finished.stderr[-6000:]}"
    )
    outcome = parse(finished.stdout.strip().splitlines()[-1])
    assert outcome is not None
    return outcome


def run_here(home: Path, run_id: str, *stages: str) -> None:
    """All steps of stages in this process: the same functions as the command line, without paying its imports each time."""
    store = store_of(home)
    plan = read_plan(store, run_id)
    for stage in stages:
        for group in steps.prepare(store, plan, stage).groups if BY_NAME[stage].is_sharded else []:
            for shard in range(group["num_shards"]):
                steps.work(store, plan, stage, group["group"], shard, group["num_shards"])
        steps.seal(store, plan, stage)


def kill_when(home: Path, argv: list[str], has_begun: Any, timeout_s: float = 120) -> None:
    """Start a command and SIGKILL it as soon as `has_begun()` is true; asserts that it was still at work."""
    process = subprocess.Popen(
        [sys.executable, "-m", "spavl", *argv],
        env=environment(home),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + timeout_s
    try:
        while not has_begun():
            assert process.poll() is None, f"{argv} ended with {process.returncode} before it could be killed"
            assert time.monotonic() < deadline, f"{argv} did not begin in {timeout_s} s"
            time.sleep(0.002)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL, f"{argv} was done before it could be killed"


def store_of(home: Path) -> Store:
    return open_store(f"file://{home / 'store'}")


def record_of(home: Path, run_id: str, stage: str) -> dict[str, Any]:
    return json.loads(store_of(home).read(f"runs/{run_id}/{stage}/record.json"))


def rows_of(home: Path, run_id: str, stage: str, table: str = "table") -> list[dict[str, Any]]:
    store = store_of(home)
    recorded = table_from_json(record_of(home, run_id, stage)["tables"][table])
    with small_engine(store) as engine:
        return engine.relation_of(recorded, is_ordered=True).to_arrow_table().to_pylist()
