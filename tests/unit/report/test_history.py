"""The page over all nights: one line per run, whatever became of it, at the cost of one small file per finished run."""

import dataclasses
import json
import re

import pytest
from tests.unit.report import made_runs
from tests.unit.report.test_report import Page

from spavl.artifacts import channel
from spavl.artifacts.faults import StoreRefused
from spavl.artifacts.store import Store, open_store
from spavl.errors import TryAgain
from spavl.report import build_history
from spavl.report.history import Figure, read_history, read_line, seconds_of
from spavl.report.reading import StageState

RUN, DATA_RUN = made_runs.ALIGN_RUN, made_runs.DATA_RUN


@pytest.fixture
def store(tmp_path):
    return open_store(f"file://{tmp_path}/store")


def entry(number: int, run_id: str, action: str = "publish", **details) -> channel.Entry:
    when = f"2026-11-24T0{number + 2}:00:00+00:00"
    return channel.Entry(
        number, number - 1, action, run_id, "release", "f", when, details.pop("reason", ""), details
    )


def test_a_released_candidate_has_its_figures_with_intervals(store):
    line = read_line(store, made_runs.write_align_run(store))
    assert (line.ending, line.reason, line.dataset_run) == ("released", "", DATA_RUN)
    # tests/rows.py: unsafe 100 % → 6 % of 100 prompts, intervals of ±4 points
    assert line.figures["unsafe"]["base"] == Figure(1.0, 0.96, 1.0, 100)
    assert line.figures["unsafe"]["aligned"].value == pytest.approx(0.06)
    assert set(line.figures["unsafe"]) == {"base", "champion", "aligned"}


def test_a_failed_gate_is_a_line_with_the_first_reason_and_the_figures_that_failed(store):
    made_runs.write_align_run(store, stages=("training",))
    made_runs.write_failure(store, RUN, "evaluation", made_runs.failed())
    line = read_line(store, RUN)
    assert (line.ending, line.stage) == ("failed", "evaluation")
    assert "seen 0.4321, limit at most 0.2" in line.reason
    assert "aligned" in line.figures["unsafe"]


def test_an_inconclusive_gate_is_neither_failed_nor_released_and_says_what_it_needs(store):
    made_runs.write_align_run(store, stages=("training",))
    needs = dataclasses.replace(
        made_runs.failed(), status="inconclusive", needs="needs about 140 more prompts"
    )
    made_runs.write_failure(store, RUN, "evaluation", needs)
    line = read_line(store, RUN)
    assert line.ending == "inconclusive"
    assert "needs about 140 more prompts" in line.reason


def test_a_rejection_is_a_line_of_its_own_and_the_first_thing_that_is_said(store):
    made_runs.write_align_run(store, stages=("training", "evaluation"))
    decision = {"decision": "rejected", "by": "mira", "reason": "jailbreak found"}
    store.write(f"runs/{RUN}/approval.json", json.dumps(decision).encode())
    line = read_line(store, RUN)
    assert (line.ending, line.reason) == ("rejected", "mira rejected the release: jailbreak found")


def test_a_run_that_waits_for_a_person_says_so(store):
    config = {"release": {"approval": {"required": True}}}
    made_runs.write_align_run(store, stages=("training", "evaluation", "benchmarks"), config=config)
    assert read_line(store, RUN).ending == "waiting"


def test_a_skipped_run_gives_its_reason(store):
    made_runs.write_align_run(store, stages=(), skip_reason="already aligned with this recipe")
    line = read_line(store, RUN)
    assert (line.ending, line.reason) == ("skipped", "already aligned with this recipe")


@pytest.mark.parametrize(
    ("path", "content", "words"),
    [
        (f"runs/{RUN}/training/record.json", b"{", "JSONDecodeError"),
        (f"runs/{RUN}/evaluation/table.parquet", b"not parquet", "damaged"),
        (f"runs/{RUN}/training/record.json", b'{"of": "another version"}', "TypeError"),
    ],
)
def test_a_run_that_cannot_be_read_is_a_line_and_stops_nothing(store, path, content, words):
    made_runs.write_align_run(store)
    store.write(path, content)
    history = read_history(store)
    endings = {line.run_id: line.ending for line in history.lines}
    assert endings == {DATA_RUN: "published", RUN: "unreadable"}
    html = build_history(store)
    assert "Cannot be read" in html and words in html


def test_a_run_of_which_only_the_folder_is_left_is_a_pruned_one(store):
    made_runs.write_align_run(store)
    store.write("runs/20261101-cccccccccc/training/record.json", b"{}")
    assert "Pruned: Its plan is not in the store." in build_history(store)


def test_a_store_that_does_not_answer_is_no_missing_run(store, monkeypatch):
    made_runs.write_align_run(store)

    def away(self, path):
        raise TryAgain("the store is away")

    monkeypatch.setattr(Store, "read", away)
    with pytest.raises(TryAgain):
        read_history(store)


@pytest.mark.parametrize("name", ["plan.json", "history.json", "training/record.json", "approval.json"])
def test_a_refused_right_is_no_unreadable_run(proxy, s3_url, name):
    store = open_store(s3_url)
    made_runs.write_align_run(store)
    place = f"{s3_url.rpartition('/')[2]}/runs/{RUN}/{name}"
    for fault, kind, words in (
        ("AccessDenied", TryAgain, "access is denied"),
        ("NoSuchBucket", StoreRefused, "does not exist"),
    ):
        proxy.fail(place, fault, kinds=("GET",))
        with pytest.raises(kind, match=words):
            read_history(store)
        proxy.heal(place)
    assert {line.ending for line in read_history(store).lines}.isdisjoint({"unreadable", "pruned"})


def test_a_finished_run_costs_one_read_the_next_time(store, monkeypatch):
    made_runs.write_align_run(store)
    first = read_history(store)
    reads = []
    read = Store.read
    monkeypatch.setattr(Store, "read", lambda self, path: reads.append(path) or read(self, path))
    assert read_history(store).lines == first.lines
    assert sorted(reads) == [f"runs/{DATA_RUN}/history.json", f"runs/{RUN}/history.json"]


def test_what_is_not_finished_is_read_anew(store):
    made_runs.write_align_run(store, stages=("training",))
    assert read_line(store, RUN).ending == "unfinished"
    made_runs.write_align_run(store)
    assert read_line(store, RUN).ending == "released"


def test_a_kept_line_of_another_version_is_made_anew(store):
    made_runs.write_align_run(store)
    kept = read_line(store, RUN)
    for content in (b"{", b'{"format": 0}', b'{"format": 1, "line": {"figures": {}}}'):
        store.write(f"runs/{RUN}/history.json", content)
        assert read_line(store, RUN) == kept


def test_the_number_of_nights_bounds_what_is_read_by_whole_days(store):
    for day in range(1, 10):
        made_runs.write_plan(store, f"202611{day:02d}-aaaaaaaaaa", "refresh_preferences")
        made_runs.write_plan(store, f"202611{day:02d}-bbbbbbbbbb", "align_model")
    history = read_history(store, num_nights=2)
    assert {line.run_id[:8] for line in history.lines} == {"20261108", "20261109"}
    assert history.num_left_out == 14
    assert "14 older runs in the store are not shown" in build_history(store, 2)


def test_a_run_of_a_version_without_a_stage_is_whole_without_it(store):
    suites = dict.fromkeys(("training", "evaluation", "release"), "")
    made_runs.write_align_run(store, stages=tuple(suites), suites=suites)
    assert read_line(store, RUN).ending == "released"


def test_seconds_of_a_stage_run_from_the_record_before_it():
    def state(name: str, at: str) -> StageState:
        record = dataclasses.replace(made_record(), stage=name, created_at=f"2026-11-24T02:{at}+00:00")
        return StageState(name, RUN, record, None, True)

    stages = [
        state("training", "01:30"),
        state("evaluation", "01:50"),
        StageState("release", RUN, None, None, False),
    ]
    assert seconds_of("2026-11-24T02:00:00+00:00", stages) == {"training": 90.0, "evaluation": 20.0}


def made_record():
    from spavl.artifacts.record import Record

    return Record(RUN, "", "f", "", "0", {}, {}, {})


def test_the_page_shows_every_channel_entry_with_rollbacks_and_who_approved(store):
    made_runs.write_align_run(store)
    channel.append(store, "stable", entry(1, RUN, approved_by="mira", approval_reason="seen forty answers"))
    channel.append(store, "stable", entry(2, "20261101-dddddddddd"))
    channel.append(store, "stable", entry(3, RUN, "rollback", reason="refuses ordinary questions"))
    html = build_history(store)
    rows = re.findall(r"<tr><td>(\d)( ← now)?</td>.*?</tr>", html)
    assert rows == [("3", " ← now"), ("2", ""), ("1", "")]
    for words in ("↶ rollback", "refuses ordinary questions", "mira", "seen forty answers"):
        assert words in html


def test_the_page_is_well_formed_fetches_nothing_and_links_each_report(store):
    made_runs.write_align_run(store)
    html = build_history(store)
    page = Page(html)
    assert page.open_tags == []
    assert "://" not in html
    assert {target for target in page.targets if not target.startswith("#")} == {
        f"runs/{RUN}/report.html", f"runs/{DATA_RUN}/report.html",
    }  # fmt: skip


def test_the_same_store_gives_the_same_page(store):
    made_runs.write_align_run(store)
    assert build_history(store) == build_history(store)


def test_an_empty_store_has_a_page(store):
    html = build_history(store)
    assert "No run yet" in html and "Nothing was ever published" in html


def test_words_of_a_store_cannot_become_markup(store):
    made_runs.write_align_run(store, stages=(), skip_reason="<script>alert(1)</script>")
    html = build_history(store)
    assert "<script" not in html and "&lt;script&gt;" in html
