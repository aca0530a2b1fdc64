"""Reads a run's plan, records, tables and failed checks; gives one self-contained HTML page about it, and one over all nights.

A run's page is a frame (how it ended, the stages, the checks, the lineage) and the sections that its stages bring
(`section`): this room knows the stages by their names alone.

Promises: nothing is fetched from anywhere, texts of questions and answers appear only when asked for (their columns are not
even read), and a run that failed or is not finished has a page too.
"""

from spavl.report.history_page import build_history
from spavl.report.page import build_report

__all__ = ["build_history", "build_report"]
