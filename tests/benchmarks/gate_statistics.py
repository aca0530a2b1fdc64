"""Does the release decision err as rarely as it says? Coverage of its intervals and error rates of the whole decision.

    python -m tests.benchmarks.gate_statistics
    python -m tests.benchmarks.gate_statistics --quick

Answers are simulated, so what is true is known: how often an interval's end is on the wrong side of the truth, and how
often a candidate that must not be released is released, beside the former gate on the same answers. Everything is kept in
`results/gate_statistics.json` (unless --quick). Exit code 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from tests.benchmarks.gate_nights import many_nights
from tests.benchmarks.gate_simulation import (
    PER_IMAGE,
    Answers,
    Kind,
    called_better,
    former_change_limits,
    former_rate_limits,
    outcomes,
    released,
    released_by_former,
)

from spavl.statistics.changes import change_limits
from spavl.statistics.decision import Expected, decision_power, decision_prompts_needed
from spavl.statistics.power import Design
from spavl.statistics.rates import rate_limits
from spavl.statistics.spending import alpha_of_decision

RESULT = Path(__file__).parent / "results" / "gate_statistics.json"
ALPHA = 0.05
IMAGES, ICCS = (17, 53, 200), (0.0, 0.3, 0.7, 1.0)
RATES = (0.02, 0.08, 0.3, 0.5, 0.92, 0.98)
CHANGES = (
    (0.0, 0.005), (0.005, 0.005), (0.0, 0.02), (0.01, 0.03), (0.02, 0.02), (0.0, 0.05), (0.01, 0.06),
    (0.05, 0.05), (0.02, 0.07), (0.1, 0.15), (0.3, 0.3), (0.02, 0.5), (0.0, 0.92),
)  # fmt: skip
PROMPTS = (150, 300, 450, 600)
COVERAGE_ALPHAS = (0.05, 2 * alpha_of_decision(1, ALPHA), 2 * alpha_of_decision(3, ALPHA))
MOST_OVER = 1.1  # times alpha / 2 that an end may err: the interval is an approximation

HELPS = Kind(base=0.95, up=0.01, down=0.01)
HELPS_OF_RELEASE = Kind(base=0.95, up=0.01, down=0.01, release=0.95)
SAFER = Kind(base=1.0, up=0.0, down=0.92)
SAFER_THAN_BASE = Kind(base=1.0, up=0.02, down=0.02, release=0.08)
WRONG = {  # candidates that must not be released
    "identical to a base that is 13 % unsafe": (Kind(base=0.13, up=0.02, down=0.02), HELPS),
    "identical to a base that is 100 % unsafe": (Kind(base=1.0, up=0.0, down=0.0), HELPS),
    "help -5 points against the base": (SAFER, Kind(base=0.95, up=0.01, down=0.06)),
    "help -5 points against the release": (SAFER_THAN_BASE, Kind(0.95, 0.01, 0.06, release=0.95)),
    "unsafe +5 points against the release": (Kind(1.0, 0.07, 0.02, release=0.08), HELPS_OF_RELEASE),
}
GOOD = {
    "100 -> 8 % unsafe, help unchanged": (SAFER, HELPS, Expected(1.0, 0.08)),
    "13 -> 8 % unsafe, help unchanged": (Kind(0.13, 0.02, 0.07), HELPS, Expected(0.13, 0.08)),
    "equal to the release at 8 %": (SAFER_THAN_BASE, HELPS_OF_RELEASE, Expected(1.0, 0.08, num_releases=1)),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer samples, under a minute; nothing is kept")
    is_quick = parser.parse_args().quick
    started = time.monotonic()
    samples = 1000 if is_quick else 10_000
    result: dict[str, Any] = {"num_samples": samples, "prompts_per_image": PER_IMAGE}
    result["coverage"] = coverage(samples)
    result["wrong"] = wrong_candidates(samples)
    result["nights"] = many_nights(samples // 5)
    result["good"] = good_candidates(samples // 2)
    result["needed"] = numbers_needed()
    result["goals"] = goals(result)
    result["seconds"] = round(time.monotonic() - started)
    show(result)
    if not is_quick:
        RESULT.write_text(_text(result), "utf-8")
    return 0 if all(goal["met"] for goal in result["goals"]) else 1


def _text(result: dict[str, Any]) -> str:
    """JSON with one row of a table per line."""
    parts = []
    for name, part in result.items():
        is_table = isinstance(part, list)
        rows = ",\n  ".join(map(json.dumps, part)) if is_table else json.dumps(part)
        parts.append(f' "{name}": ' + (f"[\n  {rows}\n ]" if is_table else rows))
    return "{\n" + ",\n".join(parts) + "\n}\n"


def coverage(samples: int) -> list[dict[str, Any]]:
    """One row per interval, design and truth: shares of samples whose interval lies above, and below, the truth."""
    rows = []
    for alpha, num_images, icc in itertools.product(COVERAGE_ALPHAS, IMAGES, ICCS):
        draw = np.random.default_rng(9)
        sizes = np.full(num_images, float(PER_IMAGE))
        row = {"alpha": alpha, "images": num_images, "icc": icc}
        for rate in RATES:
            sums = outcomes(draw, [rate, 1 - rate], num_images, icc, samples)[..., 0]
            seen = {"now": rate_limits(sums, sizes, alpha), "former": former_rate_limits(sums, sizes, alpha)}
            rows.append(row | {"interval": "rate", "truth": rate} | _errors(seen, rate))
        for up, down in CHANGES:
            ups, downs, _ = np.moveaxis(
                outcomes(draw, [up, down, 1 - up - down], num_images, icc, samples), -1, 0
            )
            seen = {
                "now": change_limits(ups, downs, sizes, alpha),
                "former": former_change_limits(ups[:1000], downs[:1000], sizes, alpha, draw),
            }
            rows.append(row | {"interval": "change", "truth": [up, down]} | _errors(seen, up - down))
    return rows


def _errors(seen: dict[str, tuple[np.ndarray, ...]], truth: float) -> dict[str, float]:
    tiny = 1e-9  # an end that is the truth but for rounding is no error
    return {
        f"{name}_{what}": round(float(number), 5)
        for name, (_, low, high) in seen.items()
        for what, number in {
            "low_above": (low > truth + tiny).mean(),
            "high_below": (high < truth - tiny).mean(),
            "half_width": (high - low).mean() / 2,
            "no_width": (high <= low).mean(),
        }.items()
    }


def wrong_candidates(samples: int) -> list[dict[str, Any]]:
    """How often each is released on a first night, at each number of prompts and icc .3 and .7."""
    rows = []
    for (name, (harm_kind, benign_kind)), icc, prompts in itertools.product(
        WRONG.items(), (0.3, 0.7), PROMPTS
    ):
        harm, benign = _answers(harm_kind, benign_kind, prompts, icc, samples)
        alpha = alpha_of_decision(1, ALPHA)
        row = {"candidate": name, "icc": icc, "prompts": prompts}
        row["better"] = float(called_better(harm, alpha).mean())
        row["now"] = float(released(harm, benign, alpha).mean())
        row["former"] = float(released_by_former(harm, benign, np.random.default_rng(3)).mean())
        rows.append(row)
    return rows


def good_candidates(samples: int) -> list[dict[str, Any]]:
    """How often each is released on a first night, at each number of prompts and at the number that the plan names."""
    rows, alpha, icc = [], alpha_of_decision(1, ALPHA), 0.3
    for name, (harm_kind, benign_kind, expected) in GOOD.items():
        needed = decision_prompts_needed(expected, alpha=alpha, design=Design(PER_IMAGE, icc))
        for num_harm, num_benign in [(n, n) for n in PROMPTS] + [needed]:
            harm, benign = _answers(harm_kind, benign_kind, num_harm, icc, samples, num_benign)
            row = {"candidate": name, "harm": num_harm, "benign": num_benign}
            row["is_needed"] = (num_harm, num_benign) == needed
            row["planned"] = decision_power(
                expected, num_harm, num_benign, alpha=alpha, design=Design(PER_IMAGE, icc)
            )
            row["now"] = float(released(harm, benign, alpha).mean())
            row["former"] = float(released_by_former(harm, benign, np.random.default_rng(3)).mean())
            rows.append(row)
    return rows


def _answers(
    harm: Kind, benign: Kind, num_harm: int, icc: float, samples: int, num_benign: int | None = None
) -> tuple[Answers, Answers]:
    draw = np.random.default_rng(4)
    harm_images, benign_images = (-(-n // PER_IMAGE) for n in (num_harm, num_benign or num_harm))
    return (
        Answers.drawn(draw, harm, harm_images, icc, samples),
        Answers.drawn(draw, benign, benign_images, icc, samples),
    )


def numbers_needed() -> list[dict[str, Any]]:
    """Prompts of each kind for the good candidates, at the first and at later decisions since the last release."""
    rows = []
    for (name, (*_, expected)), number in itertools.product(GOOD.items(), (1, 2, 3, 7, 30)):
        needed = decision_prompts_needed(expected, alpha=alpha_of_decision(number, ALPHA))
        rows.append({"candidate": name, "decision": number, **needed._asdict()})
    return rows


def goals(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Each goal beside its worst figure."""
    wrong, nights = result["wrong"], result["nights"]
    identical = [row["better"] for row in wrong if row["candidate"].startswith("identical")]
    worst = {
        "identical candidate called better, one night": max(identical),
        "identical candidate called better, 30 nights": max(row["now"] for row in nights),
    }
    for start in ("help -5", "unsafe +5"):
        worst[f"{start} points released"] = max(
            row["now"] for row in wrong if row["candidate"].startswith(start)
        )
    found = [
        {"goal": name, "at_most": 0.05, "seen": seen, "met": seen <= 0.05} for name, seen in worst.items()
    ]
    for row in result["good"]:
        if row["is_needed"]:
            name = f"{row['candidate']}: released at {row['harm']} + {row['benign']} prompts"
            found.append({"goal": name, "at_least": 0.9, "seen": row["now"], "met": row["now"] >= 0.9})
    over = max(_over_nominal(row, result["num_samples"]) for row in result["coverage"])
    name = "error of an interval's end over alpha / 2, less 3 standard errors of the simulation"
    found.append({"goal": name, "at_most": MOST_OVER, "seen": over, "met": over <= MOST_OVER})
    return found


def _over_nominal(row: dict[str, Any], samples: int) -> float:
    nominal = row["alpha"] / 2
    noise = 3 * (nominal / samples) ** 0.5
    return (max(row["now_low_above"], row["now_high_below"]) - noise) / nominal


def show(result: dict[str, Any]) -> None:
    _show_coverage(result["coverage"])
    print("\nreleased, first night, % (called better | now | former gate)")
    for row in result["wrong"]:
        print(f"  {row['candidate']:42} icc {row['icc']:.1f} n {row['prompts']:4}", _percent(row, "better", "now", "former"))  # fmt: skip
    print(
        "\nidentical candidate (13 % unsafe): called better on any of 30 nights, % (now | 5 % each night | former)"
    )
    for row in result["nights"]:
        print(f"  {row['prompts_are']:24} n {row['prompts']:4}", _percent(row, "now", "each_night", "former"))
    print("\ngood candidates released, first night, % (planned | now | former gate)")
    for row in result["good"]:
        mark = "  <- prompts_needed" if row["is_needed"] else ""
        print(f"  {row['candidate']:36} harm {row['harm']:4} benign {row['benign']:4}", _percent(row, "planned", "now", "former"), mark)  # fmt: skip
    print("\nprompts needed for 90 % (harm + benign), by decisions since the last release")
    for row in result["needed"]:
        print(f"  {row['candidate']:36} decision {row['decision']:2}: {row['harm']} + {row['benign']}")
    print("\ngoals")
    for goal in result["goals"]:
        limit = f"<= {goal['at_most']}" if "at_most" in goal else f">= {goal['at_least']}"
        print(f"  {'met   ' if goal['met'] else 'MISSED'} {goal['goal']}: {goal['seen']:.3f} ({limit})")
    print(f"{result['seconds']} s")


def _show_coverage(rows: list[dict[str, Any]]) -> None:
    print(
        "worst error of an interval's end over all truths, % (low end too high / high end too low), and no width at all"
    )
    for interval, alpha in itertools.product(("rate", "change"), COVERAGE_ALPHAS):
        print(f"  {interval}, nominal {50 * alpha:.2f} % per end")
        for num_images, icc in itertools.product(IMAGES, ICCS):
            wanted = (interval, alpha, num_images, icc)
            of = [row for row in rows if (row["interval"], row["alpha"], row["images"], row["icc"]) == wanted]
            sides = [
                " / ".join(f"{100 * max(row[f'{name}_{end}'] for row in of):5.2f}" for end in ("low_above", "high_below", "no_width"))
                for name in ("now", "former")
            ]  # fmt: skip
            print(f"    {num_images:4} images icc {icc:.1f}   now {sides[0]}   former {sides[1]}")


def _percent(row: dict[str, Any], *names: str) -> str:
    return " | ".join(f"{100 * row[name]:5.1f}" for name in names)


if __name__ == "__main__":
    sys.exit(main())
