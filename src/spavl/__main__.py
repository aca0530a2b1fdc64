"""The command line: `spavl --help`. Parses, calls one function, prints one outcome line; everything else is elsewhere."""

from __future__ import annotations

import argparse
import getpass
import logging
import os
import signal
import sys
import traceback
from collections.abc import Sequence

from spavl import ranks
from spavl.errors import EXIT_BUG, Inconclusive, SpavlError
from spavl.pipeline import DAGS, STAGES


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 bug, 2 user's mistake, 3 check failed, 75 try again."""
    arguments = _parser().parse_args(argv)
    _end_on_sigterm()
    os.environ.setdefault(
        "PYDANTIC_DISABLE_PLUGINS", "1"
    )  # looking for some reads the entry points of all packages
    level = logging.WARNING if ranks.rank() else logging.INFO  # one of several ranks tells for all
    logging.basicConfig(level=level, format="%(message)s", stream=sys.stderr)
    for noisy in ("httpx", "httpx2", "openai", "great_expectations", "botocore", "aiobotocore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)  # they log request lines, and some of them content
    return _run(arguments)


def _end_on_sigterm() -> None:
    """The kernel gives SIGTERM no effect on the first process of a container: a stopped pod would wait out its grace period."""
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))


def _run(arguments: argparse.Namespace) -> int:
    from spavl import commands
    from spavl.outcome import Outcome, emit, verdict_of

    subject = getattr(arguments, "stage", None) or arguments.command
    step = arguments.command if arguments.command in ("prepare", "seal") else ""
    run_id = getattr(arguments, "run_id", None) or ""
    try:
        outcome = commands.COMMANDS[arguments.command](arguments)
    except SpavlError as error:
        print(f"spavl: {error}", file=sys.stderr)
        outcome = Outcome(
            subject,
            step,
            run_id,
            "inconclusive" if isinstance(error, Inconclusive) else verdict_of(error.exit_code),
            error.exit_code,
            error=error.message,
            next_step=error.next_step,
        )
    except KeyboardInterrupt:
        outcome = Outcome(
            subject,
            step,
            run_id,
            "again",
            130,
            error="interrupted",
            next_step="Run the same command again; it goes on where it stopped.",
        )
    except Exception as error:
        traceback.print_exc()
        outcome = Outcome(
            subject,
            step,
            run_id,
            "failed",
            EXIT_BUG,
            error=f"bug: {type(error).__name__}",
            next_step="The traceback is in the log.",
        )
    if outcome is None:
        return 0
    if outcome.exit_code:
        outcome = commands.keep_failure(outcome)
    if ranks.rank() == 0:
        emit(outcome)
    return outcome.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="spavl", description="Nightly safety-preference data and aligned vision-language models."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _run_commands(commands)
    _stage_commands(commands)
    _pod_commands(commands)
    _channel_commands(commands)
    _looking_commands(commands)
    _drill_command(commands)
    _gold_command(commands)
    return parser


def _run_commands(commands: argparse._SubParsersAction) -> None:
    plan = commands.add_parser("plan", help="write the plan of one run, once")
    plan.add_argument("--dag", required=True, choices=list(DAGS))
    plan.add_argument(
        "--airflow-run-id",
        required=True,
        help="any word that names the run; the same word gives the same run id",
    )
    plan.add_argument(
        "--logical-date", help="ISO time the run stands for; a refresh of a past night is refused"
    )
    plan.add_argument(
        "--dataset-run", help="run whose dataset version is aligned on; default: the channel's head"
    )
    _profile_arguments(plan)
    run = commands.add_parser("run", help="plan and run all stages here, without Airflow")
    run.add_argument("--dag", choices=list(DAGS), help="only this one; default: both, one after the other")
    run.add_argument(
        "--name", help="name of the run; the same name goes on with the same run; default: a new one"
    )
    _profile_arguments(run)


def _stage_commands(commands: argparse._SubParsersAction) -> None:
    for step, words in (
        ("prepare", "write a stage's work list"),
        ("seal", "check a stage's rows and record them"),
    ):
        parser = commands.add_parser(step, help=words)
        parser.add_argument(
            "stage", choices=[stage.name for stage in STAGES if stage.is_sharded or step == "seal"]
        )
        parser.add_argument("--run-id", required=True)
    for stage in STAGES:
        parser = commands.add_parser(stage.name, help=f"run a stage, or one shard of it: {stage.summary}")
        parser.add_argument("--run-id", required=True)
        parser.add_argument(
            "--group", help="only this group's shard, as `prepare` listed it; default: all steps of the stage"
        )
        parser.add_argument("--shard", default="0/1", help="i/n, 0-based")


def _pod_commands(commands: argparse._SubParsersAction) -> None:
    weights = commands.add_parser(
        "weights", help="fetch the pinned weights of a run's vLLM model into a folder"
    )
    weights.add_argument("--run-id", required=True)
    weights.add_argument("--model", required=True, help="the model's name in the profile")
    weights.add_argument("--folder", required=True, help="cache that pods may share")


def _channel_commands(commands: argparse._SubParsersAction) -> None:
    releases = commands.add_parser("releases", help="show a channel's history")
    releases.add_argument("--channel", default="stable")
    rollback = commands.add_parser(
        "rollback", help="point a channel back to an earlier entry, by a new entry"
    )
    rollback.add_argument("--channel", default="stable")
    rollback.add_argument("--to", type=int, help="entry number; default: the one before the head's")
    rollback.add_argument("--reason", required=True, help="why, for the log")
    rollback.add_argument(
        "--name", help="any word that names the rollback; the same word again changes nothing"
    )
    approve = commands.add_parser("approve", help="approve or reject a release that waits for a person")
    approve.add_argument("--run-id", required=True)
    decision = approve.add_mutually_exclusive_group(required=True)
    decision.add_argument("--approve", action="store_true", help="let the release be published")
    decision.add_argument(
        "--reject", action="store_false", dest="approve", help="the run ends as failed; nothing is published"
    )
    approve.add_argument("--reason", required=True, help="why, for the log")
    approve.add_argument("--by", help="who decides; default: the user of this machine")
    _retention_commands(commands)
    sweep = commands.add_parser("sweep", help="remove jobs on the cluster that nobody watches any more")
    _profile_arguments(sweep)


def _retention_commands(commands: argparse._SubParsersAction) -> None:
    prune = commands.add_parser(
        "prune", help="show what is kept and why and what would go; remove it with --yes"
    )
    for option, default, words in (
        ("--keep-runs", 7, "newest runs of all that are kept"),
        ("--keep-datasets", 14, "newest dataset versions that are kept per channel"),
        ("--keep-releases", 30, "newest releases that are kept per channel"),
    ):
        prune.add_argument(
            option, type=_natural, default=default, metavar="N", help=f"{words} (default: {default})"
        )
    prune.add_argument(
        "--older-than-days",
        type=float,
        default=0,
        metavar="DAYS",
        help="younger versions stay, whatever their number",
    )
    prune.add_argument(
        "--forgotten",
        action="store_true",
        help="runs with images of `spavl forget` stay only as a channel's head, if they are pinned, or if these need them",
    )
    prune.add_argument("--yes", action="store_true", help="remove what is shown")
    pin = commands.add_parser("pin", help="keep a run whatever its age, until it is pinned no longer")
    pin.add_argument("--run-id", required=True)
    pin.add_argument("--by", default=getpass.getuser(), help="who pins it; default: the user of this machine")
    what = pin.add_mutually_exclusive_group(required=True)
    what.add_argument("--reason", help="why, for the list that `prune` shows")
    what.add_argument("--remove", action="store_true", help="pin it no longer")
    forget = commands.add_parser(
        "forget", help="never use images again, nor what came from them; --check searches the store for them"
    )
    forget.add_argument("--images", metavar="FILE", help="their ids (sha256 of the bytes, hex), one per line")
    forget.add_argument("--by", help="who signs it off; default: the user of this machine")
    forget.add_argument("--reason", help="why, for the list")
    forget.add_argument(
        "--check",
        action="store_true",
        help="search all tables, images and published files; exit code 3 if any is found",
    )


def _natural(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0")
    return int(text)


def _looking_commands(commands: argparse._SubParsersAction) -> None:
    status = commands.add_parser("status", help="show runs and how far each stage is")
    status.add_argument("--run-id", help="only this run")
    report = commands.add_parser("report", help="write a run's HTML report")
    report.add_argument("--run-id", required=True)
    report.add_argument(
        "--show-text", action="store_true", help="include question and answer texts; off, rows are ids"
    )
    history = commands.add_parser("history", help="write the page over all nights and releases")
    history.add_argument("--nights", type=int, default=60, help="how many of the newest (default: 60)")
    config = commands.add_parser("config", help="print a profile, resolved")
    _profile_arguments(config)
    doctor = commands.add_parser("doctor", help="say what this machine lacks for a profile")
    _profile_arguments(doctor)


def _drill_command(commands: argparse._SubParsersAction) -> None:
    drill = commands.add_parser(
        "drill", help="attack the line with named poisons, and say which expectation stops which"
    )
    drill.add_argument("--list", action="store_true", help="show the poisons and end")
    drill.add_argument(
        "--only", action="append", default=[], metavar="POISON", help="only this poison; may be repeated"
    )
    drill.add_argument("--family", action="append", default=[], help="only this family; may be repeated")
    drill.add_argument(
        "--cheap", action="store_true", help="only poisons that need no new answers and no training"
    )
    drill.add_argument(
        "--honest",
        type=int,
        default=0,
        metavar="N",
        help="so many honest nights beside them, to count false alarms",
    )
    drill.add_argument(
        "--from-run",
        metavar="RUN",
        help="start from this released run of align_model instead of a demo night",
    )
    drill.add_argument(
        "--tables-of",
        metavar="RUN",
        help="poison the recorded tables of this refresh run instead; asks no model",
    )
    drill.add_argument(
        "--min-kill-rate",
        type=float,
        default=0.95,
        metavar="SHARE",
        help="below it the exit code is 3 (default: 0.95)",
    )
    drill.add_argument(
        "--time-limit",
        type=float,
        metavar="SECONDS",
        help="start no further poison after so long; the same command goes on",
    )
    drill.add_argument(
        "--name", default="demo", help="folder under SPAVL_HOME/drill; the same name goes on (default: demo)"
    )
    _profile_arguments(drill)


def _gold_command(commands: argparse._SubParsersAction) -> None:
    gold = commands.add_parser(
        "gold", help="check the gold set that judges are tried with, or carry it from and to annotation tools"
    )
    gold.add_argument(
        "action",
        choices=("check", "import", "export"),
        help="check: of a file, or of the profile; import: a tool's file as CSV; export: a set as a tool's file",
    )
    gold.add_argument("--format", choices=("csv", "label-studio", "argilla"), default="csv")
    gold.add_argument(
        "--from", dest="source", help="the file; for export a shipped set (placeholder, demo) or a CSV"
    )
    gold.add_argument("--to", help="the file to write")
    _profile_arguments(gold)


def _profile_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--profile", default="demo", help="name of a shipped profile, or path of a .yaml file (default: demo)"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        dest="overrides",
        help="override one value; may be repeated",
    )


if __name__ == "__main__":
    sys.exit(main())
