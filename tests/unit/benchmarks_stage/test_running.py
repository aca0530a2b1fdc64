"""A benchmark in batches: a kill costs one of them, the joined log is whole, and Inspect leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spavl.artifacts.store import open_store
from spavl.errors import TryAgain
from spavl.inference import Answer, Sampling
from spavl.stages.benchmarks.collector import Collector
from spavl.stages.benchmarks.reading import results_of, uses_model

LOG, PARTS = "runs/r/benchmarks/logs/b--base.eval", "runs/r/benchmarks/parts/batches/x"


class Counting:
    """A model that says the number in the prompt, and may be away from some batch on."""

    name, revision = "counting", "1"

    def __init__(self, num_batches=99):
        self.asked = []
        self.num_batches = num_batches

    def answer(self, requests):
        requests = list(requests)
        if len(self.asked) == self.num_batches:
            raise TryAgain("the server is away.")
        self.asked.append(len(requests))
        for request in requests:
            yield Answer(request.id, request.prompt.split()[-1], "ok", prompt_tokens=1, completion_tokens=1)


def task_of(num_samples, solver=None):
    from inspect_ai import Task
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.scorer import match
    from inspect_ai.solver import generate

    # every third answer is right
    samples = [
        Sample(id=f"s{n}", input=f"say {n}", target=str(n) if n % 3 == 0 else "no number")
        for n in range(num_samples)
    ]
    return Task(dataset=MemoryDataset(samples), solver=solver or generate(), scorer=match())


def run(tmp_path, model, num_samples=10, **task):
    from spavl.stages.benchmarks.running import Bench, run_task

    store = open_store(f"file://{tmp_path / 'store'}")
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    judge = Collector(Counting(), 4, 0.05)
    bench = Bench(store, scratch, "base", Collector(model, 4, 0.05), judge, Sampling(max_tokens=4), True)
    return run_task(bench, "b", task_of(num_samples, **task), limit=10, parts=PARTS, path=LOG)


def test_batches_are_joined_to_one_log_with_its_metrics_computed_anew(tmp_path):
    from inspect_ai.log import read_eval_log

    model = Counting()
    run(tmp_path, model)
    assert model.asked == [4, 4, 2]
    log = read_eval_log(str(tmp_path / "store" / LOG))
    assert [sample.id for sample in log.samples] == [f"s{n}" for n in range(10)]
    assert log.results.total_samples == 10
    assert log.results.scores[0].metrics["accuracy"].value == pytest.approx(0.4)  # 0, 3, 6 and 9
    assert [result.values["match"] for result in results_of(log, 0.5)] == [n % 3 == 0 for n in range(10)]
    assert uses_model(log, "spavl/base") and not uses_model(log, "spavl/judge")


def test_what_is_done_is_not_asked_again_and_gives_the_same_results(tmp_path):
    stopped, undisturbed = tmp_path / "stopped", tmp_path / "undisturbed"
    stopped.mkdir()
    undisturbed.mkdir()
    whole = run(undisturbed, whole_model := Counting())
    with pytest.raises(TryAgain, match="the server is away"):
        run(stopped, Counting(num_batches=2))
    assert not open_store(f"file://{stopped / 'store'}").exists(LOG)
    again = Counting()
    resumed = run(stopped, again)
    assert again.asked == whole_model.asked[2:] == [2]
    assert results_of(resumed, 0.5) == results_of(whole, 0.5)


def test_a_sample_that_fails_is_an_error_of_that_sample_alone(tmp_path):
    from inspect_ai.solver import solver

    @solver
    def fails_on_the_first():
        async def solve(state, generate):
            if state.sample_id == "s0":
                raise ValueError("a secret prompt")
            return await generate(state)

        return solve

    log = run(tmp_path, Counting(), num_samples=3, solver=fails_on_the_first())
    errors = [result.values["error_rate"] for result in results_of(log, 0.5)]
    assert errors == [True, False, False]
    assert "match" not in results_of(log, 0.5)[0].values


PROGRAM = """
import sys, json
from pathlib import Path
from spavl.artifacts.store import open_store
from spavl.stages.benchmarks.collector import Collector
from spavl.stages.benchmarks.reading import results_of, to_json
from spavl.stages.benchmarks.running import Bench, run_task
from spavl.config import FakeModel
from spavl.inference import Sampling, open_model
from tests.unit.benchmarks_stage.test_running import LOG, PARTS, task_of

home = Path(sys.argv[1])
(home / "scratch").mkdir(exist_ok=True)
spec = FakeModel(kind="fake", name="f", replies=("0", "3", "6"), delay_s=float(sys.argv[2]))
with open_model(spec, "1") as model:
    bench = Bench(open_store(f"file://{home / 'store'}"), home / "scratch", "base", Collector(model, 2, 0.05), Collector(model, 2, 0.05), Sampling(), True)
    log = run_task(bench, "b", task_of(8), limit=8, parts=PARTS, path=LOG)
print("results:" + to_json(results_of(log, 0.5)))
"""


def process(home, delay_s, **environment):
    home.mkdir(exist_ok=True)
    root = Path(__file__).parents[3]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), *sys.path]), **environment}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(home), str(delay_s)], env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=environment.get("PWD", str(home)),
    )  # fmt: skip


def results(ended):
    out, err = ended.communicate(timeout=120)
    assert ended.returncode == 0, err[-3000:]
    return json.loads(out.split("results:")[1]), out + err


@pytest.mark.slow
@pytest.mark.xdist_group("killed")
def test_a_benchmark_killed_in_the_middle_ends_with_the_same_results(tmp_path):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    under_way = process(killed, 0.3)
    store = open_store(f"file://{killed / 'store'}")
    deadline = time.monotonic() + 100
    while len(store.names(PARTS)) < 2:
        assert under_way.poll() is None and time.monotonic() < deadline, under_way.communicate()
        time.sleep(0.01)
    under_way.send_signal(signal.SIGKILL)
    under_way.communicate()
    kept = sorted(store.names(PARTS))
    assert 2 <= len(kept) < 4 and not store.exists(LOG)
    before = {name: store.sha256_of(f"{PARTS}/{name}") for name in kept}
    resumed, _ = results(process(killed, 0))
    assert before == {name: store.sha256_of(f"{PARTS}/{name}") for name in kept}
    assert resumed == results(process(whole, 0))[0]


@pytest.mark.slow
def test_inspect_writes_nothing_into_the_home_or_the_working_folder_and_prints_no_prompt(tmp_path):
    home, folder = tmp_path / "home", tmp_path / "cwd"
    home.mkdir()
    folder.mkdir()
    (folder / ".env").write_text("INSPECT_LOG_DIR=./leaked\nINSPECT_EVAL_MAX_SAMPLES=1\n")
    _, printed = results(
        process(tmp_path / "run", 0, HOME=str(home), PWD=str(folder), INSPECT_LOG_DIR="./leaked-too")
    )
    left = [path for path in [*home.rglob("*"), *folder.rglob("*")] if path.is_file()]
    assert left == [folder / ".env"]
    assert "say 1" not in printed
