"""A new stage is one row of the map and one folder: a copy of spavl gets both, and nothing else, and runs the stage."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import pytest
import yaml
from tests.line import spavl, store_of, write_profile

from spavl.artifacts.engine import small_engine
from spavl.artifacts.parts import table_of
from spavl.artifacts.record import read_record

ROOT = Path(__file__).resolve().parents[2]
TOY = ROOT / "tests" / "toy_stage"
ROW = """    StageInfo(
        "captions", "refresh_preferences", ("images",), "Caption", "inference", "rows", "what a model sees in every image"
    ),
"""


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a copy of the package with the toy stage."""
    folder = tmp_path_factory.mktemp("changed")
    package = folder / "spavl"
    shutil.copytree(ROOT / "src" / "spavl", package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(TOY, package / "stages" / "captions", ignore=shutil.ignore_patterns("__pycache__"))
    the_map = package / "pipeline.py"
    text = the_map.read_text()
    after_images = text.index('    StageInfo(\n        "questions"')
    the_map.write_text(text[:after_images] + ROW + text[after_images:])
    return folder


def test_it_runs_is_checked_reused_and_shown(changed: Path, tmp_path: Path) -> None:
    profile = write_profile(tmp_path, num_per_leaf=1, num_per_benign=1)
    values = yaml.safe_load(profile.read_text())
    values["captions"] = {"model": {"kind": "fake", "name": "eye", "replies": [f"<b>{n}</b>: {{id}}" for n in range(9)]}, "chunk_size": 7}  # fmt: skip
    profile.write_text(yaml.safe_dump(values))
    home = tmp_path / "home"

    def line(*argv: str, expect: int = 0):  # type: ignore[no-untyped-def]
        there = {"PYTHONPATH": str(changed), "SPAVL_EXPECTATIONS": str(ROOT / "expectations")}
        return spavl(home, *argv, expect=expect, **there)

    def night(name: str) -> str:
        run_id = line("plan", "--dag", "refresh_preferences", "--airflow-run-id", name, "--profile", str(profile)).run_id  # fmt: skip
        for stage, group in (("images", "drawings"), ("captions", "eye")):
            groups = line("prepare", stage, "--run-id", run_id).groups
            if groups:
                line(stage, "--run-id", run_id, "--group", group, "--shard", "0/1")
            sealed = line("seal", stage, "--run-id", run_id)
        assert sealed.counts["rows"] == sealed.counts["reused"] + sealed.counts["computed"]
        reused.append(sealed.counts["reused"])
        return run_id

    reused: list[int] = []
    run_id = night("one")
    store = store_of(home)
    images, captions = (read_record(store, run_id, stage) for stage in ("images", "captions"))
    assert captions is not None and images is not None
    assert captions.counts["rows"] == images.counts["rows"] > 20
    assert captions.details["measures"] == {"distinct_captions": float(images.counts["rows"])}
    assert captions.check["passed"] and len(captions.check["results"]) == 4
    with small_engine(store) as engine:
        rows = engine.relation_of(table_of(captions)).select("id, text").fetchall()
    assert all(text == f"<b>{text[3]}</b>: {id}" for id, text in rows)

    night("two")
    assert reused == [0, captions.counts["rows"]]
    line("report", "--run-id", run_id)
    folder = Path(store.url.removeprefix("file://")) / "runs" / run_id
    page = (folder / "report.html").read_text()
    assert "what a model sees in every image" in page
    headings = [page.index(f">{title}</h2>") for title in ("Images", "Captions", "Lineage")]
    assert headings == sorted(headings)
    assert f"<p>{captions.counts['rows']} ok.</p>" in page and '<div class="label">Captions</div>' in page
    # its texts are shown as all others are: if they are asked for
    assert not any(id[:12] in page for id, _ in rows)
    line("report", "--run-id", run_id, "--show-text")
    id, text = min(rows)
    shown = f"<code>{id[:12]}</code> &lt;b&gt;{text[3]}&lt;/b&gt;: {id}</p>"
    assert shown in (folder / "report-with-text.html").read_text()


def test_no_other_stage_was_touched_for_it() -> None:
    """The toy's own files name no other stage's files but rows and config, as the rule of imports has it for every stage."""
    names = {
        node.module
        for path in TOY.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module
    }
    assert {name for name in names if name.startswith("spavl.stages")} == {"spavl.stages.captions.rows"}
