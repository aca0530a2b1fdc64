"""Serves a run's report and Data Docs from the store to users who may read that run in Airflow, and the page over all nights to
users who may read the runs of both DAGs.

Files come from `history.html`, `runs/<spavl run>/report.html` and `runs/<spavl run>/data_docs/` only; the store refuses every path that
climbs. No page may run a script or load anything from elsewhere: it is shown in the origin of Airflow's own UI. The
pages of spavl do neither, and the headers say so to the browser as well.
"""

from __future__ import annotations

import functools
import html
import json
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from spavl.artifacts.store import Store, open_store
from spavl.errors import SpavlError, UserError
from spavl.pipeline import DAGS, STAGES
from spavl.plan import read_plan
from spavl.validation.data_docs import data_docs_style
from spavl.validation.report import Report

if TYPE_CHECKING:
    from collections.abc import Callable

CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".ttf": "font/ttf",
}
RUN_ID = re.compile(r"^\d{8}-[0-9a-f]{10}$")
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, no-cache",
}


def may_read_run() -> Callable[..., None]:
    """Airflow's own check that the request's user may read runs of the DAG in the path."""
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
    from airflow.api_fastapi.core_api.security import requires_access_dag

    return requires_access_dag("GET", DagAccessEntity.RUN)


def may_read_runs_of(dag_id: str) -> Callable[..., None]:
    """The same for a DAG that the path does not name."""
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
    from airflow.api_fastapi.core_api.security import requires_access_dag

    return requires_access_dag("GET", DagAccessEntity.RUN, dag_id)


def spavl_run_of(request: Request, dag_id: str, run_id: str) -> str:
    """The spavl run id that the run's `plan` task returned; raises a 404 where it has returned none.

    Reports name other runs by their spavl ids: such a link leads on to the address of the DAG that made that run, where
    the reader's permission is asked again.
    """
    if RUN_ID.match(run_id):
        dag_of_run = read_plan(open_store(), run_id).dag
        if dag_of_run == dag_id:
            return run_id
        raise HTTPException(
            307, headers={"Location": request.url.path.replace(f"/{dag_id}/", f"/{dag_of_run}/", 1)}
        )
    value = _returned_by_plan(dag_id, run_id)
    if not RUN_ID.match(str(value)):
        raise HTTPException(
            404, "This run has no plan: it is about to start, was skipped, or failed before it had one."
        )
    return str(value)


def _returned_by_plan(dag_id: str, run_id: str) -> object:
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    with create_session() as session:
        query = XComModel.get_many(
            run_id=run_id, key="return_value", task_ids="plan", dag_ids=dag_id, limit=1
        )
        entry = session.scalars(query).first()
        return XComModel.deserialize_value(entry) if entry else None


SpavlRun = Annotated[str, Depends(spavl_run_of)]
TheStore = Annotated[Store, Depends(lambda: open_store())]


@functools.cache
def app() -> FastAPI:
    """The pages, each behind Airflow's permission check."""
    made = FastAPI(title="spavl", docs_url=None, redoc_url=None, openapi_url=None)
    allowed = [Depends(may_read_run())]
    made.get("/runs/{dag_id}/{run_id}/report", dependencies=allowed)(report)
    made.get("/runs/{dag_id}/{run_id}/report.html", dependencies=allowed)(report)
    made.get("/runs/{dag_id}/{run_id}/benchmarks/logs/{name}", dependencies=allowed)(benchmark_log)
    made.get("/runs/{dag_id}/{run_id}/data_docs/", dependencies=allowed)(data_docs_index)
    made.get("/runs/{dag_id}/{run_id}/data_docs/{path:path}", dependencies=allowed)(data_docs_file)
    of_all = [Depends(may_read_runs_of(dag_id)) for dag_id in DAGS]
    made.get("/history", dependencies=of_all)(history)
    made.get("/runs/history.html", dependencies=of_all)(to_history)
    made.get("/runs/{spavl_run}/report.html", dependencies=of_all)(to_report)
    made.add_exception_handler(HTTPException, problem)
    made.add_exception_handler(SpavlError, no_such_run)
    return made


def history(store: TheStore) -> Response:
    """The page over all nights, as the last report or channel entry left it."""
    return _file(store, "history.html", "The page is written by the first run's last task.")


def to_history(request: Request) -> Response:
    """Where a report's link to the page over all nights leads."""
    return RedirectResponse(request.url.path.removesuffix("/runs/history.html") + "/history")


def to_report(spavl_run: str, request: Request, store: TheStore) -> Response:
    """Where the links of the page over all nights lead: to the DAG that made the run, which asks for permission again."""
    dag_id = read_plan(store, spavl_run).dag
    return RedirectResponse(request.url.path.replace("/runs/", f"/runs/{dag_id}/", 1))


def report(spavl_run: SpavlRun, store: TheStore) -> Response:
    """The run's report."""
    return _file(store, f"runs/{spavl_run}/report.html", "The report is written by the run's last task.")


def benchmark_log(name: str, spavl_run: SpavlRun, store: TheStore) -> Response:
    """How to open one of Inspect's logs: it holds prompts and answers, so it is not shown in Airflow."""
    folder = f"runs/{spavl_run}/benchmarks/logs"
    if name not in store.names(folder):
        raise HTTPException(404, "The run has no such log.")
    command = html.escape(f"inspect view start --log-dir {store.url_of(folder)}")
    words = f"<p>{html.escape(name)} holds prompts and answers, which Airflow never shows. Whoever may read the store opens it with</p>"
    return _page("A log of Inspect", f"{words}<pre>{command}</pre>")


def data_docs_index(spavl_run: SpavlRun, store: TheStore) -> Response:
    """One line for each stage that was checked: whether it passed, and a link to what was seen."""
    folder = f"runs/{spavl_run}/data_docs"
    present = set(store.names(folder))
    rows = [_checked(store, folder, stage.name) for stage in STAGES if stage.name in present]
    if not rows:
        raise HTTPException(404, "No stage of this run has been checked yet.")
    head = "<tr><th>stage</th><th>verdict</th><th>expectations met</th></tr>"
    return _page(f"Data Docs of run {spavl_run}", f"<table>{head}{''.join(rows)}</table>")


def data_docs_file(path: str, spavl_run: SpavlRun, store: TheStore) -> Response:
    """One file of the Data Docs."""
    return _file(store, f"runs/{spavl_run}/data_docs/{path}", "The Data Docs have no such page.")


def _checked(store: Store, folder: str, stage: str) -> str:
    seen = json.loads(store.read(f"{folder}/{stage}/results/{stage}.json"))
    checked = Report.from_json(seen["report"])
    num_met = len(checked.results) - len(checked.failures())
    if not checked.passed:
        verdict = '<td class="failed">✗ failed</td>'
    elif checked.failures():
        verdict = '<td class="warned">! passed with warnings</td>'
    else:
        verdict = '<td class="passed">✓ passed</td>'
    link = html.escape(f"{stage}/index.html")
    return f'<tr><td><a href="{link}">{html.escape(stage)}</a></td>{verdict}<td>{num_met} of {len(checked.results)}</td></tr>'


async def problem(request: Request, error: Exception) -> Response:
    """A page that says what is wrong; whoever is not logged in is sent to Airflow's login and back."""
    assert isinstance(error, HTTPException)
    if error.status_code == 401:
        from airflow.api_fastapi.app import get_auth_manager

        return RedirectResponse(get_auth_manager().get_url_login(next_url=str(request.url)))
    if error.status_code == 307:
        return RedirectResponse((error.headers or {})["Location"])
    return _page("Nothing to show", f"<p>{html.escape(str(error.detail))}</p>", status_code=error.status_code)


async def no_such_run(request: Request, error: Exception) -> Response:
    """A run that is not in the store, or a store that is away or refuses."""
    assert isinstance(error, SpavlError)
    status_code = 404 if isinstance(error, UserError) else 503
    return _page("Nothing to show", f"<p>{html.escape(error.message)}</p>", status_code=status_code)


def _file(store: Store, path: str, otherwise: str) -> Response:
    """A stored file; raises a 404 with the words `otherwise`."""
    content_type = CONTENT_TYPES.get(PurePosixPath(path).suffix)
    if content_type is None:
        raise HTTPException(404, otherwise)
    try:
        content = store.read(path)
    except FileNotFoundError:
        raise HTTPException(404, otherwise) from None
    except UserError:  # a path that climbs out
        raise HTTPException(404, otherwise) from None
    return Response(content, media_type=content_type, headers=HEADERS)


def _page(title: str, body: str, status_code: int = 200) -> HTMLResponse:
    words = html.escape(title)
    head = f"<meta charset=utf-8><title>{words}</title><style>{data_docs_style()}main{{max-width:56rem}}main h1{{margin-bottom:.8rem}}</style>"
    content = f"<!doctype html><html lang=en><head>{head}</head><body><main><h1>{words}</h1>{body}</main></body></html>"
    return HTMLResponse(content, status_code=status_code, headers=HEADERS)
