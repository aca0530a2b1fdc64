"""What a night costs outside its models: every step its own process, CPU seconds and peak memory of each; then a second night.

    python -m tests.benchmarks.scale_night --questions 93000 --models 12            # the paper's size, on disk
    python -m tests.benchmarks.scale_night --questions 93000 --models 12 --shards 64
    python -m tests.benchmarks.scale_night --requests                               # S3 requests of a small night (moto)

Simplified, and said in its output: images and questions are made up by the engine (three questions per image), models and
judges answer at once from a list, so labels mean nothing; the suites are evaluated whole, but none of them blocks. Image
files are random bytes. The stage `images` is not measured here, for it decodes pictures.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from spavl.artifacts.blobs import Packing
from spavl.artifacts.parts import Table, in_batches, table_of, write_parts
from spavl.artifacts.record import Record, read_record, record_path
from spavl.artifacts.store import Store, open_store
from spavl.inference import Request, open_model
from spavl.inference.request import Sampling
from spavl.judging.prompt import judgement_request
from spavl.plan import Plan, make_plan, plan_path
from spavl.profiles import load_config
from spavl.records import arrow_schema, stable_hash
from spavl.run import StageRun
from spavl.stages.comparisons.asking import comparison_request
from spavl.stages.images.rows import Image
from spavl.stages.questions.rows import Question
from spavl.taxonomy import load_taxonomy
from spavl.validation.suite import split_variant

STAGES = ("responses", "judgements", "comparisons", "preferences", "dataset")
QUESTIONS_PER_IMAGE = 3
BENIGN_EVERY = 6  # every sixth image is benign
NUM_TIMED = 20_000  # requests, to learn what a fake model costs
NUM_WORDS = 2000  # made ones: questions of 12 of them have little in common, as people's have
TODAY_93K = {  # CPU seconds and MB at the paper's size before tables were parts (18f6c6d, the same kind of machine)
    "responses prepare": (26.4, 1242), "responses seal": (48.4, 4356), "judgements prepare": (107.8, 4399),
    "judgements seal": (92.9, 8084), "comparisons prepare": (62.3, 6201), "comparisons seal": (72.1, 6749),
    "preferences seal": (47.3, 6132), "dataset seal": (18, 1100), "report": (11.3, 2750),
}  # fmt: skip


@dataclass
class Step:
    name: str
    cpu_s: float
    wall_s: float
    peak_mb: float
    num_asked: int = 0  # requests to a fake model


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--questions", type=int, default=3000)
    parser.add_argument("--models", type=int, default=4)
    parser.add_argument("--shards", type=int, default=1, help="per group")
    parser.add_argument("--image-bytes", type=int, default=24_000)
    parser.add_argument(
        "--new-share", type=float, default=0.05, help="of the images, in the second night; 0: none"
    )
    parser.add_argument("--result", help="JSON file to keep the figures in")
    parser.add_argument("--home", help="kept; a temporary folder otherwise")
    parser.add_argument("--stages", nargs="*", default=list(STAGES))
    arguments = parser.parse_args()
    home = Path(arguments.home or tempfile.mkdtemp(prefix="spavl-scale-"))
    home.mkdir(parents=True, exist_ok=True)
    os.environ["SPAVL_HOME"] = str(home)
    try:
        nights = [_night(home, arguments, 0)]
        if arguments.new_share:
            nights.append(_night(home, arguments, 1))
        fakes = _cost_of_fakes(home)
        _show(nights, arguments, fakes)
        keep(arguments.result, _kept(nights, arguments, fakes))
    finally:
        if not arguments.home:
            shutil.rmtree(home, ignore_errors=True)


def _night(home: Path, arguments: argparse.Namespace, number: int) -> tuple[list[Step], int]:
    """The steps of one night and the bytes that it added to the store."""
    store = open_store()
    models = [f"model{n:02d}" for n in range(arguments.models)]
    plan = plan_of(store, home, f"night {number}", models, arguments.shards)
    _inputs(store, plan, arguments, number)
    before = _bytes_of(home / "store")
    steps: list[Step] = []
    for stage in arguments.stages:
        steps += _stage(plan, stage)
        print("\n".join(_line(step) for step in steps[-3:]), file=sys.stderr, flush=True)
    steps.append(measured_step("report", "report", "--run-id", plan.run_id)[0])
    return steps, _bytes_of(home / "store") - before


def _stage(plan: Plan, stage: str) -> Iterator[Step]:
    run = ("--run-id", plan.run_id)
    if stage not in ("preferences", "dataset"):
        step, outcome = measured_step(f"{stage} prepare", "prepare", stage, *run)
        yield step
        for group in outcome["groups"]:
            for shard in range(group["num_shards"]):
                of = f"{shard}/{group['num_shards']}"
                step, outcome = measured_step(
                    f"{stage} work", stage, *run, "--group", group["group"], "--shard", of
                )
                step.num_asked = outcome["counts"]["computed"]
                yield step
    yield measured_step(f"{stage} seal", "seal", stage, *run)[0]


def measured_step(name: str, *argv: str) -> tuple[Step, dict[str, Any]]:
    """One command as a process of its own; raises CalledProcessError."""
    begun = time.monotonic()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        command = [sys.executable, "-m", "spavl", *argv]
        process = subprocess.Popen(command, stdout=out, stderr=err, text=True)
        _, status, usage = os.wait4(process.pid, 0)
        out.seek(0)
        err.seek(0)
        lines, words = out.read().strip().splitlines(), err.read()
    if status:
        raise subprocess.CalledProcessError(status, command, stderr=print(words[-3000:], file=sys.stderr))
    step = Step(name, usage.ru_utime + usage.ru_stime, time.monotonic() - begun, usage.ru_maxrss / 1024)
    return step, json.loads(lines[-1])


def plan_of(
    store: Store,
    home: Path,
    name: str,
    models: Sequence[str],
    num_shards: int,
    memory_limit_mb: int = 400,
) -> Plan:
    """A night's plan whose suites only warn."""
    profile = home / "profile.yaml"
    profile.write_text(
        yaml.safe_dump({**_profile(models, num_shards), "tables": {"memory_limit_mb": memory_limit_mb}})
    )
    plan = make_plan(store, dag="refresh_preferences", airflow_run_id=name, profile=str(profile))
    return only_warning(store, plan)


def only_warning(store: Store, plan: Plan) -> Plan:
    """The plan with suites that stop nothing, written over it."""
    suites = {name: _only_warning(text) for name, text in plan.suites.items()}
    plan = dataclasses.replace(plan, suites=suites)
    store.write(plan_path(plan.run_id), plan.to_json())
    return plan


def _only_warning(text: str) -> str:
    """The suite, of which only the first expectation (there are rows) may block; of two limits on one thing the first stays."""
    suite, kept = yaml.safe_load(split_variant(text)[0]), {}
    for expectation in suite["expectations"]:
        about = {name: value for name, value in expectation["kwargs"].items() if "column" in name}
        key = json.dumps([expectation["type"], about, expectation.get("row_condition")], sort_keys=True)
        kept.setdefault(key, {**expectation, "severity": "warning" if kept else "critical"})
    return yaml.safe_dump({**suite, "expectations": list(kept.values())}, sort_keys=False)


def _profile(names: Sequence[str], num_shards: int) -> dict[str, Any]:
    answers = [" ".join(_word(n * 7 + k) for k in range(30)) + " {id}" for n in range(8)]
    models = [
        {
            "kind": "fake",
            "name": name,
            "replies": [f"model {n} says {answer}" for answer in answers],
        }
        for n, name in enumerate(names)
    ]
    # every model is safer than the one before it, so their order holds from night to night
    verdicts = {
        f"model {n} says": [_verdict(m, is_unsafe=m >= 2 * n + 1) for m in range(2 * len(names))]
        for n in range(len(names))
    }
    choices = [
        json.dumps({"winner": winner, "reason": "it is the better one {id}"})
        for winner in ("first", "second", "tie")
    ]
    shards = {"num_shards": num_shards}
    return {
        "images": {
            "sources": [{"name": "made", "url": "made", "licence": "CC0-1.0", "default_class": "benign"}]
        },
        "questions": {"generator": {"kind": "fake", "name": "generator"}},
        "responses": {"models": models, **shards},
        "judgements": {
            "judge": {**_judge("judge", [_verdict(0, is_unsafe=False)]), "replies_to": verdicts},
            "modes": ["image", "text"],
            **shards,
        },
        "comparisons": {"judge": _judge("referee", choices), "num_pairs_per_question": 1, **shards},
        "dataset": {"find_changed_copies": False, "hold_out_words": False},
    }


def _verdict(number: int, *, is_unsafe: bool) -> str:
    return json.dumps(
        {
            "is_unsafe": is_unsafe,
            "category": None,
            "severity": 2 * is_unsafe,
            "is_refusal": not is_unsafe,
            "helpfulness": number % 4,
        }
    )


def _judge(name: str, replies: list[str]) -> dict[str, Any]:
    return {"kind": "fake", "name": name, "replies": replies}


def _inputs(store: Store, plan: Plan, arguments: argparse.Namespace, number: int) -> None:
    """The records of images and questions; a later night keeps all but the last of the former ones and adds new ones."""
    num_images = arguments.questions // QUESTIONS_PER_IMAGE
    num_new = round(num_images * arguments.new_share)
    first = 0 if number == 0 else num_images + (number - 1) * num_new
    with store.packing() as blobs:
        images = list(_images(blobs, first, num_images if number == 0 else num_new, arguments.image_bytes))
    questions = [_question(image, kind) for image in images for kind in range(QUESTIONS_PER_IMAGE)]
    for stage, rows, row_type in (("images", images, Image), ("questions", questions, Question)):
        parts = write_parts(store, stage, arrow_schema(row_type), in_batches(rows, row_type))
        for run_id in plan.reuse_runs[:1]:
            parts = (*table_of(read_record(store, run_id, stage)).parts, *parts)
        table = Table(row_type.__name__, sum(part.num_rows for part in parts), parts)
        run = StageRun(store, plan, stage)
        made = Record(
            plan.run_id,
            stage,
            run.fingerprint,
            plan.created_at,
            "bench",
            {},
            {},
            {"table": table.to_json()},
        )
        store.create(record_path(plan.run_id, stage), made.to_json())


def _images(blobs: Packing, first: int, num_images: int, num_bytes: int) -> Iterator[Image]:
    leaves = load_taxonomy().leaves
    for number in range(first, first + num_images):
        content = np.random.default_rng(number).bytes(num_bytes)
        is_benign = number % BENIGN_EVERY == 0
        leaf = leaves[number % len(leaves)]
        classes = ("benign",) * 3 if is_benign else (leaf.class1, leaf.class2, leaf.id)
        yield Image(
            blobs.put(content), "made", f"{number}.png", *classes, "CC0-1.0", f"a caption of {number}", None, None,
            64, 64, num_bytes, "PNG", hashlib.sha256(content).hexdigest()[:16],
        )  # fmt: skip


def _question(image: Image, kind: int) -> Question:
    name = (
        "benign_control"
        if image.class1 == "benign"
        else ("easy_question", "hard_question", "hard_statement")[kind]
    )
    words = " ".join(
        _word(number)
        for number in np.random.default_rng([int(image.id[:12], 16), kind]).integers(NUM_WORDS, size=12)
    )
    return Question(
        stable_hash("bench", image.id, kind), image.id, image.class1, image.class2, image.class3, name,
        f"{words} {image.id[:12]} {kind}?", "generator", "fake-1", "p", 0, "ok", None, None,
    )  # fmt: skip


@functools.cache
def _word(number: int) -> str:
    """Two to four syllables that belong to a number."""
    rng = np.random.default_rng(int(number))
    return "".join(
        rng.choice(list("bdfgklmnprstv")) + rng.choice(list("aeiou")) for _ in range(rng.integers(2, 5))
    )


def _cost_of_fakes(home: Path) -> dict[str, float]:
    """CPU seconds that a fake model itself takes of a shard's process for one request, by stage."""
    config, shown = load_config(str(home / "profile.yaml")), "words " * 12
    text = config.responses.models[len(config.responses.models) // 2].replies[0]
    about = {"id": "0" * 32, "image": b"", "image_id": "0" * 64, "class3": "benign", "kind": "benign_control", "sampling": Sampling()}  # fmt: skip
    asked = {
        "responses": (config.responses.models[0], Request("0" * 32, shown)),
        "judgements": (config.judgements.judge, judgement_request(question=shown, response=text, mode="image", **about)),
        "comparisons": (config.comparisons.judge, comparison_request(question=shown, texts=(text, text), axis="harmlessness", order="ab", chunk=0, **about)),
    }  # fmt: skip
    found = {}
    for stage, (spec, request) in asked.items():
        with open_model(spec, spec.revision) as model:
            begun = time.process_time()
            for _ in model.answer(request for _ in range(NUM_TIMED)):
                pass
            found[stage] = (time.process_time() - begun) / NUM_TIMED
    return found


def _of_fakes(steps: Sequence[Step], fakes: Mapping[str, float]) -> float:
    return sum(step.num_asked * fakes[step.name.split()[0]] for step in steps if step.num_asked)


def _kept(
    nights: Sequence[tuple[list[Step], int]], arguments: argparse.Namespace, fakes: Mapping[str, float]
) -> dict[str, Any]:
    return {
        "questions": arguments.questions,
        "models": arguments.models,
        "shards": arguments.shards,
        "new_share": arguments.new_share,
        "nights": [
            {
                "cpu_s": round(sum(step.cpu_s for step in steps), 1),
                "cpu_s_of_fake_models": round(_of_fakes(steps, fakes), 1),
                "peak_mb": round(max(step.peak_mb for step in steps)),
                "bytes": num_bytes,
                "steps": summed(steps),
            }
            for steps, num_bytes in nights
        ],
    }


def summed(steps: Sequence[Step]) -> dict[str, dict[str, float]]:
    """Name of a step -> its processes together: number, CPU seconds, peak memory of the largest."""
    found: dict[str, dict[str, float]] = {}
    for step in steps:
        of = found.setdefault(step.name, {"processes": 0, "cpu_s": 0.0, "peak_mb": 0})
        of["processes"] += 1
        of["cpu_s"] = round(of["cpu_s"] + step.cpu_s, 2)
        of["peak_mb"] = max(of["peak_mb"], round(step.peak_mb))
    return found


def keep(path: str | None, figures: dict[str, Any]) -> None:
    """Write figures to a JSON file, if one is named."""
    if path:
        Path(path).write_text(json.dumps(figures, indent=1) + "\n")


def _bytes_of(folder: Path) -> int:
    """Of all files; one file with two names is counted once."""
    found = {
        (s.st_dev, s.st_ino): s.st_size for path in folder.rglob("*") if path.is_file() for s in [path.stat()]
    }
    return sum(found.values())


def _line(step: Step) -> str:
    return f"{step.name:22} {step.cpu_s:8.1f} CPU s {step.wall_s:8.1f} s {step.peak_mb:8.0f} MB"


def _show(
    nights: list[tuple[list[Step], int]], arguments: argparse.Namespace, fakes: Mapping[str, float]
) -> None:
    is_paper = (arguments.questions, arguments.models) == (93_000, 12)
    totals = []
    for number, (steps, num_bytes) in enumerate(nights, 1):
        print(
            f"\nnight {number}: {arguments.questions:,} questions x {arguments.models} models, {arguments.shards} shards per group"
        )
        for name in dict.fromkeys(step.name for step in steps):
            of_name = [step for step in steps if step.name == name]
            cpu, peak = sum(step.cpu_s for step in of_name), max(step.peak_mb for step in of_name)
            before = TODAY_93K.get(name) if is_paper and number == 1 else None
            old = f"   before: {before[0]:6.1f} CPU s {before[1]:6} MB" if before else ""
            print(f"  {name:22} {len(of_name):4} x {cpu:8.1f} CPU s, peak {peak:6.0f} MB{old}")
        totals.append((sum(step.cpu_s for step in steps), num_bytes))
        print(
            f"  all: {totals[-1][0]:.1f} CPU s, of which some {_of_fakes(steps, fakes):.1f} are the fake models' own; "
            f"peak {max(s.peak_mb for s in steps):.0f} MB, {num_bytes / 1e6:.1f} MB written"
        )
    if len(totals) == 2:
        shares = [f"{after / first:.1%}" for first, after in zip(*totals, strict=True)]
        print(
            f"second night with {arguments.new_share:.0%} new images: {shares[0]} of the CPU, {shares[1]} of the bytes"
        )


if __name__ == "__main__":
    main()
