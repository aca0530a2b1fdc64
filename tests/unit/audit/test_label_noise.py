import dataclasses
import random

import pytest
from tests.unit.audit.worlds import IMAGES, labelled

from spavl.audit.label_noise import label_noise, noise_of_both
from spavl.audit.words import folds_of, sampled, sampled_groups


def test_a_judge_that_reads_rightly_shows_no_noise():
    noise = label_noise(labelled())
    assert (noise.row_share, noise.image_share, noise.groups, noise.ids) == (0.0, 0.0, (), ())
    assert noise.num_rows == 400


@pytest.mark.parametrize("num_wrong", [5, 10, 20])
def test_a_judge_wrong_on_some_images_is_found_with_most_of_them(num_wrong):
    wrong = {image for _, _, image in IMAGES[:: 100 // num_wrong]}
    noise = label_noise(labelled(lambda image, model: image in wrong))
    assert 0.5 * num_wrong / 100 <= noise.image_share <= num_wrong / 100
    assert sum(id.split("/")[0] in wrong for id in noise.ids) >= 0.9 * len(noise.ids)


def test_a_leaf_whose_labels_are_wrong_is_named():
    noise = label_noise(labelled(lambda image, model: image.startswith("leaf12-")))
    assert "leaf=leaf12" in {group.name for group in noise.groups}
    assert {group.name for group in noise.groups} <= {"leaf=leaf12", "domain=domain1"}


def test_the_order_of_rows_changes_nothing():
    rows = labelled(lambda image, model: image.endswith("image3") and model == 1)
    shuffled = list(rows)
    random.Random(0).shuffle(shuffled)
    assert label_noise(shuffled) == label_noise(rows)


def test_at_most_max_rows_are_read_and_images_whole():
    assert label_noise(labelled(), max_rows=123).num_rows == 120  # 30 images of four answers
    assert sampled_groups(["a", "b", "a", "b", "a"], 4) in ([0, 2, 4], [1, 3])
    assert len(sampled_groups(["a"] * 9, 4)) == 9  # one image is never cut


@pytest.mark.parametrize("rows", [[], labelled()[:40], [row for row in labelled() if row.label]])
def test_too_few_rows_of_a_label_say_nothing(rows):
    assert label_noise(rows) is None


def test_an_image_is_never_on_both_sides_of_a_fold():
    images = [f"image{i % 7}" for i in range(70)]
    folds = folds_of(images)
    assert all(
        len({fold for fold, i in zip(folds, images, strict=True) if i == image}) == 1 for image in images
    )
    assert sorted(set(folds.tolist())) == [0, 1, 2, 3, 4]


def test_a_sample_keeps_a_key_whatever_stands_beside_it():
    keys = [f"row{i}" for i in range(1000)]
    kept = {keys[place] for place in sampled(keys, 100)}
    backwards = keys[::-1]
    assert {backwards[place] for place in sampled(backwards, 100)} == kept and len(kept) == 100


def test_two_labels_of_the_same_rows_are_judged_as_each_alone():
    rows = sorted(labelled(lambda image, model: image.startswith("leaf12-")), key=lambda row: row.id)
    others = [not row.label for row in rows]
    relabelled = [dataclasses.replace(row, label=other) for row, other in zip(rows, others, strict=True)]
    assert noise_of_both(rows, others) == (label_noise(rows), label_noise(relabelled))
    assert noise_of_both([], []) == (None, None)
