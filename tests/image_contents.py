"""What an image holds, found out without building it; and a process that has no more than that.

As a program: `python -m tests.image_contents FOLDER`: prepare and seal of every stage with the packages of the image `data`
alone; one line of JSON, stage to its number of sealed rows. Stages whose `work` needs torch get made-up rows.
"""

from __future__ import annotations

import importlib.abc
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def dockerfile(name: str) -> list[str]:
    """The instructions of an image's Dockerfile, one a line, without comments."""
    text = (ROOT / "containers" / name / "Dockerfile").read_text("utf-8")
    text = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    return [line.strip() for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def extras_of(name: str) -> set[str]:
    """The package's extras that an image installs."""
    (words,) = re.findall(r"requirements\.py ([\w ]+) >", "\n".join(dockerfile(name)))
    return set(words.split())


def printed_requirements(*extras: str) -> list[str]:
    """What `tools/requirements.py` prints."""
    command = [sys.executable, "tools/requirements.py", *extras]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()


NOT_HERE = {
    "torchvision",
    "num2words",
}  # of the extra `vision`, which a CPU build of torch may not have beside it


def distributions(name: str) -> set[str]:
    """Names of all distributions of an image, followed through what is installed here (torchvision is not)."""
    from packaging.requirements import Requirement

    todo = [Requirement(line) for line in printed_requirements(*sorted(extras_of(name)))]
    seen: set[tuple[str, frozenset[str]]] = set()
    while todo:
        wanted = todo.pop()
        key = (_canonical(wanted.name), frozenset(wanted.extras))
        if key in seen:
            continue
        seen.add(key)
        for line in _requires(wanted.name):
            follows = Requirement(line)
            extras = {"", *wanted.extras}
            if follows.marker is None or any(follows.marker.evaluate({"extra": extra}) for extra in extras):
                todo.append(follows)
    return {name for name, _ in seen}


def _requires(name: str) -> list[str]:
    try:
        return metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        assert name in NOT_HERE, f"{name} is not installed"
        return []


def hide_all_but(kept: set[str]) -> None:
    """From now on this process neither imports nor finds any installed distribution but these (and spavl)."""
    owners = metadata.packages_distributions()
    hidden = {
        module for module, names in owners.items() if not {_canonical(name) for name in names} & kept
    } - {"spavl", "tests"}
    sys.meta_path.insert(0, _Hidden(hidden))
    find = metadata.Distribution.from_name

    def from_name(cls: type, name: str) -> metadata.Distribution:
        if _canonical(name) not in kept:
            raise metadata.PackageNotFoundError(name)
        return find(name)

    metadata.Distribution.from_name = classmethod(from_name)  # type: ignore[method-assign]


class _Hidden(importlib.abc.MetaPathFinder):
    def __init__(self, modules: set[str]) -> None:
        self._modules = modules

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> None:
        if fullname.partition(".")[0] in self._modules:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main(argv: Sequence[str]) -> int:
    hide_all_but(distributions("data"))
    folder = Path(argv[0])
    counts = {**_refreshed(folder / "refresh"), **_trained(folder), **_evaluated_and_released(folder)}
    print(json.dumps(counts))
    return 0


def _refreshed(folder: Path) -> dict[str, int]:
    """The stages of the nightly refresh; their models are fakes and the demo's rules."""
    from tests.benchmarks.in_memory_line import InMemoryLine
    from tests.line import write_profile

    from spavl.pipeline import DAGS
    from spavl.profiles import load_config

    folder.mkdir(parents=True)
    line = InMemoryLine(
        load_config(str(write_profile(folder, num_per_leaf=1, num_per_benign=3))), folder, "20260101-test"
    )
    return {stage: len(line.run(stage).rows) for stage in DAGS["refresh_preferences"]}


def _trained(folder: Path) -> dict[str, int]:
    """`reward` and `training`; what their `work` leaves in the store is made up."""
    from tests.sealing import seal_rows
    from tests.toy_reward import reward_context
    from tests.toy_training import toy_context

    from spavl.artifacts.record import stage_folder
    from spavl.learning.leaving import leave_in_store
    from spavl.stages.reward import stage as reward
    from spavl.stages.training import stage as training
    from spavl.stages.training.rows import TrainingMetric

    counts = {}
    base = _model_folder(folder / "base")
    for module, context in (
        (reward, reward_context(folder / "reward", base)),
        (training, toy_context(folder / "training", base)),
    ):
        (item,) = module.prepare(context)
        where = stage_folder(context.run_id, context.stage)
        leave_in_store(context.store, where, {"model": base}, {"steps": 1}, {"packages": {"torch": "2"}})
        row = TrainingMetric(item.id, 1, 1.0, "loss", 0.5)
        counts[context.stage] = len(seal_rows(module, context, [row]).rows)
    return counts


def _evaluated_and_released(folder: Path) -> dict[str, int]:
    """`evaluation` and `release`; the answers of the models are made up."""
    from tests.sealing import seal_rows
    from tests.stage_context import FakeContext
    from tests.toy_training import toy_context

    from spavl.config.root import Config
    from spavl.judging.gold import keep_gold
    from spavl.stages.benchmarks import stage as benchmarks
    from spavl.stages.benchmarks.rows import BenchmarkRun
    from spavl.stages.evaluation import stage as evaluation
    from spavl.stages.evaluation.rows import EvaluationAnswer
    from spavl.stages.judgements.rows import GoldItem
    from spavl.stages.release import stage as release

    toy = toy_context(folder / "aligned", folder / "base")
    model = {
        "path": "runs/r/training/model",
        "files": toy.store.upload(folder / "base", "runs/r/training/model"),
    }
    config = Config.model_validate({
        "profile": "test",
        "training": toy.config.training.model_dump(exclude_unset=True),
        "evaluation": {"judge": {"kind": "demo_rules"}},
    })  # fmt: skip
    dataset = [_held_out(0, "test_harm"), _held_out(1, "test_help")]
    records = {
        stage: _record(stage, config, model) for stage in ("dataset", "training", "evaluation", "benchmarks")
    }
    context = FakeContext(config, toy.store, "evaluation", {"dataset": dataset}, records)
    keep_gold(toy.store, "r", "judgements", [], GoldItem)
    prompts = {row.question_id: row for row in dataset}
    answers = []
    for item in evaluation.prepare(context):
        prompt = prompts[item.payload["question_id"]]
        benchmark = "held_out_benign" if prompt.is_benign else "held_out_harm"
        answers.append(EvaluationAnswer(
            item.id, prompt.question_id, "i", prompt.class1, prompt.class3, prompt.kind, benchmark, item.group, "r",
            item.payload["decoding"], "j", "j1", "", "ok", None, False, True, 1, "{}",
        ))  # fmt: skip
    scores = seal_rows(evaluation, context, answers).rows
    context.stage, log = "benchmarks", "runs/r/benchmarks/logs/made-up--aligned.eval"
    toy.store.write(log, b"no log")
    sample = json.dumps([{"id": "s", "cluster": "i", "values": {"unsafe_rate": False}, "contents": []}])
    run = BenchmarkRun(
        "b", "made-up", "attack", "spavl/role_play", "aligned", "r", "j", "j1", log, 1, 0, sample, "ok"
    )
    num_benchmark_scores = len(seal_rows(benchmarks, context, [run]).rows)
    context.stage, context.rows_by_stage = "release", {"evaluation": scores}
    return {
        "evaluation": len(scores),
        "benchmarks": num_benchmark_scores,
        "release": len(seal_rows(release, context, []).rows),
    }


def _record(stage: str, config: Any, model: dict[str, Any]) -> Any:
    from spavl.artifacts.record import Record

    section = getattr(config, stage).model_dump(mode="json")
    passed = {"suite": stage, "sha256": "ab" * 32, "passed": True, "num_rows": 2, "results": []}
    return Record(
        "r", stage, "f", "2026-01-01T00:00:00Z", "0", section, {}, {}, folders={"model": model}, check=passed
    )


def _held_out(number: int, split: str) -> Any:
    from spavl.stages.dataset.rows import DatasetRow

    is_benign = split == "test_help"
    classes = ("benign",) * 3 if is_benign else ("representation_toxicity_harms", "toxic", "insult")
    kind = "benign_control" if is_benign else "easy_question"
    return DatasetRow(
        f"q{number}", split, "i", "i", f"q{number}", "what is shown here", None, None, *classes, kind, is_benign,
        None, None, None, None, None,
    )  # fmt: skip


def _model_folder(folder: Path) -> Path:
    """Files that a model would have; nobody who plans, prepares or seals opens them."""
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"no weights")
    (folder / "config.json").write_text("{}")
    return folder


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
