"""The folder of pictures that the demo's image source reads."""

import csv

from spavl.demo.concepts import all_concepts
from spavl.demo.picture_folder import COLUMNS, Batch, draw_folder, last_night
from spavl.taxonomy import load_taxonomy

FIRST, LATER = (
    Batch(num_per_leaf=1, num_per_benign_concept=3),
    Batch(num_per_leaf=0, num_per_benign_concept=1),
)
NUM_FIRST = 53 * 1 + 16 * 3


def _rows(folder):
    with open(folder / "images.csv", newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def _bytes(folder):
    return {path.name: path.read_bytes() for path in (folder / "images").iterdir()}


def test_the_first_night_draws_the_base_set(tmp_path):
    assert draw_folder(tmp_path, FIRST, LATER, night=1) == NUM_FIRST
    rows = _rows(tmp_path)
    assert len(rows) == NUM_FIRST
    assert tuple(rows[0]) == COLUMNS
    assert all((tmp_path / row["file"]).is_file() for row in rows)


def test_labels_are_leaf_ids_or_benign(tmp_path):
    draw_folder(tmp_path, FIRST, LATER, night=1)
    assert {row["label"] for row in _rows(tmp_path)} == {leaf.id for leaf in load_taxonomy().leaves} | {
        "benign"
    }


def test_the_same_night_again_draws_nothing(tmp_path):
    draw_folder(tmp_path, FIRST, LATER, night=1)
    before = _bytes(tmp_path)
    assert draw_folder(tmp_path, FIRST, LATER, night=1) == 0
    assert _bytes(tmp_path) == before


def test_a_later_night_adds_pictures_and_changes_none(tmp_path):
    draw_folder(tmp_path, FIRST, LATER, night=1)
    before = _bytes(tmp_path)
    assert draw_folder(tmp_path, FIRST, LATER, night=2) == 16
    after = _bytes(tmp_path)
    assert len(_rows(tmp_path)) == NUM_FIRST + 16
    assert {name: after[name] for name in before} == before


def test_no_two_pictures_are_the_same_file(tmp_path):
    draw_folder(tmp_path, FIRST, LATER, night=3)
    contents = list(_bytes(tmp_path).values())
    assert len(set(contents)) == len(contents) == NUM_FIRST + 2 * 16


def test_two_machines_draw_the_same_files(tmp_path):
    for name in ("one", "two"):
        draw_folder(tmp_path / name, FIRST, LATER, night=2)
    assert _bytes(tmp_path / "one") == _bytes(tmp_path / "two")
    assert (tmp_path / "one" / "images.csv").read_bytes() == (tmp_path / "two" / "images.csv").read_bytes()


def test_a_lost_picture_is_drawn_again(tmp_path):
    draw_folder(tmp_path, FIRST, LATER, night=1)
    lost = tmp_path / _rows(tmp_path)[0]["file"]
    content = lost.read_bytes()
    lost.unlink()
    assert draw_folder(tmp_path, FIRST, LATER, night=1) == 1
    assert lost.read_bytes() == content


def test_the_folder_knows_its_last_night(tmp_path):
    assert last_night(tmp_path) == 0
    draw_folder(tmp_path, FIRST, LATER, night=2)
    assert last_night(tmp_path) == 2


def test_captions_name_what_is_drawn(tmp_path):
    draw_folder(tmp_path, FIRST, LATER, night=1)
    assert _rows(tmp_path)[0]["caption"] == f"a drawing of a {all_concepts()[0].words}"
