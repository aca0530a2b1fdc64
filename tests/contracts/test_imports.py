"""Imports point one way, and importing is free."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "spavl"
SEAMS = {"artifacts", "inference", "validation", "launch"}
GROUND = {
    "errors",
    "records",
    "config",
    "profiles",
    "stage",
    "taxonomy",
    "pipeline",
    "outcome",
    "ranks",
    "sql",
    "stages",  # how a stage's folder is found, and of every stage its rows and its section of the config
    "statistics",
}  # what everything may import
SHARED = {
    "audit",
    "contestants",
    "judging",
    "learning",
    "statistics",
    "version_rows",
}  # what several stages share, above the seams
PAGE = {"report"}  # for a room's part of the run report alone: `report.py` or `report/` in its folder
HEAVY = {
    "torch",
    "transformers",
    "trl",
    "peft",
    "datasets",
    "great_expectations",
    "airflow",
    "pandas",
    "kubernetes",
    "deepspeed",
    "openai",
    "matplotlib",
    "vllm",
    "inspect_ai",
}
INSPECT_FILES = (
    "stages/benchmarks/provider.py",
    "stages/benchmarks/tasks/",
)  # Inspect's own objects; loaded where a benchmark runs
DEMO_RULES = {
    ("inference", "demo")
}  # the table of backends names the demo's rules; opened only where a profile asks for them


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def room(path: Path) -> str:
    return room_of(path.relative_to(SOURCE).with_suffix("").parts)


def room_of(parts: Sequence[str]) -> str:
    """Of a module's names below `spavl`: its first one; a stage is a room of its own, without its rows and its config."""
    is_of_stage = parts[0] == "stages" and len(parts) > 2
    return f"stages.{parts[1]}" if is_of_stage and parts[2] not in ("rows", "config") else parts[0]


def is_part_of_report(path: Path) -> bool:
    return "report" in path.relative_to(SOURCE).with_suffix("").parts[1:]


def imported_modules(path: Path) -> set[str]:
    imports = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    return {f"{node.module}.{alias.name}" for node in imports for alias in node.names}


def imported_rooms(path: Path, *, runtime_only: bool = True) -> set[str]:
    tree = ast.parse(path.read_text())
    skipped = {
        id(child)
        for node in ast.walk(tree)
        if runtime_only and _is_type_checking(node)
        for child in ast.walk(node)
    }
    rooms = set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        rooms |= {room_of(name.split(".")[1:]) for name in names if name.startswith("spavl.")}
    return rooms


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_one_way(path: Path) -> None:
    here, there = room(path), imported_rooms(path) - {room(path), "__init__"}
    if here in GROUND:
        allowed = GROUND
    elif here in SEAMS:
        allowed = (
            GROUND | (SEAMS if here != "artifacts" else set()) | ({"plan"} if here == "launch" else set())
        )
    elif here in PAGE:
        allowed = GROUND | {"artifacts"}
    elif here in SHARED:
        allowed = GROUND | SEAMS | (PAGE if is_part_of_report(path) else set())
    elif here.startswith("stages."):
        allowed = GROUND | (SEAMS - {"launch"}) | SHARED | (PAGE if is_part_of_report(path) else set())
    else:
        return  # the wiring on top: runner, plan, commands, airflow, demo
    there -= {target for source, target in DEMO_RULES if source == here}
    assert there - allowed == set(), f"{path.name} imports {sorted(there - allowed)}"


def test_the_report_knows_stages_by_name_alone() -> None:
    """It finds a stage's part through `spavl.stages`: not even rows and config, which all others may import."""
    of_report = [name for path in (SOURCE / "report").rglob("*.py") for name in imported_modules(path)]
    assert "spavl.stages.optional_module" in of_report
    assert [name for name in of_report if name.startswith("spavl.stages.") and name.count(".") > 2] == []


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_heavy_packages_are_imported_where_they_are_used(path: Path) -> None:
    if room(path) == "airflow":
        return  # runs inside Airflow only
    heavy = HEAVY - {"inspect_ai"} if str(path.relative_to(SOURCE)).startswith(INSPECT_FILES) else HEAVY
    tree = ast.parse(path.read_text())
    top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name.split(".")[0] for node in top if isinstance(node, ast.Import) for alias in node.names}
    names |= {(node.module or "").split(".")[0] for node in top if isinstance(node, ast.ImportFrom)}
    assert names & heavy == set()


def test_help_imports_nothing_heavy() -> None:
    code = f"import sys; sys.argv = ['spavl', '--help']\ntry:\n    from spavl.__main__ import main; main()\nexcept SystemExit: pass\nprint(sorted(set(sys.modules) & {HEAVY | {'pyarrow', 'pydantic', 'numpy'}!r}))"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.strip().splitlines()[-1] == "[]"
