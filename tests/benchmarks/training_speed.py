"""How fast is our preference training beside TRL's own DPOTrainer, on the same model, data, precision and machine?

    python -m tests.benchmarks.training_speed --shape all --rounds 5
    python -m tests.benchmarks.training_speed --device cuda --shape llava-7b
    python -m tests.benchmarks.training_speed --shape rollouts

Both train the same LLaVA with random weights on identical batches in identical order, each in a process of its own, taking
turns step by step. Printed are median ratios with their spread, samples/s, peak memory, the difference of the losses, what
each of our parts brings, where the rest of our time goes, how fast PPO's rollouts are beside `generate`; and at the end
everything as one line of JSON.

TRL 1.16 lets its head read every position where there is no Triton, and only the answers' where there is. So on a CPU it is
measured twice: as it runs, and with the head as on a GPU, which says more about a GPU. Exit code 1 where losses differ or a
goal is missed, 2 where nothing could be run.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import warnings
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["HF_HUB_OFFLINE"] = "1"

from tests.benchmarks import speed_flops, speed_report, speed_rollouts
from tests.benchmarks.speed_bench import Bench
from tests.benchmarks.speed_shapes import SHAPES, tiny

RESULT = Path(__file__).parent / "results" / "training_speed.json"
BIG = "llava-7b"
GROUPS = {
    "all": ("paper-3", "paper-1", "worst"),
    "paper": ("paper-3", "paper-1"),
    "both-ways": ("paper-3", BIG),  # sides that take turns, and sides one after the other: for --dry
    "rollouts": (),
}
WITH_ROLLOUTS = ("all", "both-ways", "rollouts")


def main() -> int:
    options = _options()
    _import_all()
    if options.device != "cpu" and not _has_cuda():
        print(json.dumps({"has_run": False, "why": "this machine shows no CUDA device", BIG: _planned()}))
        return 2
    result = speed_report.rounded(_measure(options))
    speed_report.show(result)
    if options.save:
        _save(result)
    print(json.dumps(result))
    is_good = [_is_good(shape) for shape in result["shapes"]]
    is_good += [speed_rollouts.is_good(compared) for compared in result.get("rollouts", ())]
    return 0 if all(is_good) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--shape", choices=[*GROUPS, *SHAPES], default="all")
    add("--rounds", type=int, default=5, help="counted rounds")
    add("--device", default="cpu", help="cpu or cuda")
    add("--no-lora", dest="lora", action="store_false", help="leave out the comparison with LoRA")
    add("--no-ablation", dest="ablation", action="store_false", help="leave out what each part brings")
    add("--activation-checkpointing", action="store_true", help="on both sides: less memory, slower")
    add("--dry", action="store_true", help="a tiny stand-in for each shape, on the CPU; nothing is kept")
    add("--no-save", dest="save", action="store_false", help="leave the kept result as it is")
    options = parser.parse_args()
    if options.dry:
        options.device, options.save = "cpu", False
    return options


def _save(result: dict[str, Any]) -> None:
    """Keep the result; rollouts that were measured alone take their place beside the trainings that were kept before."""
    if not result["shapes"] and RESULT.exists():
        alone = {"rollouts": result["rollouts"], "rollouts_machine": result["machine"]}
        result = json.loads(RESULT.read_text("utf-8")) | alone
    RESULT.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


def _import_all() -> None:
    """What every side imports, before the first is forked; and quiet."""
    import datasets
    import deepspeed  # noqa: F401
    import peft  # noqa: F401
    import torch
    import transformers
    import trl
    from torch.utils import flop_counter  # noqa: F401

    from spavl.stages.training import dpo  # noqa: F401

    assert trl.__version__.startswith("1.16."), "what is said here about TRL is true of 1.16"
    assert trl.DPOTrainer and transformers.LlavaForConditionalGeneration and transformers.LlavaProcessor
    torch.set_num_threads(1)
    datasets.disable_progress_bars()
    transformers.utils.logging.set_verbosity_error()
    warnings.filterwarnings("ignore", category=FutureWarning)


def _measure(options: argparse.Namespace) -> dict[str, Any]:
    shapes = [SHAPES[name] for name in GROUPS.get(options.shape, (options.shape,))]
    is_half = options.shape == BIG or (options.device != "cpu" and options.shape == "rollouts")
    dtype = "bfloat16" if is_half and not options.dry else "float32"
    size = 256 if options.dry else 2048 if options.device == "cpu" else 8192
    machine = _machine(options.device, dtype, size)
    result: dict[str, Any] = {"has_run": not options.dry, "machine": machine}
    shapes = [tiny(shape) if options.dry else shape for shape in shapes]
    with tempfile.TemporaryDirectory(prefix="training-speed-") as scratch:
        rate = result["machine"]["matrix_gflops"]
        bench = Bench(
            Path(scratch),
            rate,
            options.rounds,
            options.device,
            options.activation_checkpointing,
            weighs=not options.dry,
        )
        result["shapes"] = [bench.compare(shape) for shape in shapes]
        is_small = bool(shapes) and not shapes[0].is_7b
        if options.lora and is_small:
            result["shapes"].append(bench.compare(shapes[0], lora=True))
        if options.ablation and is_small:
            result["ablation"] = {shapes[0].name: bench.ablate(shapes[0])}
        if options.shape in WITH_ROLLOUTS:
            result["rollouts"] = speed_rollouts.measured(_rollout_job(options, Path(scratch) / "rollouts"))
    if options.dry or options.shape not in (BIG, "rollouts"):
        result[BIG] = _planned()
    return result


def _rollout_job(options: argparse.Namespace, folder: Path) -> speed_rollouts.RolloutJob:
    """On a GPU with the sizes of LLaVA-1.5-7B in bfloat16, as its trainings are."""
    is_small = options.device == "cpu"
    shape = SHAPES["paper-3" if is_small else BIG]
    dtype = "float32" if is_small else "bfloat16"
    job = speed_rollouts.RolloutJob(shape, folder, options.device, dtype, options.rounds)
    return replace(job, shape=tiny(shape), goal=None) if options.dry else job


def _planned() -> dict[str, Any]:
    """What the shape for a GPU would be."""
    return {
        "has_run": False,
        "why": "no GPU was at hand; `--shape llava-7b --dry` runs the same code on a CPU with a tiny stand-in",
        "million_parameters": speed_flops.num_parameters(SHAPES[BIG]),
        "forward_shares_percent": speed_flops.shares(SHAPES[BIG]),
    }


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def _machine(device: str, dtype: str, size: int) -> dict[str, Any]:
    if device == "cpu":
        name, rate = _device_facts(device, dtype, size)
    else:  # in a process of its own, which gives all of the card's memory back
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            name, rate = pool.apply(_device_facts, (device, dtype, size))
    versions = {library: metadata.version(library) for library in ("torch", "transformers", "trl")}
    return {"device": name, "matrix_gflops": rate / 1e9, "matrix_dtype": dtype, **versions}


def _device_facts(device: str, dtype: str, size: int) -> tuple[str, float]:
    import torch

    torch.set_num_threads(1)
    rate = speed_flops.matrix_rate(device, dtype, size)
    if device != "cpu":
        return torch.cuda.get_device_name(), rate
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "CPU")
    return f"{model}, {os.cpu_count()} cores", rate


def _is_good(shape: dict[str, Any]) -> bool:
    return shape["equal"] and all(seen["met"] is not False for seen in shape["ratio"].values())


if __name__ == "__main__":
    sys.exit(main())
