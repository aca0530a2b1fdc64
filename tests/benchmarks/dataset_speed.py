"""How long a dataset version takes, and how much memory: `python -m tests.benchmarks.dataset_speed --pairs 100258`.

Makes the tables of a night (one pair per question, three questions per image, every question in words of its own) and random
image bytes, and seals `dataset` in a fresh process as the runner does: the stage, its table as parts, its side tables, its
folder, the suite. Then a second version, with 5 % more images, refers to the first. Random bytes do not compress, so
sizes are those of photographs. Prints one JSON line per version.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from spavl.artifacts.parts import Table, write_parts
from spavl.artifacts.record import Record, record_path
from spavl.artifacts.store import Store, open_store
from spavl.records import arrow_schema
from spavl.stages.images.rows import Image
from spavl.stages.preferences.rows import Preference
from spavl.stages.questions.rows import Question

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from spavl.artifacts.blobs import Packing

IMAGE_BYTES = 24_000
QUESTIONS_PER_IMAGE = 3
NEW_SHARE = 0.05
FIRST, SECOND = "20260101-aaaaaaaaaa", "20260102-bbbbbbbbbb"
HARM_LEAVES = [(f"domain{n % 6}", f"category{n % 15}", f"leaf{n}") for n in range(53)]


def main() -> None:
    """Without --run: make the tables and start one process per version."""
    options = _options()
    if options.run:
        _seal(open_store(options.store), options.run)
        return
    with tempfile.TemporaryDirectory(prefix="spavl-dataset-", dir=options.folder) as folder:
        url = f"file://{folder}/store"
        num_images = options.pairs // QUESTIONS_PER_IMAGE
        sizes = (
            {FIRST: num_images}
            if options.one_night
            else {FIRST: num_images, SECOND: int(num_images * (1 + NEW_SHARE))}
        )
        for run_id, number in sizes.items():
            _make_night(open_store(url), run_id, number, options.image_bytes)
        for run_id in sizes:
            command = [
                sys.executable,
                "-m",
                "tests.benchmarks.dataset_speed",
                "--store",
                url,
                "--run",
                run_id,
            ]
            subprocess.run([*command, "--pairs", str(options.pairs)], check=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pairs", type=int, default=100_258)
    parser.add_argument("--image-bytes", type=int, default=IMAGE_BYTES)
    parser.add_argument("--one-night", action="store_true", help="no second version")
    parser.add_argument("--folder", help="where the store is made and removed; default: the system's")
    parser.add_argument("--store", help=argparse.SUPPRESS)
    parser.add_argument("--run", help=argparse.SUPPRESS)
    return parser.parse_args()


# ---------------------------------------------------------------------- the tables of a night


def _make_night(store: Store, run_id: str, num_images: int, num_bytes: int = IMAGE_BYTES) -> None:
    with store.packing() as packing:
        image_ids = [_image(packing, number, num_bytes) for number in range(num_images)]
    tables = {"images": _images(image_ids), **_about(image_ids)}
    for stage, table in tables.items():
        parts = write_parts(store, stage, table.schema, [table])
        entry = {"table": Table("", table.num_rows, parts).to_json()}
        record = Record(run_id, stage, f"{run_id}/{stage}", "2026-01-01T00:00:00Z", "test", {}, {}, entry)
        store.write(record_path(run_id, stage), record.to_json())


def _image(packing: Packing, number: int, num_bytes: int) -> str:
    import numpy as np

    return packing.put(np.random.default_rng(number).bytes(num_bytes))


def _leaf(number: int) -> tuple[str, str, str]:
    return ("benign",) * 3 if number % 2 == 0 else HARM_LEAVES[number // 2 % len(HARM_LEAVES)]


def _images(image_ids: list[str]) -> pa.Table:
    import pyarrow as pa

    number = len(image_ids)
    leaves = list(zip(*(_leaf(n) for n in range(number)), strict=True))
    columns = {
        "id": image_ids,
        "source": ["made"] * number,
        "source_key": image_ids,
        **dict(zip(("class1", "class2", "class3"), leaves, strict=True)),
        "licence": ["CC0-1.0"] * number,
        "caption": [None] * number,
        "provided_question": [None] * number,
        "provided_question_kind": [None] * number,
        "width_px": [256] * number,
        "height_px": [256] * number,
        "num_bytes": [IMAGE_BYTES] * number,
        "format": ["JPEG"] * number,
        "perceptual_hash": [hashlib.sha256(image_id.encode()).hexdigest()[:16] for image_id in image_ids],
    }
    return pa.table(columns, arrow_schema(Image))


def _about(image_ids: list[str]) -> dict[str, pa.Table]:
    """Questions, and one preference to each."""
    import numpy as np
    import pyarrow as pa

    number = len(image_ids) * QUESTIONS_PER_IMAGE
    ids = [hashlib.sha256(f"q{n}".encode()).hexdigest()[:32] for n in range(number)]
    of_image = [image_id for image_id in image_ids for _ in range(QUESTIONS_PER_IMAGE)]
    leaves = [_leaf(n // QUESTIONS_PER_IMAGE) for n in range(number)]
    kinds = ["benign_control" if leaf[0] == "benign" else ("easy_question", "hard_question", "hard_statement")[n % 3] for n, leaf in enumerate(leaves)]  # fmt: skip
    texts = _texts(np.random.default_rng(1), number, 14)
    shared = {
        "image_id": of_image,
        **dict(zip(("class1", "class2", "class3"), zip(*leaves, strict=True), strict=True)),
        "kind": kinds,
    }
    questions = {name: ["x"] * number for name in arrow_schema(Question).names} | shared
    questions |= {
        "id": ids,
        "text": texts,
        "outcome": ["ok"] * number,
        "seed": [0] * number,
        "error": [None] * number,
    }
    preferences: dict[str, Any] = {name: ["x"] * number for name in arrow_schema(Preference).names} | shared
    preferences |= {
        "id": [hashlib.sha256(f"p{n}".encode()).hexdigest()[:32] for n in range(number)],
        "question_id": ids,
        "is_benign": [leaf[0] == "benign" for leaf in leaves],
        "question": texts,
        "chosen": _texts(np.random.default_rng(2), number, 60),
        "rejected": _texts(np.random.default_rng(3), number, 60),
        "chosen_model": [f"model{n % 12}" for n in range(number)],
        "rejected_model": [f"model{n % 11}" for n in range(number)],
        "chosen_group": [1] * number,
        "rejected_group": [0] * number,
        "decided_by": ["harmlessness"] * number,
        "margin": np.random.default_rng(4).random(number),
        "agreement": [1.0] * number,
        "comparisons": [["x"]] * number,
        "chosen_is_unsafe": [False] * number,
        "rejected_is_unsafe": [True] * number,
    }  # fmt: skip
    return {
        "questions": pa.table(questions, arrow_schema(Question)),
        "preferences": pa.table(preferences, arrow_schema(Preference)),
    }


def _texts(rng: np.random.Generator, number: int, num_words: int) -> list[str]:
    """Texts of some words out of 5,000, short ones more often; always the same first ones."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(letters[n] for n in rng.integers(0, 26, size)) for size in rng.integers(2, 9, 5000)]
    return [
        " ".join(words[n] for n in row) for row in (rng.random((number, num_words)) ** 2 * 5000).astype(int)
    ]


# ---------------------------------------------------------------------- one version, in a process of its own


def _seal(store: Store, run_id: str) -> None:
    from spavl.config.root import Config
    from spavl.plan import Plan
    from spavl.run.context import RunContext
    from spavl.stages.dataset import stage

    model, judge = {"kind": "fake", "name": "m"}, {"kind": "fake", "name": "j"}
    sections = {
        "responses": {"models": [model]},
        "judgements": {"judge": judge},
        "comparisons": {"judge": judge},
    }
    previous = {} if run_id == FIRST else {name: {"run_id": FIRST} for name in ("dataset", "images")}
    config = Config.model_validate({"profile": "test", **sections})
    plan = Plan(
        run_id, "refresh_preferences", "", "2026-01-01T00:00:00Z", "test", "test", overrides=[], suites={}, heads={},
        config=config.model_dump(mode="json"), revisions={"m": "1", "j": "1"}, previous=previous,
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="spavl-scratch-") as scratch:
        before, cpu = time.perf_counter(), time.process_time()
        context = RunContext(store, plan, "dataset", Path(scratch))
        sealed = stage.seal(context, [])
        of_stage, cpu_of_stage = time.perf_counter() - before, time.process_time() - cpu
        record = _stored(store, context, sealed)
        store.write(record_path(run_id, "dataset"), record.to_json())
        cpu_stored = time.process_time() - cpu
        passed = _validated(context, sealed, record)
        files = record.folders["version"]["files"]
        uploaded = sum(path.stat().st_size for path in sealed.folders["version"].rglob("*") if path.is_file())
        print(
            json.dumps(
                {
                    "version": sealed.details["version"],
                    "rows": record.tables["table"]["num_rows"],
                    "stage_s": round(of_stage, 2),
                    "wall_s": round(time.perf_counter() - before, 2),
                    "cpu_s": round(time.process_time() - cpu, 2),
                    "cpu_of": {
                        "stage": round(cpu_of_stage, 2),
                        "storing": round(cpu_stored - cpu_of_stage, 2),
                        "suite": round(time.process_time() - cpu - cpu_stored, 2),
                    },
                    "suite_passed": passed,
                    "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                    "folder_mb": round(sum(file["num_bytes"] for file in files.values()) / 1e6, 1),
                    "written_mb": round(uploaded / 1e6, 1),
                    "measures": hashlib.sha256(json.dumps(sealed.measures).encode()).hexdigest()[:8],
                }
            )
        )


def _validated(context: Any, sealed: Any, record: Record) -> bool:
    """The suite as the runner evaluates it, Data Docs too; whether it would let the version pass."""
    from spavl.artifacts.parts import table_of
    from spavl.preflight import suite_text
    from spavl.stages.dataset.rows import DatasetRow
    from spavl.validation import check, load_suite

    suite = load_suite(suite_text("dataset", context.config.expectations), DatasetRow)
    relation = context.tables.engine.relation_of(table_of(record), DatasetRow)
    report = check(
        relation,
        suite,
        stage="dataset",
        counts={"rows": record.tables["table"]["num_rows"], **sealed.counts},
        measures=sealed.measures,
        data_docs=context.scratch / "data_docs",
    )
    return report.passed


def _stored(store: Store, context: Any, sealed: Any) -> Record:
    """What the runner's seal does beside the suite."""
    from spavl.run.storing import relation_table, rows_table
    from spavl.stage import Derived
    from spavl.stages.dataset.rows import DatasetRow

    run: Any = SimpleNamespace(store=store, stage="dataset")
    engine, former = context.tables.engine, context.previous("dataset")
    if hasattr(sealed.rows, "create_view"):
        tables = {
            "table": relation_table(run, engine, sealed.rows, DatasetRow, former, "table", order=sealed.order)
        }
    else:
        tables = {"table": rows_table(run, sealed.rows, DatasetRow)}
    for name, side in sealed.side_tables.items():
        if isinstance(side, Derived):
            tables[name] = relation_table(run, engine, side.relation, side.row_type, former, name)
        elif side:
            tables[name] = rows_table(run, side, type(side[0]))
    path = f"runs/{context.run_id}/dataset/version"
    files = store.upload(sealed.folders["version"], path, sealed.finished["version"])
    for relative, file in getattr(sealed, "copied", {}).get("version", {}).items():
        store.copy(file.source, f"{path}/{relative}")
        files[relative] = {"sha256": file.sha256, "num_bytes": file.num_bytes}
    as_json = {name: table.to_json() for name, table in tables.items()}
    return Record(
        context.run_id, "dataset", "f", "2026-01-01T00:00:00Z", "test", {}, {}, as_json, {"version": {"path": path, "files": files}}
    )  # fmt: skip


if __name__ == "__main__":
    main()
