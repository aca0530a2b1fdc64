"""Which Inspect task a name of the profile means: found without Inspect when a run is planned, made with it when it runs."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.metadata
import importlib.util
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spavl.errors import UserError
from spavl.records import stable_hash
from spavl.stages.benchmarks.config import BenchmarkTask
from spavl.stages.benchmarks.layouts import CHECKS

if TYPE_CHECKING:
    from inspect_ai import Task

OWN = "spavl"
FAMILIES = {  # task -> family
    "typed_in_image": "attack",
    "refusal_suppression": "attack",
    "role_play": "attack",
    "noise_suffix": "attack",
    "one_word_twins": "attack",
    "low_resolution": "attack",
    "alarming_words": "over_refusal",
    "alarming_image": "over_refusal",
    "one_word_benign": "over_refusal",
    "shapes_and_colours": "capability",
    "figstep": "attack",
    "mm_safetybench": "attack",
    "vlsbench": "attack",
    "siuo": "attack",
    "siuo_choices": "capability",
    "mossbench": "over_refusal",
    "xstest": "over_refusal",
    "mmmu": "capability",
}
_MODULES = {"attack": "attacks", "over_refusal": "over_refusal", "capability": "capability"}
VERSION = "1"  # of the shipped tasks: part of every row's id, so raise it if one of them asks something else


def check_tasks(tasks: Iterable[BenchmarkTask]) -> None:
    """Raise UserError if Inspect is not installed or a task is not there; no task's code is run."""
    if importlib.util.find_spec("inspect_ai") is None:
        raise UserError(
            "benchmarks need the package inspect_ai, which is not installed here.",
            next_step="Install it: pip install 'spavl[benchmarks]'.",
        )
    for task in tasks:
        task_version(task)


def check_files(tasks: Iterable[BenchmarkTask]) -> None:
    """Raise UserError if a published benchmark's files are not there or in another layout; no image is read."""
    for task in tasks:
        package, _, name = task.task.rpartition("/")
        if package == OWN and name in CHECKS:
            args = {key: value for key, value in task.args.items() if key != "classes"}
            _called(task, CHECKS[name], args)


def family_of(task: BenchmarkTask) -> str:
    """The profile's, or the shipped task's own; "other" for a foreign task of which the profile says nothing."""
    package, _, name = task.task.rpartition("/")
    return task.family or (FAMILIES.get(name, "other") if package == OWN else "other")


def task_version(task: BenchmarkTask) -> str:
    """What decides the task beside its arguments: the hash of its file, or its package's version; raises UserError if it is not there."""
    path, name = _file_of(task.task)
    if path is not None:
        return hashlib.sha256(_source_with(task, path, name).encode()).hexdigest()
    package, _, name = task.task.rpartition("/")
    if package == OWN:
        if name not in FAMILIES:
            raise _absent(task, f"spavl ships {', '.join(FAMILIES)}")
        return f"spavl-{VERSION}"
    if not package or importlib.util.find_spec(package.partition("/")[0]) is None:
        raise _absent(task, f"the package {package or task.task!r} is not installed here")
    _check_registered(task, package, name)
    return f"{package}-{importlib.metadata.version(package)}"


def make_task(task: BenchmarkTask) -> Task:
    """The Inspect task, made of its arguments; raises UserError for arguments that it does not take."""
    return _called(task, _function_of(task), task.args)


def _called(task: BenchmarkTask, function: Callable[..., Any], args: Mapping[str, Any]) -> Any:
    try:
        return function(**args)
    except TypeError as error:
        if "argument" not in str(error):
            raise
        raise UserError(
            f"benchmarks.tasks {task.name!r}: {task.task} does not take its args ({', '.join(task.args) or 'none'}).",
            next_step="See the task's own signature; `args` of the profile must name its parameters.",
        ) from error


def _function_of(task: BenchmarkTask) -> Any:
    path, name = _file_of(task.task)
    if path is not None:
        _source_with(task, path, name)
        return getattr(_module_at(path), name)
    package, _, name = task.task.rpartition("/")
    if package == OWN:
        if name not in FAMILIES:
            raise _absent(task, f"spavl ships {', '.join(FAMILIES)}")
        module = "recipes" if name in CHECKS else _MODULES[FAMILIES[name]]
        return getattr(importlib.import_module(f"spavl.stages.benchmarks.tasks.{module}"), name)
    from inspect_ai.util import registry_create

    return lambda **args: registry_create("task", task.task, **args)


def _file_of(task: str) -> tuple[Path | None, str]:
    file, at, name = task.rpartition("@")
    return (Path(file), name) if at else (None, "")


def _source_with(task: BenchmarkTask, path: Path, name: str) -> str:
    """The file's text; raises UserError if there is no such file, or no function of this name in it."""
    try:
        source = path.read_text("utf-8")
        functions = {node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
    except FileNotFoundError:
        raise _absent(task, f"there is no file {path}") from None
    except (SyntaxError, UnicodeDecodeError):
        raise _absent(task, f"{path} is not Python") from None
    if name not in functions:
        raise _absent(task, f"{path} has {', '.join(sorted(functions)) or 'no function'}")
    return source


def _module_at(path: Path) -> Any:
    name = f"spavl_benchmark_{stable_hash(str(path.resolve()))[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader, path
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _check_registered(task: BenchmarkTask, package: str, name: str) -> None:
    """By the text of the package's registry, the module that its entry point for Inspect names; nothing is imported but the package."""
    entries = [
        point
        for point in importlib.metadata.entry_points(group="inspect_ai")
        if point.module.partition(".")[0] == package
    ]
    if not entries:
        raise _absent(task, f"the package {package} registers nothing with Inspect")
    found = [spec for point in entries if (spec := importlib.util.find_spec(point.module)) and spec.origin]
    named = {alias.asname or alias.name for spec in found for alias in _imported(Path(str(spec.origin)))}
    if name not in named:
        raise _absent(task, f"{package} registers {len(named)} names, and this is none of them")


def _imported(path: Path) -> list[ast.alias]:
    nodes = ast.walk(ast.parse(path.read_text("utf-8")))
    return [alias for node in nodes if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names]


def _absent(task: BenchmarkTask, why: str) -> UserError:
    return UserError(
        f"benchmarks.tasks {task.name!r}: there is no Inspect task {task.task!r}: {why}.",
        next_step="Name 'spavl/<task>', '<installed package>/<task>' or 'path/to/file.py@<task>'.",
    )
