"""Whole commands on an S3 that fails at one request or from it on: each says "try again", loses nothing, and goes on the next time."""

from __future__ import annotations

import functools
import itertools
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import boto3
import pytest
from tests.counted_s3 import FAULTS, LOST, CountedS3, counted_s3, files_in, put_files, remove_files
from tests.throttled import Files, Nights, content_of, forget_processes, make_nights, missing

import spavl.plan
from spavl.__main__ import main
from spavl.artifacts import s3_requests
from spavl.commands import pruning
from spavl.errors import EXIT_AGAIN
from spavl.outcome import Outcome, parse

BUCKET = "spavl-commands"
_NAMES = re.compile(r"[0-9a-f]{10,}|\d+|(?<=/)[0-9a-f]{2}(?=/)")  # of stores, runs, parts and entries
WORDS = {
    "throttled": "does not answer",
    "forbidden": "access is denied",
    "expired": "credentials have expired",
    "cut": "does not answer",
    LOST: "does not answer",
}


@dataclass(frozen=True)
class Command:
    """What a user types, and the store that it begins from."""

    argv: Callable[[Nights, Path], list[str]]
    begins_from: Callable[[Nights], Files] = lambda nights: nights.images_sealed
    exit_code: int = 0  # if nothing fails
    until: str = ""  # what follows the first request about it stops nothing, and is another command's


def _ids(nights: Nights, folder: Path) -> str:
    file = folder / "ids.txt"
    file.write_text(nights.other + "\n")
    return str(file)


PRUNE = ["prune", "--yes", "--keep-datasets", "1", "--keep-releases", "1"]
COMMANDS = {
    "prune": Command(lambda *_: [*PRUNE, "--keep-runs", "1"]),
    "prune --forgotten": Command(lambda *_: [*PRUNE, "--keep-runs", "9", "--forgotten"]),
    "forget": Command(lambda nights, folder: ["forget", "--images", _ids(nights, folder), "--reason", "asked to", "--by", "ben"]),
    "forget --check": Command(lambda *_: ["forget", "--check"], exit_code=3),
    "pin": Command(lambda nights, _: ["pin", "--run-id", nights.runs[0], "--reason", "the paper's", "--by", "ben"]),
    "plan": Command(lambda nights, _: ["plan", "--dag", "refresh_preferences", "--airflow-run-id", "next", "--profile", str(nights.profile)]),
    "prepare": Command(lambda nights, _: ["prepare", "questions", "--run-id", nights.runs[2]]),
    "seal": Command(lambda nights, _: ["seal", "questions", "--run-id", nights.runs[2]], lambda nights: nights.answered),
    "rollback": Command(lambda *_: ["rollback", "--reason", "drill", "--name", "drill of today"], until="channels/stable/000004.json"),
}  # fmt: skip


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Nights:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("nights")
        patch.setenv("SPAVL_HOME", str(folder / "home"))
        return make_nights(folder)


@pytest.fixture(scope="module")
def server() -> Iterator[CountedS3]:
    with counted_s3() as (application, address), pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ENDPOINT_URL", address)
        patch.setenv("AWS_MAX_ATTEMPTS", "1")  # so that a fault shows at once
        patch.setattr(s3_requests, "PAUSE_S", 0.001)
        patch.setattr(pruning, "MIN_AGE_S", -1.0)  # what a store of a minute ago does not list may go
        patch.setattr(spavl.plan, "suite_text", functools.cache(spavl.plan.suite_text))
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield application


class Bucket:
    """Stores in a bucket, one for each case, and the commands that run on them in this process."""

    def __init__(self, server: CountedS3, home: Path, capsys: Any, patch: pytest.MonkeyPatch) -> None:
        self.server, self._home, self._capsys, self._patch = server, home, capsys, patch
        self._prefix = ""

    def place(self, files: Files) -> None:
        if self._prefix:
            remove_files(BUCKET, self._prefix)
        self._prefix = uuid.uuid4().hex
        put_files(BUCKET, self._prefix, files)
        self._patch.setenv("SPAVL_STORE", f"s3://{BUCKET}/{self._prefix}")

    def files(self) -> dict[str, bytes]:
        return files_in(BUCKET, self._prefix)

    def run(self, argv: list[str]) -> tuple[int, Outcome]:
        forget_processes(self._home)
        exit_code = main(argv)
        outcome = parse(self._capsys.readouterr().out.strip().splitlines()[-1])
        assert outcome is not None and outcome.exit_code == exit_code
        return exit_code, outcome

    def end_process(self) -> None:
        """The lease of an ended process keeps nobody waiting on its own host, and this one has not ended."""
        left = [path for path in self.files() if "/leases/" in path]
        for path in left:
            remove_files(BUCKET, f"{self._prefix}/{path.rpartition('/')[0]}")


@pytest.fixture
def bucket(server: CountedS3, spavl_home: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    return Bucket(server, spavl_home, capsys, monkeypatch)


def cases(server: CountedS3, until: str) -> Iterator[tuple[int, str, bool]]:
    """(request, fault, whether it lasts), up to the first request about `until`.

    The first request of each kind about each sort of place fails once, which shows whether that was taken for an answer; from
    the first of each kind on all fail, which shows what is left behind.
    """
    faults, seen = itertools.cycle(FAULTS), set()
    named = (number for number, request in enumerate(server.requests) if until and until in request)
    for number, kind in enumerate(server.kinds[: next(named, len(server.kinds)) + 1]):
        place = unquote(server.requests[number]).partition("prefix=")[2] or server.requests[number]
        sort = kind, *_NAMES.sub("", place).split("/")[-4 if kind == "LIST" else 3 :][:3]
        if sort not in seen:
            yield number, next(faults), False
        if kind not in seen:
            yield number, next(faults), True
        seen |= {sort, kind}


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_store_that_fails_at_any_request_costs_a_command_nothing_but_time(
    nights: Nights, bucket: Bucket, tmp_path: Path, name: str
) -> None:
    command = COMMANDS[name]
    argv, files = command.argv(nights, tmp_path), command.begins_from(nights)
    bucket.place(files)
    bucket.server.count_anew()
    clean_code, clean = bucket.run(argv)
    requests, begun, expected = list(bucket.server.requests), content_of(files), content_of(bucket.files())
    assert clean_code == command.exit_code and missing(bucket.files()) == []

    for number, fault, is_lasting in list(cases(bucket.server, command.until)):
        what = f"{name}: {requests[number]} {fault}, {'from then on' if is_lasting else 'once'}"
        bucket.place(files)
        bucket.server.fail_at(number, fault, lasting=is_lasting)
        exit_code, outcome = bucket.run(argv)
        bucket.server.count_anew()
        if exit_code != EXIT_AGAIN:
            assert (exit_code, outcome.counts) == (clean_code, clean.counts), what
            assert content_of(bucket.files()) == expected, what
        else:
            assert WORDS[fault] in outcome.error and outcome.next_step, what
        assert missing(bucket.files()) == [], what
        bucket.end_process()
        if exit_code == EXIT_AGAIN and content_of(bucket.files()) != begun:
            exit_code, again = bucket.run(argv)
            assert exit_code == clean_code, f"{what}: {again}"
            assert content_of(bucket.files()) == expected, what


def test_a_rollback_without_a_name_says_how_to_go_on_if_its_reply_is_lost(
    nights: Nights, bucket: Bucket
) -> None:
    argv = ["rollback", "--reason", "drill"]
    bucket.place(nights.images_sealed)
    bucket.server.count_anew()
    bucket.run(argv)
    expected = content_of(bucket.files())
    created = next(number for number, path in enumerate(bucket.server.requests) if "000004.json" in path)
    for fault in ("cut", LOST):
        bucket.place(nights.images_sealed)
        bucket.server.fail_at(created, fault, lasting=True)
        exit_code, outcome = bucket.run(argv)
        assert exit_code == EXIT_AGAIN and "whether entry 4 was made" in outcome.error
        assert "--to 2" in outcome.next_step
        bucket.server.count_anew()
        exit_code, again = bucket.run([*argv, "--to", "2"])
        assert (exit_code, again.verdict) == (0, "already done" if fault == LOST else "done")
        assert content_of(bucket.files()) == expected
