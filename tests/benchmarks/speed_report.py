"""What `training_speed.py` concludes from its measurements: ratios by round, losses compared, cold starts, goals; and its tables.

Pure but for the printing. A ratio is made within a round, where both sides ran one after the other; medians are over rounds.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from tests.benchmarks.speed_sides import Seconds

COMPARED = ("loss", "logps/chosen", "logps/rejected")  # of the trainers' own logs, every step
LOSS_TOLERANCE = 1e-4  # relative, float32
Rounds = Mapping[str, Sequence[Seconds]]  # side -> seconds per step in each round


def ratio(rounds: Rounds, slow: str, fast: str) -> dict[str, float]:
    """How many times as fast `fast` is: by the clock median, min and max over rounds, and by CPU time the median."""
    pairs = list(zip(rounds[slow], rounds[fast], strict=True))
    by_clock = [left.wall_s / right.wall_s for left, right in pairs]
    by_cpu = [left.cpu_s / right.cpu_s for left, right in pairs]
    return {
        "median": statistics.median(by_clock),
        "min": min(by_clock),
        "max": max(by_clock),
        "cpu_median": statistics.median(by_cpu),
        "cpu_min": min(by_cpu),
        "cpu_max": max(by_cpu),
    }


def side_facts(
    seconds: Sequence[Seconds], report: Mapping[str, Any], pairs_per_step: int
) -> dict[str, float]:
    wall_s, cpu_s = (statistics.median(getattr(one, name) for one in seconds) for name in ("wall_s", "cpu_s"))
    memory = {name: value for name, value in report.items() if name.endswith("memory_mb")}
    return {
        "samples_per_s": pairs_per_step / wall_s,
        "seconds_per_step": wall_s,
        "cpu_seconds_per_step": cpu_s,
        **memory,
    }


def rollout_facts(seconds: Sequence[Seconds], num_tokens: int) -> dict[str, float]:
    """Of rounds that each sampled `num_tokens` new tokens."""
    wall_s, cpu_s = (statistics.median(getattr(one, name) for one in seconds) for name in ("wall_s", "cpu_s"))
    return {"tokens_per_s": num_tokens / wall_s, "seconds": wall_s, "cpu_seconds": cpu_s}


def loss_difference(ours: Sequence[Mapping[str, float]], others: Sequence[Mapping[str, float]]) -> dict:
    """Largest relative difference of the logged numbers over all steps that both trained, and how far the loss moved."""
    steps = list(zip(ours, others, strict=False))
    found: dict[str, Any] = {"steps": len(steps)}
    for name in COMPARED:
        found[name] = max(abs(left[name] - right[name]) / abs(right[name]) for left, right in steps)
    losses = [right["loss"] for _, right in steps]
    return found | {"loss_min": min(losses), "loss_max": max(losses)}


def cold_start(facts: Mapping[str, Any], step: Mapping[str, float], num_steps: int, unit: str) -> dict:
    """Seconds per step, by `unit` of the clock or the CPU: what is computed once, spread over one epoch's steps."""
    once = {name: getattr(facts[name], unit) / num_steps for name in ("encoding", "features", "references")}
    steady = step["cpu_seconds_per_step" if unit == "cpu_s" else "seconds_per_step"]
    return {"unit": unit, "steady": steady, **once, "first_epoch": steady + sum(once.values())}


def rounded(value: Any) -> Any:
    """Numbers to four significant digits, for the record."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list | tuple) else value


def show(result: Mapping[str, Any]) -> None:
    """Tables of all that was measured."""
    from rich.console import Console

    console = Console(width=130)
    console.print(_machine(result["machine"]))
    for shape in result["shapes"]:
        _show_shape(console, shape)
    for name, rows in result.get("ablation", {}).items():
        _show_ablation(console, name, rows)
    for compared in result.get("rollouts", ()):
        _show_rollouts(console, compared)


def _machine(machine: Mapping[str, Any]) -> str:
    rate = machine["matrix_gflops"]
    return f"{machine['device']}, one thread; torch {machine['torch']}, TRL {machine['trl']}; one large matrix product: {rate:,.0f} GFLOP/s (MFU is over that)"


def _show_shape(console: Any, shape: Mapping[str, Any]) -> None:
    console.print(_sides_table(shape))
    for name, seen in shape["ratio"].items():
        goal = "" if shape["goal"] is None else f"; goal {shape['goal']} {'met' if seen['met'] else 'MISSED'}"
        console.print(
            f"  over {name}: [bold]{seen['median']:.2f}x[/bold] (rounds {seen['min']:.2f} to {seen['max']:.2f}; "
            f"by CPU time {seen['cpu_median']:.2f}, {seen['cpu_min']:.2f} to {seen['cpu_max']:.2f}){goal}; "
            f"a first epoch with nothing kept: {seen['first_epoch']:.2f}x"
        )
    for name, seen in shape["losses"].items():
        console.print(
            f"  losses against {name}, {seen['steps']} steps, {seen['loss_min']:.4f} to {seen['loss_max']:.4f}: largest relative "
            f"difference {seen['loss']:.1e}; of an answer's log-probability {max(seen['logps/chosen'], seen['logps/rejected']):.1e}"
        )
    cold = shape["cold"]
    console.print(
        f"  ours per step ({'CPU' if cold['unit'] == 'cpu_s' else 'clock'} seconds): {cold['steady']:.2f} steady; computed once, "
        f"spread over one epoch: references {cold['references']:.2f}, tower {cold['features']:.2f}, tokens {cold['encoding']:.3f}"
    )
    of_7b = shape["forward_shares_percent_of_llava_7b"]
    shares = "; ".join(
        f"{part} {share:.1f} ({of_7b[part]:.1f})" for part, share in shape["forward_shares_percent"].items()
    )
    console.print(f"  % of a plain forward's operations (in LLaVA-1.5-7B): {shares}")
    parts = "; ".join(f"{name} {100 * part:.0f} %" for name, part in shape["profile"]["shares"].items())
    console.print(f"  where our step's time goes: {parts}\n")


def _sides_table(shape: Mapping[str, Any]) -> Any:
    from rich.table import Table

    table = Table(title=shape["title"], title_justify="left", title_style="bold")
    for column in (
        "trainer", "samples/s", "s/step", "CPU s/step", "peak memory MB", "GFLOP/step", "MFU",
    ):  # fmt: skip
        table.add_column(column, justify="left" if column == "trainer" else "right")
    for name, side in shape["sides"].items():
        memory = side.get("device_memory_mb", side["memory_mb"])
        table.add_row(
            name,
            f"{side['samples_per_s']:.2f}",
            f"{side['seconds_per_step']:.2f}",
            f"{side['cpu_seconds_per_step']:.2f}",
            f"{memory:,.0f}",
            f"{side['gflop_per_step']:,.0f}",
            f"{100 * side['mfu']:.0f} %",
        )
    return table


def _show_ablation(console: Any, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    from rich.table import Table

    table = Table(title=f"{name}: what each part brings", title_justify="left", title_style="bold")
    for column in ("variant", "time against", "is", "rounds", "by CPU time", "peak memory MB"):
        table.add_column(column, justify="left" if column in ("variant", "time against") else "right")
    for row in rows:
        spread = f"{row['min']:.2f} to {row['max']:.2f}"
        cells = (f"{row['median']:.2f}x", spread, f"{row['cpu_median']:.2f}x", f"{row['memory_mb']:,.0f}")
        table.add_row(row["variant"], row["against"], *cells)
    console.print(table)


def _show_rollouts(console: Any, compared: Mapping[str, Any]) -> None:
    from rich.table import Table

    table = Table(title=compared["title"], title_justify="left", title_style="bold")
    columns = ("sampling by", "new tokens/s", "s", "CPU s", "times as fast", "rounds", "by CPU time", "goal")
    for column in columns:
        table.add_column(column, justify="left" if column == "sampling by" else "right")
    for name, side in compared["sides"].items():
        cells = (f"{side['tokens_per_s']:.1f}", f"{side['seconds']:.2f}", f"{side['cpu_seconds']:.2f}")
        table.add_row(name, *cells, *_ratio_cells(compared["ratio"].get(name)))
    console.print(table)


def _ratio_cells(seen: Mapping[str, Any] | None) -> tuple[str, ...]:
    if seen is None:
        return ()
    spread = f"{seen['min']:.2f} to {seen['max']:.2f}"
    met = {None: "", True: "met", False: "MISSED"}[seen["met"]]
    return f"{seen['median']:.2f}x", spread, f"{seen['cpu_median']:.2f}x", met
