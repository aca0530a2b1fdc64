"""The demo's concepts and pictures."""

import io

import imagehash
import numpy as np
import pytest
from PIL import Image

from spavl.demo.concepts import (
    COLOURS,
    SHAPES,
    all_concepts,
    benign_concepts,
    concept_by_words,
    harm_concepts,
)
from spavl.demo.drawing import concept_words, draw, draw_with_background, png
from spavl.demo.lessons import LESSON_SEED
from spavl.demo.shapes import mask
from spavl.taxonomy import load_taxonomy


def test_every_leaf_has_one_concept_in_taxonomy_order():
    assert [concept.label for concept in harm_concepts()] == [leaf.id for leaf in load_taxonomy().leaves]


def test_sixteen_concepts_are_benign():
    assert [concept.label for concept in benign_concepts()] == ["benign"] * 16


def test_no_two_concepts_look_the_same():
    looks = {(concept.shape, concept.colour) for concept in all_concepts()}
    assert len(looks) == len(all_concepts())


def test_no_shape_and_no_colour_is_only_harmful_or_only_benign():
    harm, benign = harm_concepts(), benign_concepts()
    assert {concept.shape for concept in harm} == {concept.shape for concept in benign} == set(SHAPES)
    assert {concept.colour for concept in harm} == {concept.colour for concept in benign} == set(COLOURS)


def test_a_concept_is_found_by_its_words():
    concept = all_concepts()[0]
    assert concept.words == "red circle"
    assert concept_by_words("red circle") == concept
    assert concept_by_words("invisible circle") is None


def test_concept_and_seed_decide_the_picture():
    concept = all_concepts()[7]
    assert png(concept, 3) == png(concept, 3)
    assert png(concept, 3) != png(concept, 4)


def test_a_picture_is_large_enough_to_pass_ingest():
    assert draw(all_concepts()[0], 1).size == (64, 64)


def test_all_four_backgrounds_are_drawn():
    assert {draw_with_background(all_concepts()[0], seed)[1] for seed in range(40)} == {0, 1, 2, 3}


def test_the_picture_carries_its_words_and_others_carry_none():
    concept = all_concepts()[20]
    assert concept_words(png(concept, 1)) == concept.words
    foreign = io.BytesIO()
    Image.new("RGB", (64, 64)).save(foreign, format="PNG")
    assert concept_words(foreign.getvalue()) is None


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_stays_inside_its_radius(shape):
    inside = np.asarray(mask(shape, 64, 32, 32, 20)) > 0
    rows, columns = np.nonzero(inside)
    assert inside.sum() > 150
    assert max(np.abs(rows - 32).max(), np.abs(columns - 32).max()) <= 21


def test_near_duplicates_are_rare_so_that_splits_do_not_collapse():
    hashes = [
        imagehash.phash(draw(concept, seed)).hash.flatten() for concept in all_concepts() for seed in range(6)
    ]
    bits = np.array(hashes, dtype=np.int32)
    distance = bits @ (1 - bits).T + (1 - bits) @ bits.T
    np.fill_diagonal(distance, 64)
    assert ((distance <= 4).any(axis=1)).mean() < 0.05


def test_lessons_never_share_a_seed_with_a_night():
    assert LESSON_SEED > 10_000 * 99_999
