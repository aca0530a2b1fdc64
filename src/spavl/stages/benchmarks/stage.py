"""Benchmarks: Inspect tasks of the profile put to base and aligned model; `seal` scores them and looks for attacks in train."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from spavl.artifacts.record import stage_folder
from spavl.config.portable import home_free
from spavl.contestants import contestant, contestant_revision
from spavl.inference.request import Sampling
from spavl.judging import prompt_hash
from spavl.records import stable_hash
from spavl.stage import Answered, Chunk, Sealed, StageContext, WorkItem
from spavl.stages.benchmarks import reading
from spavl.stages.benchmarks.config import BenchmarkTask
from spavl.stages.benchmarks.material import BENIGN_SPLIT, HARM_SPLIT, Material, using
from spavl.stages.benchmarks.resolving import family_of, make_task, task_version
from spavl.stages.benchmarks.roles import judge_spec, roles
from spavl.stages.benchmarks.rows import BenchmarkRun
from spavl.stages.benchmarks.scoring import attack_contents, in_train, score_runs
from spavl.stages.benchmarks.wording import text_hash
from spavl.version_rows import rows_of_splits, train_questions

if TYPE_CHECKING:
    from spavl.stages.benchmarks.running import Bench

PART = BenchmarkRun
STAGE = "benchmarks"


def prepare(context: StageContext) -> list[WorkItem]:
    """One item per model and benchmark; raises UserError if a task is not there or there is no judge."""
    judge_spec(context)
    return [
        WorkItem(_item_id(context, role, task), role, {"benchmark": task.name})
        for role in roles(context)
        for task in context.config.benchmarks.tasks
    ]


def work(context: StageContext, group: str, chunks: Iterator[Chunk]) -> Iterator[BenchmarkRun]:
    """The benchmarks of one model, `group` being base or aligned."""
    from spavl.inference import open_model
    from spavl.stages.benchmarks.collector import Collector
    from spavl.stages.benchmarks.resolving import check_tasks
    from spavl.stages.benchmarks.running import Bench

    section, judge = context.config.benchmarks, judge_spec(context)
    check_tasks(section.tasks)
    with (
        open_model(
            contestant(context, group, section.batch_size), contestant_revision(context, group)
        ) as model,
        open_model(judge, context.revision(judge.name)) as judging,
    ):
        asked = (Collector(opened, section.batch_size, section.max_wait_s) for opened in (model, judging))
        sampling = Sampling(temperature=0.0, max_tokens=section.max_tokens, seed=section.seed)
        bench = Bench(context.store, context.scratch, group, *asked, sampling, section.log_images)
        for chunk in chunks:
            for item in chunk.items:
                yield _run(context, bench, item)


def seal(context: StageContext, answered: Answered) -> Sealed:
    """The scores; the runner keeps the runs beside them, and the logs lie in the stage's folder `logs`."""
    runs = [_with_log_here(context, run) for run in answered.rows()]
    found = in_train(runs, _in_train(context, attack_contents(runs)))
    missing = {run.benchmark for run in runs if run.outcome != "ok" or not context.store.exists(run.log)}
    missing |= {task.name for task in context.config.benchmarks.tasks} - {run.benchmark for run in runs}
    print(f"benchmarks: {len(runs)} logs; `inspect view start --log-dir {context.store.url_of(_logs(context))}` shows them", file=sys.stderr)  # fmt: skip
    return Sealed(
        rows=score_runs(runs),
        counts=_counts(runs),
        details=_details(context, runs),
        measures={
            "num_benchmarks_missing": float(len(missing)),
            "num_attack_prompts_in_train": float(len(found)),
        },
    )


def _run(context: StageContext, bench: Bench, item: WorkItem) -> BenchmarkRun:
    from spavl.stages.benchmarks.running import run_task

    (task,) = (task for task in context.config.benchmarks.tasks if task.name == item.payload["benchmark"])
    path = f"{_logs(context)}/{task.name}--{item.group}.eval"
    parts = f"{stage_folder(context.run_id, STAGE)}/parts/batches/{item.id}"
    with using(_material(context, task)):
        made = make_task(task)
    log = run_task(bench, task.name, made, limit=task.limit, parts=parts, path=path)
    results = reading.results_of(log, task.hit_from)
    num_errors = sum(bool(result.values[reading.ERROR_RATE]) for result in results)
    judge, judge_revision = _scored_by(context, log)
    return BenchmarkRun(
        id=item.id, benchmark=task.name, family=family_of(task), task=task.task, model=item.group, model_revision=contestant_revision(context, item.group),
        judge=judge, judge_revision=judge_revision, log=path, num_samples=len(results), num_errors=num_errors, samples=reading.to_json(results),
        outcome="ok" if num_errors < len(results) else "error",
    )  # fmt: skip


def _scored_by(context: StageContext, log: Any) -> tuple[str, str]:
    from spavl.stages.benchmarks.provider import PROVIDER
    from spavl.stages.benchmarks.running import JUDGE, versions

    if reading.uses_model(log, f"{PROVIDER}/{JUDGE}"):
        judge = judge_spec(context)
        return judge.name, context.revision(judge.name)
    return "inspect", versions()["inspect_ai"]


def _material(context: StageContext, task: BenchmarkTask) -> Material:
    return Material(
        rows=rows_of_splits(context, HARM_SPLIT, BENIGN_SPLIT),
        read_image=context.store.get_blob,
        folder=context.scratch / "images",
        limit=task.limit,
        seed=context.config.benchmarks.seed,
        train=lambda: train_questions(context),
    )


def _item_id(context: StageContext, role: str, task: BenchmarkTask) -> str:
    """Everything that decides a run, so that an earlier night's can stand for it."""
    section, judge = context.config.benchmarks, judge_spec(context)
    asked = (
        home_free(task.model_dump(mode="json"), context.home),
        task_version(task),
        family_of(task),
        context.record("dataset").fingerprint,
    )
    answered = (
        role,
        contestant_revision(context, role),
        section.max_tokens,
        section.seed,
        section.batch_size,
    )
    judged = (judge.name, context.revision(judge.name), prompt_hash("image"), prompt_hash("text"))
    return stable_hash(STAGE, asked, answered, judged)


def _with_log_here(context: StageContext, run: BenchmarkRun) -> BenchmarkRun:
    """The run with its log in this run's folder: a run of an earlier night has it in that night's."""
    import dataclasses

    path = f"{_logs(context)}/{run.benchmark}--{run.model}.eval"
    if run.log != path and context.store.exists(run.log):
        context.store.write(path, context.store.read(run.log))
    return dataclasses.replace(run, log=path)


def _in_train(context: StageContext, looked_for: set[str]) -> set[str]:
    """Those of the images' ids and questions' hashes that training has seen."""
    found: set[str] = set()
    for asked in train_questions(context):
        found |= looked_for & {asked.image_id, text_hash(asked.question)}
    return found


def _counts(runs: list[BenchmarkRun]) -> dict[str, int]:
    return {
        "benchmarks": len({run.benchmark for run in runs}),
        "samples": sum(run.num_samples for run in runs),
        "errors": sum(run.num_errors for run in runs),
    }


def _details(context: StageContext, runs: list[BenchmarkRun]) -> dict[str, Any]:
    store, judge = context.store, judge_spec(context)
    files = {
        run.log.rpartition("/")[2]: {"sha256": store.sha256_of(run.log), "num_bytes": store.size(run.log)}
        for run in runs
        if store.exists(run.log)
    }
    return {
        "folders": {"logs": {"path": _logs(context), "files": files}},
        "judge": {"name": judge.name, "kind": judge.kind, "revision": context.revision(judge.name)},
        "judge_prompt_hash": prompt_hash("image"),
        "models": {role: contestant_revision(context, role) for role in roles(context)},
    }


def _logs(context: StageContext) -> str:
    return f"{stage_folder(context.run_id, STAGE)}/logs"
