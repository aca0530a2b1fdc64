"""Commands that do one step of one stage: `prepare`, `<stage>` and `seal`. They import no launcher: a night starts one for each shard."""

from __future__ import annotations

import argparse

from spavl import ranks
from spavl import run as steps
from spavl.artifacts.store import Store, open_store
from spavl.errors import UserError
from spavl.outcome import Outcome
from spavl.pipeline import BY_NAME, DAGS
from spavl.plan import Plan, read_plan
from spavl.run.work_list import parse_shard


def prepare(arguments: argparse.Namespace) -> Outcome:
    store, made = _planned(arguments)
    return steps.prepare(store, made, arguments.stage)


def seal(arguments: argparse.Namespace) -> Outcome:
    store, made = _planned(arguments)
    return steps.seal(store, made, arguments.stage)


def stage(arguments: argparse.Namespace) -> Outcome:
    """One shard where --group is given; otherwise all steps of the stage, in this process."""
    store, made = _planned(arguments)
    name = arguments.command
    if arguments.group:
        return steps.work(store, made, name, arguments.group, *parse_shard(arguments.shard))
    if ranks.num_ranks() > 1:
        raise UserError(
            f"this is one of {ranks.num_ranks()} ranks, and without --group `{name}` runs all of its steps.",
            next_step=f"Run `spavl prepare {name}` first, the ranks with --group, then `spavl seal {name}`.",
        )
    if not BY_NAME[name].is_sharded:
        return steps.seal(store, made, name)
    for group in steps.prepare(store, made, name).groups:
        for shard in range(group["num_shards"]):
            steps.work(store, made, name, group["group"], shard, group["num_shards"])
    return steps.seal(store, made, name)


def _planned(arguments: argparse.Namespace) -> tuple[Store, Plan]:
    store = open_store()
    made = read_plan(store, arguments.run_id)
    name = getattr(arguments, "stage", None) or arguments.command
    if name not in DAGS[made.dag]:
        raise UserError(
            f"run {made.run_id} is a {made.dag} run, which has no stage `{name}`.",
            next_step=f"Its stages are {', '.join(DAGS[made.dag])}.",
        )
    return store, made
