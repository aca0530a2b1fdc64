"""The Data Docs as a browser without a network, and without scripts, shows them."""

from __future__ import annotations

import dataclasses
import html
import json
import logging
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests import rows

from spavl.validation import check, find_suite, load_suite
from spavl.validation.data_docs import build_data_docs, data_docs_style
from spavl.validation.gx_context import ephemeral_context
from spavl.validation.gx_pages import when_loaded
from spavl.validation.offline_pages import offline_page


def checked(stage, table_rows, folder):
    suite = load_suite(find_suite(stage), rows.row_type(stage))
    return check(
        rows.to_table(stage, table_rows),
        suite,
        stage=stage,
        counts=rows.COUNTS.get(stage),
        measures=rows.MEASURES.get(stage),
        data_docs=folder,
    )


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A site of one stage that met everything, and its report."""
    folder = tmp_path_factory.mktemp("good")
    return folder, checked("preferences", rows.good_rows("preferences", 100), folder)


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    """A site of one stage that failed by critical expectations and by warnings, and its report."""
    folder = tmp_path_factory.mktemp("bad")
    answers = [
        dataclasses.replace(row, sample=-1, finish_reason="cut") for row in rows.good_rows("responses", 10)
    ]
    return folder, checked("responses", answers, folder)


@pytest.fixture(scope="module")
def warned(tmp_path_factory):
    """A site of one stage that passed with a warning, and its report."""
    folder = tmp_path_factory.mktemp("warned")
    pairs = [
        dataclasses.replace(row, is_benign=i < 18) for i, row in enumerate(rows.good_rows("preferences", 100))
    ]
    return folder, checked("preferences", pairs, folder)


def pages_of(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in folder.rglob("*.html")}


def words_of(page: str) -> str:
    """What a reader sees: no tags, no style."""
    body = page.split("</head>", 1)[1]
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", "", body.replace("<br>", " "))))


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))


def test_a_site_has_three_pages_and_its_results_and_nothing_else(good):
    folder, _ = good
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert [re.sub(r"\d{8}T[\d.]+Z", "TIME", name) for name in files] == [
        "expectations/preferences.html",
        "index.html",
        "results/preferences.json",
        "validations/preferences/preferences/TIME/preferences.html",
    ]


@pytest.mark.parametrize("site", ["good", "bad", "warned"])
def test_no_page_refers_to_another_host(site, request):
    for name, page in pages_of(request.getfixturevalue(site)[0]).items():
        assert not re.findall(r"""(?:src|href|srcset|action)\s*=\s*["']?\s*(?:[\w+.-]+:|//)""", page), name
        assert not re.findall(r"url\s*\(|@import", page), name
        assert "://" not in page, name


@pytest.mark.parametrize("site", ["good", "bad", "warned"])
def test_no_page_has_a_script_a_picture_or_a_button_that_does_nothing(site, request):
    for name, page in pages_of(request.getfixturevalue(site)[0]).items():
        tags = Tags(page).seen
        assert not {tag for tag, _ in tags} & {"script", "link", "img", "iframe", "button", "form", "footer"}
        assert not [attr for _, attrs in tags for attr in attrs if attr.startswith(("on", "data-"))], name
        for leftover in ("Clear Filters", "Show All", "Show more info", "newsletter", "Actions"):
            assert leftover not in page, name


def test_every_page_has_the_style_once_and_every_link_leads_to_a_page(bad):
    folder, _ = bad
    for name, page in pages_of(folder).items():
        assert page.count("<style>") == page.count(data_docs_style()) == 1
        ids = {attrs["id"] for _, attrs in Tags(page).seen if "id" in attrs}
        for tag, attrs in Tags(page).seen:
            if tag == "a" and attrs["href"].startswith("#"):
                assert attrs["href"][1:] in ids, (name, attrs)
            elif tag == "a":
                assert ((folder / name).parent / attrs["href"]).resolve().is_file(), (name, attrs)


def test_the_first_page_says_every_expectation_with_value_limit_and_reason(bad):
    folder, report = bad
    words = words_of((folder / "index.html").read_text("utf-8"))
    assert not report.passed
    for result in report.results:
        for part in (result.expectation, result.saw, result.limit, result.reason):
            assert part in words, part


def test_the_first_page_begins_with_what_was_not_met(bad):
    folder, report = bad
    index = (folder / "index.html").read_text("utf-8")
    marks = re.findall(r'<tr class="(\w+)">', index)
    num_critical, num_not_met = len(report.failures("critical")), len(report.failures())
    assert 0 < num_critical < num_not_met < len(report.results)
    assert marks[:num_critical] == ["failed"] * num_critical
    assert marks[num_critical:num_not_met] == ["warned"] * (num_not_met - num_critical)
    assert set(marks[num_not_met:]) == {"passed"}
    words = words_of(index)
    assert (
        f"{len(report.results) - num_not_met} of {len(report.results)} expectations met on 40 rows" in words
    )
    assert "responses: not all passed" in words and "the stage failed" in words


def test_failing_rows_are_named_on_the_first_page(bad):
    folder, report = bad
    words = words_of((folder / "index.html").read_text("utf-8"))
    named = [row_id for result in report.failures() for row_id in result.row_ids]
    assert named and all(row_id in words for row_id in named)


def test_a_stage_that_met_everything_has_passed_on_its_pages(good):
    folder, report = good
    pages = {name: words_of(page) for name, page in pages_of(folder).items()}
    assert report.passed
    num = len(report.results)
    assert f"preferences: passed {num} of {num} expectations met on 100 rows" in pages["index.html"]
    assert "✗" not in pages["index.html"]
    (result,) = (words for name, words in pages.items() if name.startswith("validations/"))
    assert "Status: Succeeded" in result and "Data asset: preferences" in result


def test_a_warning_is_told_apart_from_a_failure_on_both_pages(warned):
    folder, report = warned
    assert report.passed and len(report.failures()) == 1
    for name, page in pages_of(folder).items():
        assert ("Only warnings" in words_of(page)) == (not name.startswith("expectations/")), name
    index = (folder / "index.html").read_text("utf-8")
    assert '<h2 class="warned">' in index and '<tr class="failed">' not in index


def test_limits_and_marks_are_on_great_expectations_own_page(bad):
    folder, _ = bad
    (page,) = (page for name, page in pages_of(folder).items() if name.startswith("validations/"))
    assert "values must be greater than or equal to 0" in words_of(page)
    assert '<i class="fas fa-times text-danger">' in page and '<i class="fas fa-check-circle' in page
    assert "40 unexpected values found" in words_of(page)


def test_the_reasons_are_on_the_suite_page_unfolded(good):
    folder, report = good
    words = words_of((folder / "expectations" / "preferences.html").read_text("utf-8"))
    assert all(result.reason in words for result in report.results)


def test_a_site_built_again_has_no_page_of_a_replaced_result(tmp_path):
    for _ in range(2):
        checked("training", rows.good_rows("training"), tmp_path)
    assert len(list((tmp_path / "validations").rglob("*.html"))) == 1
    before = pages_of(tmp_path)
    build_data_docs(tmp_path)
    assert pages_of(tmp_path).keys() == before.keys()


def test_a_check_logs_and_prints_nothing(tmp_path, caplog, capfd):
    with caplog.at_level(logging.INFO):
        checked("training", rows.good_rows("training"), tmp_path)
    assert not [record for record in caplog.records if record.name.startswith("great_expectations")]
    assert capfd.readouterr() == ("", "")


def test_the_result_file_is_what_the_report_said(warned):
    folder, report = warned
    entry = json.loads((folder / "results" / "preferences.json").read_text("utf-8"))
    assert entry["report"] == json.loads(json.dumps(report.to_json()))


def _site_of_gx(folder: Path, entry: dict) -> dict[str, str]:
    """The pages of Great Expectations' own site builder, by the first folder of their path."""
    from great_expectations import ExpectationSuite
    from great_expectations.core import RunIdentifier
    from great_expectations.core.expectation_validation_result import ExpectationSuiteValidationResultSchema
    from great_expectations.data_context.types.resource_identifiers import (
        ExpectationSuiteIdentifier,
        ValidationResultIdentifier,
    )

    context, stage = ephemeral_context(), entry["suite"]["name"]
    backend = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder)}
    config = {"class_name": "SiteBuilder", "show_how_to_buttons": False, "store_backend": backend}
    context.add_data_docs_site(site_name="its own", site_config=config)
    context.suites.add(ExpectationSuite(**{**entry["suite"], "id": None}))
    validation = entry["validation"]
    run = RunIdentifier(run_name=stage, run_time=when_loaded(validation))
    validation["meta"]["run_id"] = run.to_json_dict()
    key = ValidationResultIdentifier(ExpectationSuiteIdentifier(stage), run, batch_identifier=stage)
    context.validation_results_store.set(key, ExpectationSuiteValidationResultSchema().load(validation))
    context.build_data_docs(site_names=["its own"])
    return {path.relative_to(folder).parts[0]: path.read_text("utf-8") for path in folder.rglob("*.html")}


@pytest.mark.parametrize("site", ["good", "bad", "warned"])
def test_the_pages_are_those_of_great_expectations_own_site_builder(site, request, tmp_path):
    folder, _ = request.getfixturevalue(site)
    (results,) = (folder / "results").glob("*.json")
    theirs = _site_of_gx(tmp_path, json.loads(results.read_text("utf-8")))
    num_same = 0
    for name, page in pages_of(folder).items():
        if name != "index.html":
            made = offline_page(theirs[name.split("/")[0]], title="t", note="", home="", style="")
            assert _without_uuids(_body(page)) == _without_uuids(_body(made))
            num_same += 1
    assert num_same == 2


def _body(page: str) -> str:
    """What is below our own title."""
    return page.split("</header>\n", 1)[1]


def _without_uuids(page: str) -> str:
    """Ids of elements are drawn anew for every page."""
    return re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID", page)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("<p onclick='x()' style='color:red' class=a>b</p>", '<p class="a">b</p>'),
        ('<a href="https://example.org/">x</a>', "<a>x</a>"),
        ('<a href=" //example.org/">x</a>', "<a>x</a>"),
        ('<a href="JavaScript:x()">x</a>', "<a>x</a>"),
        ('<a href="../a%20b.html#c">x</a>', '<a href="../a%20b.html#c">x</a>'),
        ("<script>if (a < b) { '</p>' }</script>x", "x"),
        ("<nav class='navbar sticky-top'><nav>a</nav>b</nav>c", "c"),
        ("<blink>a &lt; b</blink>", "a &lt; b"),
        ("<img src='https://example.org/x.png'/>a<br/>b<hr></hr>", "a<br>b<hr>"),
        ("<iframe src=x></iframe><div hidden>a</div>", "<div hidden>a</div>"),
        ("<p title='\"'>a &amp; &#60;b&#62;</p>", "<p>a &amp; &#60;b&#62;</p>"),
    ],
)
def test_of_a_page_only_known_tags_and_links_within_the_site_are_kept(given, kept):
    page = f"<html><head><title>x</title></head><body>{given}</body></html>"
    made = offline_page(page, title="t", note="", home="index.html", style="")
    assert made.split("</header>\n", 1)[1] == f"{kept}\n</body>\n</html>"
