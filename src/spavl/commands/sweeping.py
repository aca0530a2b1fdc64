"""The command `sweep`: removes objects on the cluster that nobody watches any more."""

from __future__ import annotations

import argparse
import asyncio

from spavl.outcome import Outcome
from spavl.profiles import load_config


def sweep(arguments: argparse.Namespace) -> Outcome:
    config = load_config(arguments.profile, arguments.overrides)
    if config.launch.kind != "kubernetes":
        return Outcome(
            "sweep",
            counts={"removed": 0},
            next_step=f"Profile {arguments.profile!r} runs its stages on this machine: there is nothing to sweep.",
        )
    from spavl.launch.sweep import sweep as sweep_cluster

    swept = asyncio.run(sweep_cluster(config.launch, config.installation))
    for words in swept.removed:
        print(f"removed {words}", flush=True)
    return Outcome("sweep", counts={"seen": swept.num_seen, "removed": len(swept.removed)})
