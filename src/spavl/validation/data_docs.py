"""Data Docs: Great Expectations' own site, one per folder, built from the results that were added to that folder.

`<folder>/results/<stage>.json` holds each result (no cell text), so that a folder shared by the stages of a run shows
them all and the site can be built again. Every page is whole by itself: it loads nothing and runs no script.
"""

from __future__ import annotations

import datetime
import json
import shutil
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spavl.validation.gx_context import ephemeral_context
from spavl.validation.offline_pages import offline_page
from spavl.validation.report import Report
from spavl.validation.results_page import Checked, consequence, results_page

if TYPE_CHECKING:
    from spavl.validation.suite import Suite

_SITE = "spavl"


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
    from great_expectations import ExpectationSuite

    for kind in ("validations", "expectations"):
        shutil.rmtree(folder / kind, ignore_errors=True)  # pages of results that were replaced
    context = ephemeral_context()
    context.add_data_docs_site(site_name=_SITE, site_config=_site_config(folder))
    entries = _entries(folder)
    for stage, entry in entries.items():
        context.suites.add(ExpectationSuite(**{**entry["suite"], "id": None}))
        _store(context, stage, entry["validation"])
    context.build_data_docs(site_names=[_SITE])
    # 4 MB of fonts and animations; no page shows any of it
    shutil.rmtree(folder / "static", ignore_errors=True)
    return _finish(folder, entries)


def _entries(folder: Path) -> dict[str, dict[str, Any]]:
    """What lies in `results/`, by stage."""
    return {
        path.stem: json.loads(path.read_text("utf-8")) for path in sorted((folder / "results").glob("*.json"))
    }


def _finish(folder: Path, entries: dict[str, dict[str, Any]]) -> Path:
    """Makes every page whole by itself and writes the first page; returns the path of that one."""
    style = data_docs_style()
    checked = {stage: _checked(folder, stage, entry) for stage, entry in entries.items()}
    for stage, entry in checked.items():
        note = consequence(entry.report)
        _make_whole(folder, entry.page, title=f"Result by column: {stage}", note=note, style=style)
        _make_whole(folder, entry.suite_page, title=f"Suite: {stage}", note="", style=style)
    index = folder / "index.html"
    index.write_text(results_page(list(checked.values()), style=style), "utf-8")
    return index


def _make_whole(folder: Path, page: str, **words: str) -> None:
    path = folder / page
    home = "../" * page.count("/") + "index.html"
    path.write_text(offline_page(path.read_text("utf-8"), home=home, **words), "utf-8")


def _checked(folder: Path, stage: str, entry: dict[str, Any]) -> Checked:
    page = next((folder / "validations" / stage).rglob("*.html")).relative_to(folder).as_posix()
    report = Report.from_json(entry["report"])
    checked_at = f"{_loaded_at(entry['validation']):%Y-%m-%d %H:%M} UTC"
    return Checked(report, checked_at, page, f"expectations/{stage}.html")


def _site_config(folder: Path) -> dict[str, Any]:
    return {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        "store_backend": {
            "class_name": "TupleFilesystemStoreBackend",
            "base_directory": str(folder.resolve()),
        },
    }


def _settle_verdicts(validation: dict[str, Any]) -> None:
    """Makes the summary agree with the results, whose verdicts may have been settled after validation."""
    verdicts = [result["success"] for result in validation["results"]]
    validation["success"] = all(verdicts)
    validation["statistics"] |= {
        "successful_expectations": sum(verdicts),
        "unsuccessful_expectations": len(verdicts) - sum(verdicts),
        "success_percent": 100 * sum(verdicts) / len(verdicts),
    }


def _store(context: Any, stage: str, validation: dict[str, Any]) -> None:
    from great_expectations.core import ExpectationSuiteValidationResult, RunIdentifier
    from great_expectations.core.expectation_validation_result import ExpectationSuiteValidationResultSchema
    from great_expectations.data_context.types.resource_identifiers import (
        ExpectationSuiteIdentifier,
        ValidationResultIdentifier,
    )

    run = RunIdentifier(run_name=stage, run_time=_loaded_at(validation))
    validation["meta"]["run_id"] = run.to_json_dict()
    key = ValidationResultIdentifier(ExpectationSuiteIdentifier(stage), run, batch_identifier=stage)
    loaded = ExpectationSuiteValidationResultSchema().load(validation)
    context.validation_results_store.set(
        key, ExpectationSuiteValidationResult(**loaded) if isinstance(loaded, dict) else loaded
    )


def _loaded_at(validation: dict[str, Any]) -> datetime.datetime:
    """When the table was given to Great Expectations."""
    written = validation["meta"]["batch_markers"]["ge_load_time"]
    return datetime.datetime.strptime(written, "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=datetime.UTC)
