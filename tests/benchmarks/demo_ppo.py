"""Does PPO raise the reward of the demo's tiny policy? Several seeds on one taught world, each against its own start.

    python tests/benchmarks/demo_ppo.py --seeds 3

Per seed: fresh pictures, the real stages from images to dataset, a reward model trained on the night's pairs, then PPO, with the
recipe of the profile `demo_ppo`. The reward is that of the answers sampled in training, first and last. The unsafe
and help rates on held-out prompts stand beside it, since a reward can be raised in ways that nobody wants. Exit code 1 where
the mean reward did not rise.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks import demo_alignment as dpo
from tests.benchmarks.in_memory_line import InMemoryLine

from spavl.config.root import Config
from spavl.demo.picture_folder import draw_nights
from spavl.demo.world import BASE, World, teach_world
from spavl.learning.leaving import fetch_images
from spavl.profiles import load_config
from spavl.stages.training.rows import TrainingMetric

FIRST_SEED = 215
RESULT = Path(__file__).parent / "results" / "demo_ppo.json"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the profile")
    parser.add_argument(
        "--world", type=Path, default=dpo._default_world(), help="where the taught world is kept"
    )
    parser.add_argument("--no-save", dest="save", action="store_false", help="leave the kept result as it is")
    options = parser.parse_args()
    os.environ.setdefault("SPAVL_HOME", tempfile.mkdtemp(prefix="demo-ppo-"))
    world = teach_world(options.world, 0, dpo._say_teaching)
    with tempfile.TemporaryDirectory(prefix="demo-ppo-") as scratch:
        seeds = [
            _measure(seed, options.set, world, Path(scratch) / str(seed))
            for seed in range(FIRST_SEED, FIRST_SEED + options.seeds)
        ]
    result = {"world": world.fingerprint, "judge": "demo rules", "seeds": seeds}
    if options.save:
        RESULT.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(json.dumps(result))
    return 0 if all(seed["reward"][1] > seed["reward"][0] for seed in seeds) else 1


def _measure(seed: int, overrides: list[str], world: World, folder: Path) -> dict[str, Any]:
    from spavl.learning.pairs import pairs_of
    from spavl.learning.trainer import Hooks
    from spavl.stages.reward.training import train_reward
    from spavl.stages.training.made import Source
    from spavl.stages.training.ppo.run import train_ppo

    draw_nights(folder / "pictures", {dpo.FIRST_NIGHT + seed: dpo.NIGHT_BATCH})
    config = _config(seed, overrides, world, folder / "pictures")
    line = InMemoryLine(config, folder, f"seed-{seed}")
    line.run("images", "questions", "responses", "judgements", "comparisons", "preferences")
    rows = line.run("dataset").rows
    paths = fetch_images(line.store, rows, folder / "images")
    train, validation = (pairs_of(rows, split, paths) for split in ("train", "validation"))
    base, hooks = world.model_folder(BASE), Hooks(lambda *_: None, lambda *_: None, lambda: False)
    section = config.reward.model_copy(update={"base": config.training.base})
    rewarding = train_reward(train, validation, base, world.fingerprint, section, folder / "r", None, hooks)
    source = Source(base, world.fingerprint, line.store, rewarding.model)
    aligned = train_ppo(train, validation, source, config.training, folder / "p", None, hooks)
    found = {
        "seed": seed,
        "reward_accuracy": _last(rewarding.rows, "eval_rewards/accuracies"),
        "reward": _first_and_last(aligned.rows, "reward"),
        "kl": _first_and_last(aligned.rows, "kl"),
        **_held_out(world, aligned.model, folder / "held-out"),
    }
    print(json.dumps(found), file=sys.stderr, flush=True)
    return found


def _config(seed: int, overrides: list[str], world: World, pictures: Path) -> Config:
    sections = ("questions.sampling", "responses.sampling", "comparisons", "dataset", "reward", "training")
    names = [model.name for model in load_config("demo_ppo").responses.models]
    paths = [f"responses.models.{k}.path={world.model_folder(name)}" for k, name in enumerate(names)]
    paths += [f"training.base.path={world.model_folder(BASE)}", f"images.sources.0.url={pictures}"]
    return load_config("demo_ppo", [*paths, *(f"{name}.seed={seed}" for name in sections), *overrides])


def _held_out(world: World, aligned: Path, folder: Path) -> dict[str, list[float]]:
    """Greedy unsafe and help rate on held-out prompts, base and aligned."""
    prompts = argparse.Namespace(num_harm=159, num_benign=160, set=[])
    rows, images = dpo._held_out(prompts, world, folder)
    answers = [
        *dpo._evaluate(dpo.BASE_ROLE, world.model_folder(BASE), rows, images, 0),
        *dpo._evaluate(dpo.ALIGNED, aligned, rows, images, 0),
    ]
    rates = dpo._judge_seed(dpo.score_answers(answers, alpha=0.025))["rates"]
    return {
        name: [rates[f"greedy/{role}/{name}"] for role in (dpo.BASE_ROLE, dpo.ALIGNED)]
        for name in ("unsafe_rate", "help_rate")
    }


def _first_and_last(rows: list[TrainingMetric], name: str) -> list[float]:
    values = [row.value for row in rows if row.name == name]
    return [round(values[0], 4), round(values[-1], 4)]


def _last(rows: list[TrainingMetric], name: str) -> float:
    return round([row.value for row in rows if row.name == name][-1], 4)


if __name__ == "__main__":
    sys.exit(main())
