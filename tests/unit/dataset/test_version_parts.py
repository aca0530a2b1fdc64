"""Which files a version keeps of the former one, and that it needs that one no more."""

import dataclasses
import json

import pytest
from tests.made_rows import preference
from tests.stage_context import run_stage
from tests.unit.dataset.test_dataset_stage import context, sealed_record

from spavl.stages.dataset import stage
from spavl.stages.dataset.rows import VersionPart
from spavl.stages.dataset.version_parts import MAX_SMALL_PARTS, PART_ROWS, is_small, kept_parts


def next_night(tmp_path, first_context, first, **more):
    """The context of the night after, in the same store."""
    ctx = context(tmp_path, **more)
    ctx.previous_by_stage = {"dataset": sealed_record(first_context, first)}
    return ctx


def without_new_reads(ctx, known):
    """Lets only bytes of other images be read."""
    get_blob = ctx.store.get_blob

    def read(digest):
        assert digest not in known, "an image of a kept part was read"
        return get_blob(digest)

    ctx.store.get_blob = read
    return ctx


def test_the_same_data_is_the_same_version_and_nothing_is_written_again(tmp_path):
    ctx = context(tmp_path)
    first = run_stage(stage, ctx)
    again = without_new_reads(next_night(tmp_path, ctx, first), {row.image_id for row in first.rows})
    second = run_stage(stage, again)
    assert second.details["version"] == first.details["version"]
    assert {path.name for path in second.folders["version"].rglob("*") if path.is_file()} == {
        "README.md",
        "manifest.json",
    }
    assert second.side_tables["version_parts"] == first.side_tables["version_parts"]
    assert set(second.copied["version"]) == {part.id for part in first.side_tables["version_parts"]}


def test_new_images_are_written_alone_and_the_version_is_that_of_a_fresh_start(tmp_path):
    ctx = context(tmp_path, num_images=40)
    first = run_stage(stage, ctx)
    later = without_new_reads(
        next_night(tmp_path, ctx, first, num_images=60), {row.image_id for row in first.rows}
    )
    second = run_stage(stage, later)
    assert len(second.copied["version"]) == 4
    places = {row.id: row.part for row in second.side_tables["version_rows"]}
    assert places.keys() == {row.id for row in second.rows}
    sizes = {part.id: part.num_rows for part in second.side_tables["version_parts"]}
    assert sum(sizes.values()) == len(second.rows)
    assert {part: list(places.values()).count(part) for part in sizes} == sizes
    # the same splits without any part of the former version
    fresh = context(tmp_path / "fresh", num_images=60)
    record = sealed_record(ctx, first)
    fresh.store = ctx.store
    fresh.previous_by_stage = {
        "dataset": dataclasses.replace(
            record,
            tables={name: table for name, table in record.tables.items() if not name.startswith("version_")},
        )
    }
    written_anew = run_stage(stage, fresh)
    assert not written_anew.copied["version"]
    assert written_anew.details["version"] == second.details["version"]


def test_a_changed_row_has_its_part_written_again(tmp_path):
    ctx = context(tmp_path)
    first = run_stage(stage, ctx)
    later = next_night(tmp_path, ctx, first)
    changed = next(row for row in first.rows if row.split == "validation")
    later.rows_by_stage["preferences"] = [
        dataclasses.replace(row, chosen="another answer") if row.id == changed.id else row
        for row in later.rows("preferences")
    ]
    second = run_stage(stage, later)
    assert {
        part.split for part in second.side_tables["version_parts"] if part.id not in second.copied["version"]
    } == {"validation"}
    assert second.details["version"] != first.details["version"]


def test_a_version_loads_after_the_former_one_is_removed(tmp_path):
    import datasets

    ctx = context(tmp_path, num_images=40)
    first = run_stage(stage, ctx)
    later = next_night(tmp_path, ctx, first, num_images=60)
    second = run_stage(stage, later)
    record = sealed_record(later, second, "after")
    assert record.folders["version"]["files"].keys() > second.copied["version"].keys()
    ctx.store.remove("runs/before")
    folder = later.store.local_path(record.folders["version"]["path"])
    manifest = json.loads((folder / "manifest.json").read_text())
    uploaded = {
        name: file for name, file in record.folders["version"]["files"].items() if name != "manifest.json"
    }
    assert manifest["files"] == uploaded
    for name, file in uploaded.items():
        assert later.store.sha256_of(f"{record.folders['version']['path']}/{name}") == file["sha256"]
    cache = str(tmp_path / "cache")
    pairs = datasets.load_dataset(str(folder), cache_dir=cache)
    prompts = datasets.load_dataset(str(folder), "test", cache_dir=cache)
    found = {**pairs, "test_harm": prompts["harm"], "test_help": prompts["help"]}
    for split, rows in found.items():
        assert sorted(rows["id"]) == sorted(row.id for row in second.rows if row.split == split)
        raw = rows.cast_column("image", datasets.Image(decode=False))
        assert all(row["image"]["bytes"] == later.store.get_blob(row["image_id"]) for row in raw)


@pytest.mark.parametrize("moment", ["in a part", "before the manifest"])
def test_killed_in_the_middle_the_next_try_makes_the_same_version(tmp_path, monkeypatch, moment):
    ctx = context(tmp_path, num_images=60)
    expected = run_stage(stage, context(tmp_path / "other", num_images=60))
    get_blobs, reads = ctx.store.get_blobs, []

    def killed(*_):
        raise KeyboardInterrupt

    def killed_later(digests):
        reads.extend(digests)
        return killed() if len(reads) >= 50 else get_blobs(digests)

    with monkeypatch.context() as patch:
        if moment == "in a part":
            ctx.store.get_blobs = killed_later
        else:
            patch.setattr(stage, "write_manifest", killed)
        with pytest.raises(KeyboardInterrupt):
            run_stage(stage, ctx)
    ctx.store.get_blobs = get_blobs
    sealed = run_stage(stage, ctx)
    files = {
        path.relative_to(sealed.folders["version"]): path.read_bytes()
        for path in sealed.folders["version"].rglob("*.*")
    }
    assert sealed.details["version"] == expected.details["version"]
    assert files == {
        path.relative_to(expected.folders["version"]): path.read_bytes()
        for path in expected.folders["version"].rglob("*.*")
    }


def test_an_image_is_written_once_per_row_group(tmp_path):
    few = run_stage(stage, context(tmp_path / "few", pairs_per_image=1))
    many = run_stage(stage, context(tmp_path / "many", pairs_per_image=40))
    import pyarrow.parquet as pq

    def image_bytes(sealed):
        path = next((sealed.folders["version"] / "data").glob("train-*"))
        metadata = pq.ParquetFile(path).metadata
        groups = [metadata.row_group(number).column(0) for number in range(metadata.num_row_groups)]
        assert all(
            group.path_in_schema == "image.bytes" and group.compression == "UNCOMPRESSED" for group in groups
        )
        return sum(group.total_compressed_size for group in groups) / len(groups)

    assert image_bytes(many) < image_bytes(few)  # 100 rows show 3 or 4 images; 29 rows show 29


def part(number, num_rows=PART_ROWS, split="train"):
    return VersionPart(f"part{number}", split, f"sha{number}", 1000, num_rows, f"value{number}")


def test_parts_stay_if_all_their_rows_do():
    parts = [part(0), part(1), part(2)]
    assert kept_parts(parts, {"part0": "value0", "part1": "another"}) == [parts[0]]


def test_small_parts_are_written_together_once_there_are_many():
    large, small = [part(0)], [part(number, 10) for number in range(1, MAX_SMALL_PARTS + 2)]
    other = [part(99, 10, "validation")]
    parts = large + small + other
    values = {each.id: each.value for each in parts}
    assert kept_parts(parts[:-2] + other, values) == parts[:-2] + other
    assert kept_parts(parts, values) == large + other
    assert (
        is_small(large[0]) is False and is_small(dataclasses.replace(small[0], num_bytes=64 * 2**20)) is False
    )


def test_preferences_beyond_the_first_are_rows_of_their_own_in_the_version(tmp_path):
    ctx = context(tmp_path)
    first = run_stage(stage, ctx)
    later = next_night(tmp_path, ctx, first)
    row = next(row for row in first.rows if row.split == "train")
    later.rows_by_stage["preferences"].append(preference("another", row.image_id, row.question_id))
    second = run_stage(stage, later)
    assert len(second.rows) == len(first.rows) + 1
    new = [each for each in second.side_tables["version_parts"] if each.id not in second.copied["version"]]
    # the old part stays whole, the new row is a part of its own
    assert [(each.split, each.num_rows) for each in new] == [("train", 1)]
