"""Poisoned image sources: rows of the CSVs and files, checked on five drawn pictures."""

from __future__ import annotations

from pathlib import Path

import pytest

from spavl.demo.concepts import all_concepts
from spavl.demo.drawing import CONCEPT_CHUNK, png
from spavl.drill import pictures
from spavl.drill.impossible import Impossible
from spavl.drill.pictures import Pictures, read_pictures, write_tables

LABELS = ("gamble", "gamble", "weapon", "benign", "benign")


@pytest.fixture
def drawn(tmp_path: Path) -> Pictures:
    (tmp_path / "images").mkdir()
    rows = []
    for number, label in enumerate(LABELS):
        file = f"images/p{number}.png"
        (tmp_path / file).write_bytes(png(all_concepts()[number], number))
        rows.append({"file": file, "label": label, "caption": "c", "licence": "CC0-1.0"})
    write_tables(Pictures(tmp_path, {"images.csv": rows[:3], "more.csv": rows[3:]}))
    return read_pictures(tmp_path, ("images.csv", "more.csv"), frozenset({"images/p0.png"}))


def labels(made: Pictures) -> list[str]:
    return [row["label"] for row in made.rows]


def test_permuted_labels_are_the_same_labels_on_other_images(drawn: Pictures) -> None:
    made = pictures.permuted(drawn)
    assert sorted(labels(made)) == sorted(LABELS) and labels(made) != list(LABELS)


def test_labels_are_moved_by_a_mapping_and_flipped(drawn: Pictures) -> None:
    assert labels(pictures.relabelled({"gamble": "benign"})(drawn)) == ["benign", "benign", "weapon", "benign", "benign"]  # fmt: skip
    assert labels(pictures.flipped("weapon")(drawn)) == ["benign", "benign", "benign", "weapon", "weapon"]


def test_a_flood_adds_files_that_look_the_same_and_have_other_bytes(drawn: Pictures) -> None:
    import numpy as np

    made = pictures.flood("benign", 4, is_one=True)(drawn)
    added = made.tables["images.csv"][3:]
    assert len(added) == 4 and {row["label"] for row in added} == {"benign"}
    contents = {(made.folder / row["file"]).read_bytes() for row in added}
    assert len(contents) == 4
    levels = [np.asarray(made.open(row), dtype=int) for row in (drawn.rows[3], added[0])]
    assert np.abs(levels[0] - levels[1]).max() == 1


def test_one_picture_only_shows_the_first_of_each_side(drawn: Pictures) -> None:
    import numpy as np

    made = pictures.one_picture_only(drawn)
    shown = [np.asarray(made.open(row), dtype=int) for row in made.rows]
    assert np.abs(shown[2] - shown[0]).max() <= 2 and np.abs(shown[4] - shown[3]).max() <= 2
    assert labels(made) == list(LABELS)


def test_classes_and_a_source_go(drawn: Pictures) -> None:
    assert labels(pictures.without(("gamble",))(drawn)) == ["weapon", "benign", "benign"]
    assert list(pictures.without_source(1)(drawn).tables) == ["images.csv"]
    with pytest.raises(Impossible, match=r"1 image source\(s\)"):
        pictures.without_source(1)(pictures.without_source(1)(drawn))


@pytest.mark.parametrize("word", pictures.COPIES)
def test_a_copy_of_a_test_image_is_a_new_file_that_still_says_what_it_shows(
    drawn: Pictures, word: str
) -> None:
    from PIL import Image

    made = pictures.copies_of_test_images(word)(drawn)
    (row,) = made.tables["images.csv"][3:]
    assert (row["file"], row["label"]) == (f"images/{word}-p0.png", "gamble")
    copy, original = (Image.open(made.folder / name) for name in (row["file"], "images/p0.png"))
    assert copy.size == original.size and copy.tobytes() != original.tobytes()
    assert copy.info[CONCEPT_CHUNK] == original.info[CONCEPT_CHUNK]


def test_mirroring_twice_gives_the_image_back(drawn: Pictures) -> None:
    image = drawn.open(drawn.rows[0])
    assert pictures.COPIES["flip"](pictures.COPIES["flip"](image)).tobytes() == image.tobytes()
