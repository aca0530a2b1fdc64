"""Every file or row becomes one image or one quarantined row; a row is decided anew only when what decides it changes."""

import csv
import json
import os
import shutil
from pathlib import Path

import pytest
from tests.stage_context import FakeContext, chunks_of, run_stage, work_rows
from tests.unit.images.picture_files import encoded

from spavl.artifacts.store import open_store
from spavl.config.root import Config
from spavl.errors import UserError
from spavl.profiles import load_config
from spavl.stages.images import QUARANTINE_REASONS, stage

FIGSTEP = Path(__file__).parents[4] / "shared" / "data" / "figstep-tiny"


def context(tmp_path, *sources, **limits):
    config = Config(profile="test", images={"sources": sources, **limits})
    return FakeContext(config, open_store(f"file://{tmp_path / 'store'}"), "images")


def source(folder, **changes):
    return {"name": "drawn", "url": str(folder), "licence": "CC0-1.0", "default_class": "theft"} | changes


def with_table(folder, **columns):
    return source(folder, table="t.csv", columns={"file": "{file}", **columns}, default_class=None)


def write_table(folder, header, *rows):
    folder.mkdir(exist_ok=True)
    with open(folder / "t.csv", "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def write_files(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def quarantined(sealed):
    return {row.source_key: row.reason for row in sealed.side_tables["quarantine"]}


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "in"
    path.mkdir()
    return path


def test_folder_without_table_takes_every_file_with_the_default_class(tmp_path, folder):
    write_files(folder, {"b.png": encoded(1), "sub/a.jpg": encoded(2, "JPEG"), "README.md": b"words"})
    ctx = context(tmp_path, source(folder))
    sealed = run_stage(stage, ctx)
    assert [image.source_key for image in sealed.rows] == ["b.png", "sub/a.jpg"]
    assert {image.class3 for image in sealed.rows} == {"theft"}
    assert {image.class1 for image in sealed.rows} == {"malicious_use"}
    assert quarantined(sealed) == {"README.md": "not_an_image"}
    assert sealed.counts == {
        "candidates": 3,
        "images": 2,
        "quarantined": 1,
        "quarantined.not_an_image": 1,
        "class1.malicious_use": 2,
    }


def test_accepted_image_is_a_blob_and_its_row_says_what_it_is(tmp_path, folder):
    content = encoded(1)
    write_files(folder, {"a.png": content})
    ctx = context(tmp_path, source(folder, default_class="benign"))
    (image,) = run_stage(stage, ctx).rows
    assert ctx.store.get_blob(image.id) == content
    assert (image.class1, image.class2, image.class3) == ("benign", "benign", "benign")
    assert (image.width_px, image.height_px, image.num_bytes, image.format) == (48, 32, len(content), "PNG")
    assert (image.licence, image.caption, image.provided_question) == ("CC0-1.0", None, None)


def test_a_chunks_blobs_are_in_the_store_before_its_rows(tmp_path, folder):
    write_files(folder, {f"{number}.png": encoded(number) for number in range(6)})
    ctx = context(tmp_path, source(folder))
    rows = stage.work(ctx, "drawn", iter(chunks_of(list(stage.prepare(ctx)), 2)))
    for row in rows:  # another process reads, which knows nothing of what waits in memory
        image = json.loads(row.image)
        assert len(open_store(ctx.store.url).get_blob(image["id"])) == image["num_bytes"]


def test_table_gives_classes_captions_and_questions(tmp_path, folder):
    write_files(folder, {f"{n}.png": encoded(n) for n in range(4)})
    write_table(
        folder,
        ["file", "kind", "words", "ask"],
        ["0.png", "Category A", "a circle", "What is it?"],
        ["1.png", "disablity discrimination", "", "And this?"],
        ["2.png", "BENIGN", "", "Which colour?"],
        ["./3.png", "hate", "", " Where? "],
    )
    spec = with_table(folder, label="kind", caption="words", question="ask") | {
        "classes": {"category a": "scams"}
    }
    images = {image.source_key: image for image in run_stage(stage, context(tmp_path, spec)).rows}
    assert [images[f"{n}.png"].class3 for n in range(4)] == [
        "scams",
        "disability_discrimination",
        "benign",
        "hate",
    ]
    assert (images["0.png"].caption, images["1.png"].caption) == ("a circle", None)
    assert (images["0.png"].provided_question_kind, images["2.png"].provided_question_kind) == (
        "hard_question",
        "benign_control",
    )
    assert images["3.png"].provided_question == "Where?"


def test_bad_rows_of_a_table_are_quarantined_with_their_reason(tmp_path, folder):
    write_files(folder, {f"{n}.png": encoded(n) for n in range(3)} | {"../out.png": encoded(9)})
    write_table(
        folder,
        ["file", "label", "ask"],
        ["0.png", "hate", "fine"],
        ["1.png", "no such class", "fine"],
        ["1.png", "x" * 41, "fine"],
        ["2.png", "hate", "  "],
        ["2.png", "hate", "y" * 11],
        ["../out.png", "hate", "fine"],
        [str(tmp_path / "out.png"), "hate", "fine"],
        ["sub/../../out.png", "hate", "fine"],
        ["none.png", "hate", "fine"],
        ["", "hate", "fine"],
        ["2.png", "", "fine"],
        ["2.png", "hate"],
    )
    sealed = run_stage(
        stage, context(tmp_path, with_table(folder, label="label", question="ask"), max_question_chars=10)
    )
    assert [image.source_key for image in sealed.rows] == ["0.png"]
    reasons = sorted(
        (row.source_key.replace(str(tmp_path), ""), row.reason) for row in sealed.side_tables["quarantine"]
    )
    assert reasons == [
        ("../out.png", "path_escapes"),
        ("/out.png", "path_escapes"),
        ("1.png", "unknown_class"),
        ("1.png", "unknown_class"),
        ("2.png", "empty_question"),
        ("2.png", "question_too_long"),
        ("2.png", "unknown_class"),
        ("none.png", "missing_file"),
        ("row 10", "bad_row"),
        ("row 12", "bad_row"),
        ("sub/../../out.png", "path_escapes"),
    ]
    details = " ".join(row.detail for row in sealed.side_tables["quarantine"])
    assert "'no such class'" in details and "x" * 41 not in details and "y" * 11 not in details


def test_bad_files_are_quarantined_unread_where_the_listing_says_enough(tmp_path, folder):
    write_files(
        folder,
        {"empty.png": b"", "huge.png": b"\x89PNG" + bytes(5000), "words.png": b"words", "ok.png": encoded(1)},
    )
    (folder / "broken.png").symlink_to("nowhere.png")
    (folder / "inside.png").symlink_to("ok.png")
    os.mkfifo(folder / "pipe.png")
    sealed = run_stage(stage, context(tmp_path, source(folder), max_file_bytes=4096))
    assert [image.source_key for image in sealed.rows] == ["inside.png"]
    assert quarantined(sealed) == {
        "broken.png": "unreadable",
        "empty.png": "empty_file",
        "huge.png": "too_large_bytes",
        "ok.png": "duplicate",
        "pipe.png": "unreadable",
        "words.png": "not_an_image",
    }


def test_link_out_of_the_source_is_refused(tmp_path, folder):
    write_files(tmp_path, {"secret/out.png": encoded(1)})
    write_files(folder, {"ok.png": encoded(2)})
    (folder / "link.png").symlink_to(tmp_path / "secret" / "out.png")
    (folder / "linked").symlink_to(tmp_path / "secret")
    sealed = run_stage(stage, context(tmp_path, source(folder)))
    assert quarantined(sealed) == {"link.png": "path_escapes", "linked": "unreadable"}


def test_name_that_is_not_utf8_is_quarantined(tmp_path, folder):
    write_files(folder, {"ok.png": encoded(2)})
    with open(os.fsencode(folder) + b"/\xff.png", "wb") as file:
        file.write(encoded(3))
    assert quarantined(run_stage(stage, context(tmp_path, source(folder)))) == {"?.png": "wrong_name"}


def test_first_of_identical_images_by_source_and_key_is_kept(tmp_path, folder):
    other = tmp_path / "other"
    write_files(folder, {"b.png": encoded(1)})
    write_files(other, {"z.png": encoded(1), "c.png": encoded(1)})
    sealed = run_stage(stage, context(tmp_path, source(other, name="zebra"), source(folder, name="ant")))
    assert [(image.source, image.source_key) for image in sealed.rows] == [("ant", "b.png")]
    assert [row.detail for row in sealed.side_tables["quarantine"]] == ["the same bytes as ant: b.png"] * 2


def test_one_file_named_by_two_rows_gives_one_image_and_one_duplicate(tmp_path, folder):
    write_files(folder, {"a.png": encoded(1)})
    write_table(folder, ["file", "label"], ["a.png", "hate"], ["a.png", "hate"])
    sealed = run_stage(stage, context(tmp_path, with_table(folder, label="label")))
    assert (len(sealed.rows), quarantined(sealed)) == (1, {"a.png": "duplicate"})


def ids(tmp_path, spec, **limits):
    return {item.payload["source_key"]: item.id for item in stage.prepare(context(tmp_path, spec, **limits))}


def test_id_changes_with_the_file_the_row_and_the_limits_and_with_nothing_else(tmp_path, folder):
    write_files(folder, {"a.png": encoded(1), "b.png": encoded(2)})
    write_table(folder, ["file", "label", "note"], ["a.png", "hate", "x"], ["b.png", "hate", "x"])
    spec = with_table(folder, label="label")
    before = ids(tmp_path, spec)
    write_table(
        folder,
        ["file", "label", "note"],
        ["c.png", "hate", "x"],
        ["a.png", "hate", "other"],
        ["b.png", "theft", "x"],
    )
    after = ids(tmp_path, spec)
    assert after["a.png"] == before["a.png"] and after["b.png"] != before["b.png"]
    assert ids(tmp_path, spec, max_pixels=5)["a.png"] != before["a.png"]
    assert ids(tmp_path, spec, num_shards=7)["a.png"] == before["a.png"]
    assert ids(tmp_path, spec | {"licence": "MIT"})["a.png"] != before["a.png"]
    (folder / "a.png").write_bytes(encoded(3))
    assert ids(tmp_path, spec)["a.png"] != before["a.png"]


def test_file_that_grew_or_went_away_after_the_listing_is_quarantined(tmp_path, folder):
    write_files(folder, {"a.png": encoded(1), "b.png": encoded(2)})
    ctx = context(tmp_path, source(folder), max_file_bytes=1000)
    items = list(stage.prepare(ctx))
    (folder / "a.png").write_bytes(encoded(1) + bytes(2000))
    (folder / "b.png").unlink()
    assert [row.reason for row in work_rows(stage, ctx, items)] == ["too_large_bytes", "missing_file"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"default_class": None}, "gives no classes"),
        ({"default_class": "thefft"}, "Did you mean theft"),
        ({"classes": {"x": "nothing like it"}}, "is not a class of the taxonomy"),
        ({"question_kind": "riddle"}, "question_kind is 'riddle'"),
        ({"table": "t.csv"}, "table and columns go together"),
        ({"columns": {"file": "{file}"}}, "table and columns go together"),
        (
            {"table": "no.csv", "columns": {"file": "{file}"}},
            "no table 'no.csv'.*CSV files there: empty.csv, t.csv",
        ),
        ({"table": "../t.csv", "columns": {"file": "{file}"}}, r"no table '../t.csv'"),
        ({"table": "t.csv", "columns": {"file": "{path}"}}, "Its columns are file, label"),
        ({"table": "empty.csv", "columns": {"file": "{file}"}}, "empty.csv is empty"),
        ({"url": "https://example.org/images"}, "not an address that images may come from"),
        ({"url": "http://169.254.169.254/"}, "not an address"),
        ({"url": "simplecache::https://example.org/a"}, "not an address"),
        ({"url": "memory://x"}, "not an address"),
        ({"url": "nowhere-at-all"}, "is not a folder"),
        ({"url": ""}, "not an address"),
    ],
)
def test_mistakes_in_a_source_are_user_errors(tmp_path, folder, change, message):
    write_files(folder, {"a.png": encoded(1), "empty.csv": b""})
    write_table(folder, ["file", "label"], ["a.png", "hate"])
    with pytest.raises(UserError, match=message):
        list(stage.prepare(context(tmp_path, source(folder) | change)))


def test_no_sources_and_an_empty_folder_are_user_errors(tmp_path, folder):
    with pytest.raises(UserError, match=r"images\.sources is empty"):
        stage.prepare(context(tmp_path))  # before the first item is asked for
    with pytest.raises(UserError, match="has no files"):
        list(stage.prepare(context(tmp_path, source(folder))))


def test_every_reason_is_explained():
    assert all(text and not text.endswith(".") for text in QUARANTINE_REASONS.values())


@pytest.mark.skipif(
    not FIGSTEP.is_dir(),
    reason="needs the published FigStep pictures beside the checkout (../shared/data/figstep-tiny)",
)
def test_figstep_profile_ingests_fifty_real_images(tmp_path):
    shutil.copytree(FIGSTEP, tmp_path / "figstep")
    config = load_config("figstep", [f"images.sources.0.url={tmp_path / 'figstep'}"])
    alone = config.images.model_copy(update={"sources": config.images.sources[:1]})  # without the drawings
    config = config.model_copy(update={"images": alone})
    sealed = run_stage(stage, FakeContext(config, open_store(f"file://{tmp_path / 'store'}"), "images"))
    assert (sealed.counts["images"], sealed.counts["quarantined"]) == (50, 0)
    per_leaf = {
        leaf: sum(image.class3 == leaf for image in sealed.rows)
        for leaf in {image.class3 for image in sealed.rows}
    }
    assert sorted(per_leaf.values()) == [5] * 10
    assert all(
        image.provided_question and image.format == "PNG" and image.width_px == 760 for image in sealed.rows
    )


def test_the_seal_gives_every_image_a_thumbnail_and_measures_copies(tmp_path, folder):
    from tests.unit.images.picture_files import picture

    from spavl.audit.thumbnails import pixels_of

    write_files(folder, {f"{number}.png": encoded(number) for number in range(3)})
    for number in range(3, 6):  # invisible noise on the first
        noisy = picture(0).point(lambda level, by=number: min(255, level + by - 3))
        noisy.save(folder / f"{number}.webp", lossless=True)
    sealed = run_stage(stage, context(tmp_path, source(folder)))
    assert {row.id for row in sealed.side_tables["thumbnails"]} == {image.id for image in sealed.rows}
    assert all(pixels_of(row.thumbnails).shape[1:] == (32, 32) for row in sealed.side_tables["thumbnails"])
    assert sealed.measures["largest_copies_share_harm"] == pytest.approx(3 / 6)
    assert sealed.measures["largest_leaf_share"] == 1 and sealed.measures["num_missing_classes"] is None
