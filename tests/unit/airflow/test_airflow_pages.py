"""The pages under /spavl: what is shown, to whom, and what is not."""

import json

import pytest
from fastapi import HTTPException
from fastapi.testclient import TestClient

from spavl.airflow import pages
from spavl.artifacts.store import open_store

RUN = "20261123-0123456789"
PAGE = "images/validations/images/images/20261123T180000.000000Z/images.html"
BASE = "/runs/refresh_preferences/manual__2026-11-23T00%3A00%3A00%2B00%3A00"


@pytest.fixture
def store(spavl_home):
    made = open_store()
    made.write(f"runs/{RUN}/report.html", b"<h1>report</h1>")
    made.write(f"runs/{RUN}/plan.json", b'{"secret": 1}')
    seen = {"success": False, "statistics": {"successful_expectations": 15, "evaluated_expectations": 16}}
    made.write(f"runs/{RUN}/data_docs/images/results/images.json", json.dumps({"validation": seen}).encode())
    made.write(f"runs/{RUN}/data_docs/images/index.html", b"<script>1</script>")
    made.write(f"runs/{RUN}/data_docs/{PAGE}", b"<head></head><h1>docs</h1>")
    made.write(f"runs/{RUN}/data_docs/images/static/a.css", b"h1{}")
    made.write(f"runs/{RUN}/data_docs/images/table.parquet", b"PAR1")
    return made


@pytest.fixture
def client(store, monkeypatch):
    """The pages as a user who may read the run."""
    monkeypatch.setattr(pages, "may_read_run", lambda: lambda: None)
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
    assert f'<a href="{PAGE}">images</a>' in text
    assert "failed" in text
    assert "15 of 16" in text


def test_the_first_page_of_a_site_which_is_a_script_leads_to_ours(client):
    reply = client.get(f"{BASE}/data_docs/images/index.html", follow_redirects=False)
    assert (reply.status_code, reply.headers["location"]) == (307, "../")


def test_a_page_of_the_data_docs_brings_its_style_along(client):
    text = client.get(f"{BASE}/data_docs/{PAGE}").text
    assert text.startswith("<head><style>")
    assert text.endswith("</head><h1>docs</h1>")


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
    assert len(routes) == 3
    for route in routes:
        assert any(
            check.call.__qualname__.startswith("requires_access_dag")
            for check in route.dependant.dependencies
        )


def test_the_tabs_use_the_words_that_the_ui_replaces():
    from spavl.airflow.plugin import SpavlPlugin

    report, data_docs = SpavlPlugin.external_views
    assert report["href"] == "/spavl/runs/{DAG_ID}/{RUN_ID}/report"
    assert data_docs["href"] == "/spavl/runs/{DAG_ID}/{RUN_ID}/data_docs/"
    assert {view["destination"] for view in SpavlPlugin.external_views} == {"dag_run"}
