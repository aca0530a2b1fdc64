"""One benchmark put to one model by Inspect, batch after batch, into one log; a killed one goes on with the next batch.

Each batch of samples is an evaluation of its own whose log is kept in the store at once, so a restart asks only for batches that
have none, and a batch has the same members every time. At the end the logs are joined to one, as Inspect itself would have
written it.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spavl.artifacts.store import Store
from spavl.errors import UserError
from spavl.inference.request import Sampling
from spavl.stages.benchmarks.collector import Collector

if TYPE_CHECKING:
    from inspect_ai import Task
    from inspect_ai.log import EvalLog

JUDGE = "judge"
JUDGE_MAX_TOKENS = 512


@dataclass(frozen=True)
class Bench:
    """What every benchmark of one model shares."""

    store: Store
    scratch: Path  # local, of this process
    role: str
    model: Collector
    judge: Collector
    sampling: Sampling  # of the model's answers, if a task sets none
    log_images: bool

    @property
    def judge_sampling(self) -> Sampling:
        return Sampling(temperature=0.0, max_tokens=JUDGE_MAX_TOKENS, seed=self.sampling.seed)


def run_task(bench: Bench, name: str, task: Task, *, limit: int, parts: str, path: str) -> EvalLog:
    """Ask all samples up to `limit` and write the log to `path` of the store; `parts` is the folder of the batches' logs.

    Raises what no prompt can survive, and UserError if the task itself breaks.
    """
    num_samples, batch_size = min(limit, len(task.dataset)), bench.model.max_batch
    with _inspect_to_itself(bench.scratch / "inspect"):
        kept = []
        for start in range(0, num_samples, batch_size):
            kept.append(f"{parts}/{start:06d}.eval")
            if not bench.store.exists(kept[-1]):
                stop = min(start + batch_size, num_samples)
                bench.store.write(kept[-1], _evaluated(bench, name, task, start, stop).read_bytes())
        joined = join([_read(bench, part) for part in kept])
        bench.store.write(path, bench.store.read(kept[0]) if len(kept) == 1 else _written(bench, joined))
    return joined


def _evaluated(bench: Bench, name: str, task: Task, start: int, stop: int) -> Path:
    """The log of these samples, a local file."""
    from inspect_ai import eval as evaluate

    from spavl.stages.benchmarks.provider import opened_as

    with (
        opened_as(bench.role, bench.model, bench.sampling) as model,
        opened_as(JUDGE, bench.judge, bench.judge_sampling) as judge,
    ):
        (log,) = evaluate(
            task, model=model, model_roles={JUDGE: judge}, limit=(start, stop), max_samples=stop - start, tags=[name],
            log_dir=str(bench.scratch / "logs"), log_format="eval", log_images=bench.log_images, log_realtime=False, log_level="critical",
            display="none", score_display=False, fail_on_error=False, ctl_server=False, acp_server=False, trace=False,
        )  # fmt: skip
    if failure := bench.model.failure or bench.judge.failure:
        raise failure
    if log.status != "success":
        seen = log.error.message.splitlines()[0].partition("(")[0] if log.error else log.status
        raise UserError(f"benchmark {name!r}: its task ended with {seen}.", next_step="Mend the task; `inspect eval` shows where it breaks.")  # fmt: skip
    return Path(log.location.removeprefix("file://"))


def join(logs: Sequence[EvalLog]) -> EvalLog:
    """One log of all samples, its metrics computed anew."""
    from inspect_ai.log import recompute_metrics

    whole = logs[0]
    if len(logs) > 1:
        whole.samples = [sample for log in logs for sample in log.samples or ()]
        whole.eval.config.limit = None
        whole.eval.dataset.sample_ids = list(dict.fromkeys(sample.id for sample in whole.samples))
        whole.stats.completed_at = logs[-1].stats.completed_at
        for log in logs[1:]:
            for model, usage in log.stats.model_usage.items():
                former = whole.stats.model_usage.get(model)
                whole.stats.model_usage[model] = former + usage if former else usage
        recompute_metrics(whole)
    return whole


def _read(bench: Bench, path: str) -> EvalLog:
    from inspect_ai.log import read_eval_log

    local = bench.scratch / "kept.eval"
    local.write_bytes(bench.store.read(path))
    return read_eval_log(str(local))


def _written(bench: Bench, log: EvalLog) -> bytes:
    from inspect_ai.log import write_eval_log

    local = bench.scratch / "whole.eval"
    write_eval_log(log, str(local))
    return local.read_bytes()


@contextlib.contextmanager
def _inspect_to_itself(folder: Path) -> Iterator[None]:
    """Inside, Inspect writes its traces into `folder` (its default is below the home folder), reads no `.env` and reports nowhere.

    Its handlers of logging and of uncaught errors are taken away again: they print what a sample says.
    """
    root, former_hook = logging.getLogger(), sys.excepthook
    handlers, level = list(root.handlers), root.level
    with _environment(folder), _installed_packages_read_once():
        try:
            yield
        finally:
            root.handlers[:], sys.excepthook = handlers, former_hook
            root.setLevel(level)


@contextlib.contextmanager
def _installed_packages_read_once() -> Iterator[None]:
    """Inside, Inspect's list of installed packages is kept: it reads all of their files for every evaluation, half a second each."""
    from inspect_ai._util import package

    former = getattr(package, "packages_distributions", None)
    if former is None:  # another version of Inspect, which may be quicker
        yield
        return
    package.packages_distributions = _installed_packages
    try:
        yield
    finally:
        package.packages_distributions = former


@functools.cache
def _installed_packages() -> Any:
    from importlib.metadata import packages_distributions

    return packages_distributions()


@contextlib.contextmanager
def _environment(folder: Path) -> Iterator[None]:
    former = dict(os.environ)
    for name in [name for name in former if name.startswith("INSPECT_")]:
        del os.environ[name]  # INSPECT_TELEMETRY, INSPECT_LOG_DIR, INSPECT_EVAL_…: the profile decides
    folder.mkdir(parents=True, exist_ok=True)
    os.environ |= {"XDG_DATA_HOME": str(folder), "PYTHON_DOTENV_DISABLED": "1"}
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(former)


def versions() -> dict[str, Any]:
    """What Inspect's own scorers are named by."""
    import importlib.metadata

    return {"inspect_ai": importlib.metadata.version("inspect_ai")}
