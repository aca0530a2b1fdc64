"""The Airflow plugin: a "Report" and a "Data Docs" tab on every run of the two DAGs of the map, and "Safety history" in the menu.

Every Airflow process loads plugins, so this module imports nothing more; the pages are built at their first request.
Registered by the entry point `airflow.plugins`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

PREFIX = "/spavl"

_Message = MutableMapping[str, Any]


async def pages(
    scope: _Message, receive: Callable[[], Awaitable[_Message]], send: Callable[[_Message], Awaitable[None]]
) -> None:
    """The ASGI application under PREFIX."""
    from spavl.airflow.pages import app

    await app()(scope, receive, send)


def _base_path() -> str:
    """The path part of Airflow's own address, "" where it is served at the root."""
    return urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/")


def page_address(dag_id: str, run_id: str, page: str) -> str:
    """Where a run's page is, from the root of Airflow's own host; `run_id` is Airflow's or spavl's."""
    return f"{_base_path()}{PREFIX}/runs/{dag_id}/{run_id}/{page}"


def _run_tab(name: str, page: str) -> dict[str, Any]:
    # The UI replaces the two words in braces; it shows the tab on the runs of every DAG, and pages.py says where there is nothing
    return {
        "name": name,
        "href": page_address("{DAG_ID}", "{RUN_ID}", page),
        "destination": "dag_run",
        "url_route": f"spavl-{page.split('/')[0].replace('_', '-')}",
    }


class SpavlPlugin(AirflowPlugin):
    name = "spavl"
    fastapi_apps = [{"app": pages, "url_prefix": PREFIX, "name": "spavl"}]  # noqa: RUF012 - Airflow's own form
    external_views = [  # noqa: RUF012
        _run_tab("Report", "report"),
        _run_tab("Data Docs", "data_docs/"),
        {"name": "Safety history", "href": f"{_base_path()}{PREFIX}/history", "destination": "nav", "category": "browse", "url_route": "spavl-history"},
    ]  # fmt: skip
