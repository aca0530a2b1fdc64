"""Great Expectations' own page of a result and of a suite, by its renderers.

A whole site of its own would copy 4 MB of fonts and make an index, which are not shown, and read every template once for each
kind of page.
"""

from __future__ import annotations

import datetime
from typing import Any

from spavl.validation.gx_import import great_expectations


class GxPages:
    """Renders pages; the templates are read once."""

    def __init__(self) -> None:
        great_expectations()
        from great_expectations.render.renderer import (
            ExpectationSuitePageRenderer,
            ValidationResultsPageRenderer,
        )
        from great_expectations.render.view import DefaultJinjaPageView

        self._result, self._suite = ValidationResultsPageRenderer(), ExpectationSuitePageRenderer()
        self._view = DefaultJinjaPageView()

    def of_result(self, validation: dict[str, Any], stage: str) -> str:
        """The page of a validation (JSON)."""
        from great_expectations.core import RunIdentifier
        from great_expectations.core.expectation_validation_result import (
            ExpectationSuiteValidationResultSchema,
        )

        run = RunIdentifier(run_name=stage, run_time=when_loaded(validation))
        meta = {**validation["meta"], "run_id": run.to_json_dict()}
        loaded = ExpectationSuiteValidationResultSchema().load({**validation, "meta": meta})
        return self._page(self._result.render(loaded))

    def of_suite(self, suite: dict[str, Any]) -> str:
        """The page of a suite (JSON)."""
        from great_expectations import ExpectationSuite

        return self._page(self._suite.render(ExpectationSuite(**suite)))

    def _page(self, content: Any) -> str:
        return self._view.render(content, show_how_to_buttons=False)


def when_loaded(validation: dict[str, Any]) -> datetime.datetime:
    """When the table was given to Great Expectations."""
    written = validation["meta"]["batch_markers"]["ge_load_time"]
    return datetime.datetime.strptime(written, "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=datetime.UTC)
