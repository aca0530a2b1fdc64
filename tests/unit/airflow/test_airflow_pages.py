"""The pages under /spavl: what is shown, to whom, and what is not."""

import json

import pytest
from fastapi import HTTPException
from fastapi.testclient import TestClient

from spavl.airflow import pages
from spavl.artifacts.store import open_store
from spavl.plan import Plan

RUN = "20261123-0123456789"
PAGE = "images/validations/images/images/20261123T180000.000000Z/images.html"
BASE = "/runs/refresh_preferences/manual__2026-11-23T00%3A00%3A00%2B00%3A00"

MET = {
    "expectation": "expect_column_values_to_be_unique(id)",
    "severity": "critical",
    "passed": True,
    "saw": "0 of 9 rows outside (0 %)",
    "limit": "unique",
    "reason": "a test says so",
    "observed": None,
    "unexpected_count": 0,
    "unexpected_percent": 0.0,
    "row_ids": [],
}
NOT_MET = {**MET, "passed": False}


@pytest.fixture
def store(spavl_home):
    made = open_store()
    made.write(f"runs/{RUN}/report.html", b"<h1>report</h1>")
    made.write(f"runs/{RUN}/plan.json", b'{"secret": 1}')
    seen = {
        "suite": "images",
        "sha256": "0" * 64,
        "passed": False,
        "num_rows": 9,
        "results": [*[MET] * 15, NOT_MET],
    }
    made.write(f"runs/{RUN}/data_docs/images/results/images.json", json.dumps({"report": seen}).encode())
    made.write(f"runs/{RUN}/data_docs/images/index.html", b"<h1>images</h1>")
    made.write(f"runs/{RUN}/data_docs/{PAGE}", b"<head></head><h1>docs</h1>")
    made.write(f"runs/{RUN}/data_docs/images/static/a.css", b"h1{}")
    made.write(f"runs/{RUN}/data_docs/images/table.parquet", b"PAR1")
    return made


@pytest.fixture
def client(store, monkeypatch):
    """The pages as a user who may read the run."""
    monkeypatch.setattr(pages, "may_read_run", lambda: lambda: None)
    monkeypatch.setattr(pages, "may_read_runs_of", lambda dag_id: lambda: None)
    pages.app.cache_clear()
    app = pages.app()
    app.dependency_overrides[pages.spavl_run_of] = lambda: RUN
    yield TestClient(app)
    pages.app.cache_clear()


def test_the_report_is_shown_as_html_that_may_run_no_script(client):
    reply = client.get(f"{BASE}/report")
    assert (reply.status_code, reply.text) == (200, "<h1>report</h1>")
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    policy = reply.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert reply.headers["x-content-type-options"] == "nosniff"


def test_data_docs_start_with_the_verdict_on_each_stage_and_a_link_to_it(client):
    text = client.get(f"{BASE}/data_docs/").text
    assert '<a href="images/index.html">images</a>' in text
    assert "failed" in text
    assert "15 of 16" in text


def test_a_stage_whose_warnings_were_not_met_has_passed(client, store):
    path = f"runs/{RUN}/data_docs/images/results/images.json"
    seen = json.loads(store.read(path))["report"]
    seen |= {"passed": True, "results": [MET, NOT_MET | {"severity": "warning"}]}
    store.write(path, json.dumps({"report": seen}).encode())
    text = client.get(f"{BASE}/data_docs/").text
    assert "passed with warnings" in text
    assert "1 of 2" in text


@pytest.mark.parametrize(
    ("path", "content"), [("images/index.html", "<h1>images</h1>"), (PAGE, "<head></head><h1>docs</h1>")]
)
def test_a_page_of_the_data_docs_is_shown_as_it_was_written(client, path, content):
    reply = client.get(f"{BASE}/data_docs/{path}", follow_redirects=False)
    assert (reply.status_code, reply.text) == (200, content)
    assert "default-src 'none'" in reply.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("path", "kind"),
    [(PAGE, "text/html; charset=utf-8"), ("images/static/a.css", "text/css; charset=utf-8")],
)
def test_a_file_of_the_data_docs_has_its_content_type(client, path, kind):
    reply = client.get(f"{BASE}/data_docs/{path}")
    assert (reply.status_code, reply.headers["content-type"]) == (200, kind)


@pytest.mark.parametrize(
    "path",
    [
        "..%2fplan.json", "images/..%2f..%2fplan.json", "%2e%2e/plan.json", "..%2f..%2f..%2f..%2fetc/passwd.html", "/etc/passwd.html", "images//index.html",
        "images/index.html%00.css", "images", "images/table.parquet", "images/none.html",
    ],
)  # fmt: skip
def test_nothing_else_of_the_store_or_the_disk_is_reached(client, path):
    reply = client.get(f"{BASE}/data_docs/{path}")
    assert reply.status_code == 404
    assert "secret" not in reply.text


def test_a_report_that_is_not_written_yet_says_when_it_will_be(client, store):
    store.remove(f"runs/{RUN}/report.html")
    reply = client.get(f"{BASE}/report")
    assert reply.status_code == 404
    assert "last task" in reply.text


def test_a_user_who_may_not_read_the_run_sees_nothing(store, monkeypatch):
    def refuse() -> None:
        raise HTTPException(403, "Forbidden")

    monkeypatch.setattr(pages, "may_read_run", lambda: refuse)
    pages.app.cache_clear()
    app = pages.app()
    app.dependency_overrides[pages.spavl_run_of] = lambda: RUN
    for page in ("report", "data_docs/", "data_docs/images/index.html"):
        reply = TestClient(app).get(f"{BASE}/{page}")
        assert (reply.status_code, "docs" in reply.text) == (403, False)
    pages.app.cache_clear()


def test_every_page_asks_airflow_whether_the_user_may_read_the_run(store):
    pages.app.cache_clear()
    routes = [route for route in pages.app().routes if hasattr(route, "dependant")]
    assert len(routes) == 8
    for route in routes:
        asked = [check.call.__qualname__ for check in route.dependant.dependencies]
        num_asked = sum(name.startswith("requires_access_dag") for name in asked)
        # a page over all nights has the figures of both DAGs
        assert num_asked == (1 if "{dag_id}" in route.path else 2)


def test_the_tabs_use_the_words_that_the_ui_replaces():
    from spavl.airflow.plugin import SpavlPlugin

    report, data_docs, history = SpavlPlugin.external_views
    assert report["href"] == "/spavl/runs/{DAG_ID}/{RUN_ID}/report"
    assert data_docs["href"] == "/spavl/runs/{DAG_ID}/{RUN_ID}/data_docs/"
    assert report["destination"] == data_docs["destination"] == "dag_run"
    assert (history["href"], history["destination"]) == ("/spavl/history", "nav")


@pytest.fixture
def linking(store, monkeypatch):
    """A reader who follows the links that reports make by spavl run id; the one run there is was made by the refresh."""
    plan = Plan(
        RUN, "refresh_preferences", "manual__1", "2026-11-23T00:00:00+00:00", "0", "demo", [], {}, {}, {}, {}
    )
    store.write(f"runs/{RUN}/plan.json", plan.to_json())
    monkeypatch.setattr(pages, "may_read_run", lambda: lambda: None)
    monkeypatch.setattr(pages, "may_read_runs_of", lambda dag_id: lambda: None)
    pages.app.cache_clear()
    yield TestClient(pages.app(), follow_redirects=False)
    pages.app.cache_clear()


def test_a_link_to_another_dags_run_leads_to_where_that_dags_permission_is_asked(linking):
    reply = linking.get(f"/runs/align_model/{RUN}/report.html")
    assert (reply.status_code, reply.headers["location"]) == (
        307,
        f"/runs/refresh_preferences/{RUN}/report.html",
    )
    assert linking.get(reply.headers["location"]).text == "<h1>report</h1>"


def test_a_link_to_a_run_that_is_gone_says_so(linking):
    reply = linking.get("/runs/align_model/20261123-ffffffffff/report.html")
    assert reply.status_code == 404
    assert "there is no run 20261123-ffffffffff" in reply.text


def test_the_page_over_all_nights_is_shown_under_the_same_rules(client, store):
    assert "first run" in client.get("/history").text
    store.write("history.html", b"<h1>Safety history</h1>")
    reply = client.get("/history")
    assert (reply.status_code, reply.text) == (200, "<h1>Safety history</h1>")
    assert "default-src 'none'" in reply.headers["content-security-policy"]


def test_whoever_may_not_read_one_of_the_dags_does_not_see_the_page_over_all_nights(store, monkeypatch):
    def may_read(dag_id: str):
        def check() -> None:
            if dag_id == "align_model":
                raise HTTPException(403, "Forbidden")

        return check

    store.write("history.html", b"<h1>Safety history</h1>")
    monkeypatch.setattr(pages, "may_read_runs_of", may_read)
    pages.app.cache_clear()
    reply = TestClient(pages.app()).get("/history")
    pages.app.cache_clear()
    assert (reply.status_code, "Safety history" in reply.text) == (403, False)


def test_links_between_the_reports_and_the_page_over_all_nights_lead_to_each_other(linking):
    to_history = linking.get("/runs/history.html")
    assert (to_history.status_code, to_history.headers["location"]) == (307, "/history")
    to_report = linking.get(f"/runs/{RUN}/report.html")
    assert (to_report.status_code, to_report.headers["location"]) == (
        307,
        f"/runs/refresh_preferences/{RUN}/report.html",
    )
    assert linking.get("/runs/20261123-ffffffffff/report.html").status_code == 404


def test_a_log_of_inspect_holds_prompts_and_is_only_named(client, store):
    store.write(f"runs/{RUN}/benchmarks/logs/figstep--base.eval", b"a prompt and an answer")
    reply = client.get(f"{BASE}/benchmarks/logs/figstep--base.eval")
    assert reply.status_code == 200
    assert f"inspect view start --log-dir {store.url_of(f'runs/{RUN}/benchmarks/logs')}" in reply.text
    assert "a prompt" not in reply.text
    assert client.get(f"{BASE}/benchmarks/logs/none.eval").status_code == 404
