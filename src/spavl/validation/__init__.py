"""The seam to Great Expectations: reads one suite and one table, gives one plain report and a page of Data Docs.

Promises: a suite that says something unknown is refused before it runs, an expectation that looked at no value has not
passed, and neither report nor docs ever hold the text of a prompt or of a response.
"""

from spavl.validation.checking import check
from spavl.validation.data_docs import build_data_docs
from spavl.validation.folder import find_suite, suites_folder
from spavl.validation.report import Report, Result
from spavl.validation.suite import Expectation, Suite, load_suite

__all__ = [
    "Expectation",
    "Report",
    "Result",
    "Suite",
    "build_data_docs",
    "check",
    "find_suite",
    "load_suite",
    "suites_folder",
]
