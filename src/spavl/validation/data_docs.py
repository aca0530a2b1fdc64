"""Data Docs: a site of Great Expectations' own pages, one per folder, built from the results that were added to that folder.

`<folder>/results/<stage>.json` holds each result (no cell text), so that a folder shared by the stages of a run shows
them all and the site can be built again. Every page is whole by itself: it loads nothing and runs no script.
"""

from __future__ import annotations

import json
import shutil
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spavl.validation.gx_pages import GxPages, when_loaded
from spavl.validation.offline_pages import offline_page
from spavl.validation.report import Report
from spavl.validation.results_page import Checked, consequence, results_page

if TYPE_CHECKING:
    from spavl.validation.suite import Suite


def data_docs_style() -> str:
    """The stylesheet that is in every page."""
    return (resources.files("spavl.validation") / "templates" / "data_docs.css").read_text("utf-8")


def add_to_data_docs(folder: Path, suite: Suite, validation: dict[str, Any], report: Report) -> Path:
    """Add one stage's validation result (JSON, verdicts final) and build the site; returns the path of its first page."""
    from spavl.validation.looking import gx_suite

    _settle_verdicts(validation)
    validation["meta"]["batch_spec"]["data_asset_name"] = suite.name
    entry = {
        "suite": gx_suite(suite.name, enumerate(suite.expectations)).to_json_dict(),
        "validation": validation,
        "report": report.to_json(),
    }
    target = folder / "results" / f"{suite.name}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(entry, indent=1), "utf-8")
    return build_data_docs(folder)


def build_data_docs(folder: Path) -> Path:
    """The site of all results in the folder; returns the path of its first page."""
    for kind in ("validations", "expectations"):
        shutil.rmtree(folder / kind, ignore_errors=True)  # pages of results that were replaced
    style, pages, checked = data_docs_style(), GxPages(), []
    for stage, entry in _entries(folder).items():
        found = _checked(stage, entry)
        note = consequence(found.report)
        result, suite = pages.of_result(entry["validation"], stage), pages.of_suite(entry["suite"])
        _write(folder, found.page, result, title=f"Result by column: {stage}", note=note, style=style)
        _write(folder, found.suite_page, suite, title=f"Suite: {stage}", note="", style=style)
        checked.append(found)
    index = folder / "index.html"
    index.write_text(results_page(checked, style=style), "utf-8")
    return index


def _entries(folder: Path) -> dict[str, dict[str, Any]]:
    """What lies in `results/`, by stage."""
    return {
        path.stem: json.loads(path.read_text("utf-8")) for path in sorted((folder / "results").glob("*.json"))
    }


def _write(folder: Path, page: str, gx_page: str, **words: str) -> None:
    """Writes the page made whole by itself."""
    path = folder / page
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(offline_page(gx_page, home="../" * page.count("/") + "index.html", **words), "utf-8")


def _checked(stage: str, entry: dict[str, Any]) -> Checked:
    loaded_at = when_loaded(entry["validation"])
    return Checked(
        Report.from_json(entry["report"]),
        f"{loaded_at:%Y-%m-%d %H:%M} UTC",
        f"validations/{stage}/{stage}/{loaded_at:%Y%m%dT%H%M%S.%fZ}/{stage}.html",
        f"expectations/{stage}.html",
    )


def _settle_verdicts(validation: dict[str, Any]) -> None:
    """Makes the summary agree with the results, whose verdicts may have been settled after validation."""
    verdicts = [result["success"] for result in validation["results"]]
    validation["success"] = all(verdicts)
    validation["statistics"] |= {
        "successful_expectations": sum(verdicts),
        "unsuccessful_expectations": len(verdicts) - sum(verdicts),
        "success_percent": 100 * sum(verdicts) / len(verdicts),
    }
