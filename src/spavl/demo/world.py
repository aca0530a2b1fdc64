"""The taught world on disk: made once per recipe and seed, then found.

`<folder>/models/` holds one folder per variant and `world.json`. It is taught beside that place and moved there as a
whole, so a kill leaves nothing half made; a lock keeps two processes from teaching the same folder at once.
"""

from __future__ import annotations

import ast
import contextlib
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from spavl.demo.concepts import all_concepts
from spavl.demo.lessons import Teacher, draw_pool
from spavl.demo.measuring import fresh_prompts, measure
from spavl.demo.models import build_model, build_processor, save
from spavl.demo.teaching import VARIANTS, Recipe, see, teach_language, teach_manner, teach_tower
from spavl.records import stable_hash

WORLD = "world.json"
BASE = "bold"  # the variant to align
FULL_RECIPE = Recipe()
_RECIPE = (
    "concepts",
    "shapes",
    "drawing",
    "grammar",
    "models",
    "lessons",
    "teaching",
)  # modules that decide the weights
_LIBRARIES = ("torch", "transformers", "tokenizers", "numpy", "pillow")
_MEASURED_SEED = 2_000_000_000

Progress = Callable[[int, int, str], None]  # done, total, note


@dataclass(frozen=True)
class World:
    """Where the taught models lie, and what was measured of them."""

    folder: Path
    fingerprint: str
    measured: dict[str, dict[str, dict[str, float]]]  # variant -> decoding -> rate -> share

    def model_folder(self, name: str) -> Path:
        return self.folder / "models" / name


def world_fingerprint(seed: int = 0, recipe: Recipe = FULL_RECIPE) -> str:
    """Changes with the recipe's code, the taxonomy's order, the seed or a library's version."""
    here = resources.files("spavl.demo")
    sources = [_meaning((here / f"{name}.py").read_text("utf-8")) for name in _RECIPE]
    versions = [metadata.version(name) for name in _LIBRARIES]
    return stable_hash(
        "demo world", seed, asdict(recipe), sources, versions, [concept.label for concept in all_concepts()]
    )


def _meaning(source: str) -> str:
    """The code without its layout, comments and docstrings: words about a recipe do not change what it teaches."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and ast.get_docstring(node) is not None
        ):
            node.body = node.body[1:]
    return ast.dump(tree)


def teach_world(
    folder: Path, seed: int = 0, on_progress: Progress | None = None, recipe: Recipe = FULL_RECIPE
) -> World:
    """The world of this seed under `folder`: found there, or taught in about 80 s on one thread.

    Runs on one thread, whatever torch was set to, and gives the same weights for a seed on one machine.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _lock(folder):
        fingerprint = world_fingerprint(seed, recipe)
        world = _read(folder)
        if world is None or world.fingerprint != fingerprint:
            _replace(folder, seed, recipe, fingerprint, on_progress or _silent)
            world = _read(folder)
    assert world is not None
    return world


def _read(folder: Path) -> World | None:
    try:
        written = json.loads((folder / "models" / WORLD).read_text("utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return World(folder, written["fingerprint"], written["measured"])


def _replace(folder: Path, seed: int, recipe: Recipe, fingerprint: str, on_progress: Progress) -> None:
    for stale in folder.glob(".teaching-*"):
        shutil.rmtree(stale)
    making = Path(tempfile.mkdtemp(prefix=".teaching-", dir=folder))
    with _one_thread(seed):
        measured = _teach(making, seed, recipe, on_progress)
    written = {"fingerprint": fingerprint, "seed": seed, "base": BASE, "measured": measured}
    (making / WORLD).write_text(json.dumps(written, indent=1), "utf-8")
    models = folder / "models"
    if models.exists():
        models.rename(folder / f".teaching-former-{making.name}")
    making.chmod(0o755)
    making.rename(models)
    for former in folder.glob(".teaching-*"):
        shutil.rmtree(former)


def _teach(making: Path, seed: int, recipe: Recipe, on_progress: Progress) -> dict[str, Any]:
    """Write every variant under `making`; returns what was measured of each."""
    tick = _counter(on_progress, recipe.num_steps)
    processor = build_processor()
    model = build_model(processor.tokenizer)
    pool = draw_pool(processor, recipe.num_pictures_per_concept, seed)
    teach_tower(model, pool, recipe.num_tower_steps, seed, tick)
    features = see(model, pool)
    teacher = Teacher(processor, pool.concepts, seed)
    teach_language(model, features, teacher, recipe.num_language_steps, tick)
    prompts = fresh_prompts(recipe.num_measured_harm, recipe.num_measured_benign, _MEASURED_SEED)
    measured = {}
    for name in VARIANTS:
        variant = teach_manner(model, features, teacher, name, recipe.num_manner_steps, tick).eval()
        save(variant, processor, making / name)
        measured[name] = measure(variant, processor, prompts, seed)
    return measured


def _counter(on_progress: Progress, total: int) -> Callable[[str], None]:
    done = 0

    def tick(note: str) -> None:
        nonlocal done
        done += 1
        on_progress(done, total, f"teaching {note}")

    return tick


def _silent(done: int, total: int, note: str) -> None:
    return None


@contextlib.contextmanager
def _one_thread(seed: int) -> Iterator[None]:
    """One thread and a seeded generator of torch's own, both put back afterwards; transformers' bars are off."""
    import torch
    from transformers.utils import logging

    os.environ.setdefault(
        "DS_ACCELERATOR", "cpu"
    )  # saving imports DeepSpeed, which else warns on standard output
    num_threads, had_bars = torch.get_num_threads(), logging.is_progress_bar_enabled()
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(num_threads)
        if had_bars:
            logging.enable_progress_bar()


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Held by one process at a time; the system lets go of it when that process ends, however it ends."""
    with open(folder / ".lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
