"""Requests that S3 sees in a first night and in a second one with nothing new, stage by stage: moto counts them itself.

    python -m tests.benchmarks.scale_requests            # 1,000 images, 3,000 questions, 4 models; about ten minutes

Simplified, and said in its output: models are fakes, judges are the demo's rules, every step is a process of its own with
one shard per group, the suites only warn, and the images are read from this disk.
"""

from __future__ import annotations

import argparse
import collections
import logging
import os
import tempfile
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tests.benchmarks.scale_night import keep, only_warning
from tests.line import spavl, write_profile
from werkzeug.serving import make_server

from spavl.artifacts.store import open_store
from spavl.pipeline import BY_NAME, DAGS
from spavl.plan import read_plan

BUCKET = "spavl-requests"
BEFORE = 20_009  # the first night of the same size before tables were parts and images were packed
GOAL = 2_500


class Counted:
    """moto's S3 as a WSGI application that counts what reaches it."""

    def __init__(self) -> None:
        from moto.server import DomainDispatcherApplication, create_backend_app

        self._app: Any = DomainDispatcherApplication(create_backend_app)
        self.counts: collections.Counter[str] = collections.Counter()

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        kind = "LIST" if "list-type" in environ.get("QUERY_STRING", "") else environ["REQUEST_METHOD"]
        self.counts[kind] += 1
        return self._app(environ, start)

    def taken(self) -> collections.Counter[str]:
        counts, self.counts = self.counts, collections.Counter()
        return counts


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--per-leaf", type=int, default=11, help="images per leaf of the taxonomy")
    parser.add_argument("--per-benign", type=int, default=27, help="images per benign concept")
    parser.add_argument("--result", help="JSON file to keep the figures in")
    arguments = parser.parse_args()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = Counted()
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}", "SPAVL_STORE": f"s3://{BUCKET}/store",
    }  # fmt: skip
    _make_bucket()
    with tempfile.TemporaryDirectory(prefix="spavl-requests-") as folder:
        profile = write_profile(
            Path(folder),
            num_per_leaf=arguments.per_leaf,
            num_per_benign=arguments.per_benign,
            questions={"num_benign_controls": 3},
            dataset={"hold_out_words": False},
        )
        nights = [_night(Path(folder) / f"home{night}", profile, app, night) for night in (1, 2)]
    server.shutdown()
    keep(arguments.result, {"before": BEFORE, "goal": GOAL, "requests": nights})


def _make_bucket() -> None:
    import boto3

    boto3.client("s3").create_bucket(Bucket=BUCKET)


def _night(home: Path, profile: Path, app: Counted, night: int) -> dict[str, dict[str, int]]:
    app.taken()
    name = f"night {night}"
    run = ("--run-id", spavl(home, "plan", "--dag", "refresh_preferences", "--airflow-run-id", name, "--profile", str(profile)).run_id)  # fmt: skip
    counts = {"plan": app.taken()}
    store = open_store()
    only_warning(store, read_plan(store, run[1]))
    app.taken()
    for stage in DAGS["refresh_preferences"]:
        rows = _stage(home, stage, run)
        counts[stage] = app.taken()
        print(
            f"night {night} {stage:12} {rows:7,} rows {counts[stage].total():6,} requests {dict(counts[stage])}",
            flush=True,
        )
    total = sum(count.total() for count in counts.values())
    before = f" (before: {BEFORE:,}; goal: {GOAL:,})" if night == 1 else ""
    print(
        f"night {night}: {total:,} requests, {counts['plan'].total()} of them for the plan{before}",
        flush=True,
    )
    return {stage: dict(of) for stage, of in counts.items()}


def _stage(home: Path, stage: str, run: tuple[str, str]) -> int:
    if BY_NAME[stage].is_sharded:
        for group in spavl(home, "prepare", stage, *run).groups:
            for shard in range(group["num_shards"]):
                spavl(
                    home,
                    stage,
                    *run,
                    "--group",
                    group["group"],
                    "--shard",
                    f"{shard}/{group['num_shards']}",
                    timeout_s=1200,
                )
    return spavl(home, "seal", stage, *run).counts["rows"]


if __name__ == "__main__":
    main()
