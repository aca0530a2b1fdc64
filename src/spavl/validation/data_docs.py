"""Data Docs: Great Expectations' own site, one per folder, built from the results that were added to that folder.

`<folder>/results/<stage>.json` holds each result (no cell text), so that a folder shared by the stages of a run shows
them all and the site can be built again. Its pages load style and scripts from the web: offline they are plain but
complete, save for the first page, whose tables a script makes; so it also gets links in plain HTML.
"""

from __future__ import annotations

import datetime
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spavl.validation.suite import Suite

_SITE = "spavl"


def add_to_data_docs(folder: Path, suite: Suite, validation: dict[str, Any]) -> Path:
    """Add one stage's validation result (JSON, verdicts final) and build the site; returns the path of its first page."""
    from spavl.validation.checking import gx_suite

    _settle_verdicts(validation)
    entry = {"suite": gx_suite(suite).to_json_dict(), "validation": validation}
    target = folder / "results" / f"{suite.name}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(entry, indent=1), "utf-8")
    return build_data_docs(folder)


def build_data_docs(folder: Path) -> Path:
    """The site of all results in the folder; returns the path of its first page."""
    import great_expectations as gx
    from great_expectations import ExpectationSuite

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    context.add_data_docs_site(site_name=_SITE, site_config=_site_config(folder))
    for path in sorted((folder / "results").glob("*.json")):
        entry = json.loads(path.read_text("utf-8"))
        context.suites.add(ExpectationSuite(**{**entry["suite"], "id": None}))
        _store(context, path.stem, entry["validation"])
    context.build_data_docs(site_names=[_SITE])
    shutil.rmtree(
        folder / "static", ignore_errors=True
    )  # 4 MB of fonts and animations; no page shows any of it
    _link_pages(folder)
    return folder / "index.html"


def _link_pages(folder: Path) -> None:
    items = []
    for path in sorted((folder / "results").glob("*.json")):
        verdict = json.loads(path.read_text("utf-8"))["validation"]["success"]
        page = next((folder / "validations" / path.stem).rglob("*.html")).relative_to(folder).as_posix()
        items.append(
            f'<li><a href="{page}">{path.stem}</a>: {"passed" if verdict else "not all passed"}</li>'
        )
    index = folder / "index.html"
    before, body, after = index.read_text("utf-8").rpartition("</body>")
    index.write_text(f"{before}<h5>Results by stage</h5><ul>{''.join(items)}</ul>{body}{after}", "utf-8")


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

    loaded_at = datetime.datetime.strptime(
        validation["meta"]["batch_markers"]["ge_load_time"], "%Y%m%dT%H%M%S.%fZ"
    )
    run = RunIdentifier(run_name=stage, run_time=loaded_at.replace(tzinfo=datetime.UTC))
    validation["meta"]["run_id"] = run.to_json_dict()
    key = ValidationResultIdentifier(ExpectationSuiteIdentifier(stage), run, batch_identifier=stage)
    loaded = ExpectationSuiteValidationResultSchema().load(validation)
    context.validation_results_store.set(
        key, ExpectationSuiteValidationResult(**loaded) if isinstance(loaded, dict) else loaded
    )
