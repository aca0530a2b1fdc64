import dataclasses
import re
from html.parser import HTMLParser

import pytest
from tests.rows import good_rows
from tests.unit.report import made_runs

from spavl.artifacts.store import open_store
from spavl.errors import UserError
from spavl.report import build_report

MARKER = "text-that-must-stay-in-the-store"
TEXT_COLUMNS = {
    "text",
    "question",
    "chosen",
    "rejected",
    "raw_reply",
    "reason",
    "caption",
    "provided_question",
    "error",
}


@pytest.fixture
def store(tmp_path):
    return open_store(f"file://{tmp_path}/store")


@pytest.fixture(scope="module")
def align_html(tmp_path_factory):
    """The page of an alignment that went well."""
    store = open_store(f"file://{tmp_path_factory.mktemp('align')}/store")
    return build_report(store, made_runs.write_align_run(store))


@pytest.fixture(scope="module")
def data_html(tmp_path_factory):
    """The page of a night that went well."""
    store = open_store(f"file://{tmp_path_factory.mktemp('data')}/store")
    return build_report(store, made_runs.write_data_run(store))


class Page(HTMLParser):
    """Where a page points, and whether its elements close in order."""

    def __init__(self, html):
        super().__init__()
        self.targets, self.ids, self.open_tags = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.targets += [
            value for name, value in attributes if name in ("src", "href", "xlink:href", "data", "action")
        ]
        self.ids += [value for name, value in attributes if name == "id"]
        if tag not in ("meta", "wbr", "br"):
            self.open_tags.append(tag)
        assert tag not in ("script", "link", "iframe", "img", "object", "embed")

    def handle_startendtag(self, tag, attributes):
        self.targets += [value for name, value in attributes if name in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag):
        assert self.open_tags.pop() == tag


def marked(stage):
    """The stage's rows with a marker in every column that holds text."""
    rows = good_rows(stage)
    columns = {field.name for field in dataclasses.fields(rows[0])} & TEXT_COLUMNS
    return [dataclasses.replace(row, **dict.fromkeys(columns, MARKER)) for row in rows]


def test_page_fetches_nothing_from_anywhere(align_html):
    html = align_html
    assert "://" not in html
    assert "@import" not in html and "@font-face" not in html
    ours = ("#", "../", "benchmarks/logs/")
    assert all(target.startswith(ours) for target in Page(html).targets)
    assert set(re.findall(r"url\(([^)]*)\)", html)) <= {f"#{id}" for id in Page(html).ids}


def test_page_is_well_formed_with_unique_anchors(align_html):
    page = Page(align_html)
    assert page.open_tags == []
    anchors = [id for id in page.ids if not re.match(r"[mp][0-9a-f]{10}|C\d", id)]
    assert len(anchors) == len(set(anchors))


def test_same_records_give_the_same_page(store, data_html):
    assert build_report(store, made_runs.write_data_run(store)) == data_html


def test_alignment_page_shows_the_data_runs_numbers_too(align_html):
    html = align_html
    for heading in (
        "Stages",
        "Before and after",
        "Checks",
        "Training",
        "Preference pairs",
        "Images",
        "Example rows",
        "Lineage",
    ):
        assert f">{heading}</h2>" in html
    assert f"made by run {made_runs.DATA_RUN}" in html
    assert f'href="../{made_runs.DATA_RUN}/data_docs/images/index.html"' in html
    assert "✓ Released" in html


def test_before_and_after_show_both_models_with_intervals_and_n(align_html):
    html = align_html
    # tests/rows.py: unsafe 100 % → 6 % of 100 prompts, intervals of ±4 points
    unsafe = re.sub(r"\s+", " ", html[html.index("<td>Unsafe answers") :][:700])
    for words in (
        "100.0 %<small>96.0 to 100.0",
        "6.0 %<small>2.0 to 10.0",
        "−94.0<small>−98.0 to −90.0",
        "<small>n = 100</small>",
    ):
        assert words in unsafe


def test_data_page_has_no_alignment_and_links_its_own_data_docs(data_html):
    html = data_html
    assert "✓ Dataset version published" in html
    assert "Before and after" not in html and ">training<" not in html
    assert 'href="data_docs/images/index.html"' in html
    assert "1 quarantined" in html


def test_rule_judge_and_drills_are_said_on_the_page(store):
    run_id = made_runs.write_data_run(
        store, config={"judgements": {"judge": {**made_runs.JUDGE, "flip_share": 0.5}}}
    )
    html = build_report(store, run_id)
    assert "What is simplified in this run" in html
    assert "The judge (judgements.judge) is the demo world&#39;s rules, not a model." in html
    assert "it turns 50 % of its labels upside down" in html


def test_a_run_with_real_models_has_no_such_note(store):
    judge = {
        "kind": "endpoint",
        "name": "judge",
        "model": "m",
        "revision": "1",
        "base_url": "http://judge/v1",
    }
    run_id = made_runs.write_data_run(store, profile="cluster", config={"judgements": {"judge": judge}})
    assert "What is simplified" not in build_report(store, run_id)


def test_failed_gate_names_expectation_value_limit_and_reason(store):
    run_id = made_runs.write_align_run(store, stages=("training",))
    made_runs.write_failure(store, run_id, "evaluation", made_runs.failed())
    html = build_report(store, run_id)
    note = html[html.index("Why it failed") : html.index("</ul>", html.index("Why it failed"))]
    note = note.replace("<wbr>", "")
    assert "expect_column_max_to_be_between(held_out_harm__aligned__unsafe_rate__high)" in note
    assert (
        "The aligned model must be safe beyond doubt: seen <strong>0.4321</strong>, limit at most 0.2" in note
    )
    assert "✗ Stopped at evaluation: its check failed, nothing was published" in html
    assert "not reached" in html  # release
    assert "<td>Unsafe answers" in html  # the scores that failed are on the page


def test_a_warning_does_not_stop_the_run(store):
    run_id = made_runs.write_data_run(store)
    warning = dataclasses.replace(made_runs.failed(), severity="warning")
    made_runs.write_stage(store, run_id, "dataset", check=made_runs.report("dataset", warning))
    html = build_report(store, run_id)
    assert "passed with warnings" in html and "Why it stopped" not in html


@pytest.mark.parametrize("num_done", [0, 1, 4, 6])
def test_an_unfinished_run_has_a_page_that_says_what_is_next(store, num_done):
    stages = made_runs.DAGS["refresh_preferences"]
    html = build_report(store, made_runs.write_data_run(store, stages=stages[:num_done]))
    assert html.count("not yet done") == 7 - num_done
    assert f"Not finished: {num_done} of 7 stages done, next is {stages[num_done]}" in html


def test_a_skipped_run_says_why(store):
    run_id = made_runs.write_align_run(
        store, stages=(), skip_reason="this dataset version is already aligned"
    )
    assert "Skipped: this dataset version is already aligned" in build_report(store, run_id)


def test_no_text_of_any_row_is_on_the_page_unless_asked_for(store):
    run_id = made_runs.write_align_run(store)
    for stage in made_runs.DAGS["refresh_preferences"]:
        made_runs.write_stage(store, made_runs.DATA_RUN, stage, marked(stage))
    assert MARKER not in build_report(store, run_id)
    shown = build_report(store, run_id, show_text=True)
    assert MARKER in shown and "Texts are shown because they were asked for" in shown


def test_three_example_rows_per_class_are_named_by_ids(data_html):
    html = data_html
    examples = html[html.index("Example rows") : html.index("Lineage")]
    rows = sorted(good_rows("preferences"), key=lambda row: row.id)
    benign = [row.id for row in rows if row.is_benign]
    assert all(f'title="{row_id}"' in examples for row_id in benign[:3])
    assert f'title="{benign[3]}"' not in examples


def test_words_of_a_store_cannot_become_markup(store):
    attack = '<script>alert("x")</script>'
    rows = [
        dataclasses.replace(
            row, question=attack, chosen_model=attack, class1=f"{attack}{number % 2}", class3=attack
        )
        for number, row in enumerate(good_rows("preferences"))
    ]
    run_id = made_runs.write_data_run(store, profile=attack)
    failure = dataclasses.replace(made_runs.failed(saw=attack), severity="warning", reason=attack)
    made_runs.write_stage(store, run_id, "preferences", rows, check=made_runs.report("preferences", failure))
    judged = [dataclasses.replace(row, model=attack, judge=attack) for row in good_rows("judgements")]
    made_runs.write_stage(store, run_id, "judgements", judged)
    html = build_report(store, run_id, show_text=True)
    assert "<script" not in html and Page(html).open_tags == []
    assert html.count("&lt;script&gt;") > 5


def test_an_unknown_run_is_a_users_error(store):
    with pytest.raises(UserError, match="there is no run 20990101-0000000000"):
        build_report(store, "20990101-0000000000")


def test_a_damaged_table_is_a_users_error(store):
    run_id = made_runs.write_data_run(store)
    store.write(f"runs/{run_id}/judgements/table.parquet", b"not what was recorded")
    with pytest.raises(UserError, match="is damaged"):
        build_report(store, run_id)


def test_a_run_whose_judge_never_made_sense_has_a_page(store):
    run_id = made_runs.write_data_run(store)
    labels = dict.fromkeys(("is_unsafe", "is_refusal", "helpfulness", "severity"))
    rows = [dataclasses.replace(row, outcome="unparsable", **labels) for row in good_rows("judgements")]
    made_runs.write_stage(store, run_id, "judgements", rows)
    made_runs.write_stage(store, run_id, "preferences", [])
    html = build_report(store, run_id)
    assert "100.0 %" in html and "differ on <strong>–</strong>" in html


def test_the_page_names_the_container_images_that_the_plan_pinned(store):
    images = {"registry.test/data:1": "", "vllm/vllm-openai@sha256:" + "0" * 64: "sha256:" + "0" * 64}
    page = build_report(store, made_runs.write_data_run(store, image_digests=images))
    assert all(f"<code>{image}</code>" in page for image in images)


def test_a_run_without_containers_speaks_of_none(data_html):
    assert "Container images" not in data_html
