"""Candidates are sorted out as plain Python sorts them out: which image is kept, in which order, and why the others are not."""

import dataclasses
import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.made_rows import image as made_image

from spavl.artifacts.engine import Engine
from spavl.artifacts.store import open_store
from spavl.records import to_table
from spavl.stages.images.rows import Image, ImageCandidate, Quarantined, Thumbnail
from spavl.stages.images.sorting_out import counts_of, sort_out

NAMES = st.text(
    'a\u00e9\uffff\U0001f600\0"\\n ', max_size=2
)  # \uffff sorts below the next one only by code point
IMAGES = st.builds(
    lambda id, **more: made_image(id, **more),
    st.sampled_from(["x", "y", "z\u2028"]),
    caption=st.none() | st.text(max_size=3),
    provided_question=st.none() | st.text(max_size=3),
    num_bytes=st.integers(0, 2**62),
    class1=st.sampled_from(["benign", "fraud"]),
)


@st.composite
def candidates(draw):
    rows = []
    for number in range(draw(st.integers(0, 7))):
        source, key = draw(st.sampled_from(["ant", "zebra", "zebra\u00e9"])), draw(NAMES)
        found = draw(st.none() | IMAGES)
        if found is None:
            rows.append(ImageCandidate(str(number), source, key, "truncated", "a detail", None))
            continue
        found = dataclasses.replace(found, source=source, source_key=key)
        thumbnails = draw(st.none() | st.text("AB", min_size=1, max_size=2))
        rows.append(
            ImageCandidate(
                str(number), source, key, None, None, json.dumps(dataclasses.asdict(found)), thumbnails
            )
        )
    return draw(st.permutations(rows))


def sorted_out_in_python(rows):
    images, thumbnails, quarantine = {}, {}, []
    for row in sorted(rows, key=lambda row: (row.source, row.source_key, row.id)):
        if row.image is None:
            quarantine.append(Quarantined(row.id, row.source, row.source_key, row.reason, row.detail))
            continue
        image = Image(**json.loads(row.image))
        kept = images.setdefault(image.id, image)
        if row.thumbnails is not None:
            thumbnails.setdefault(image.id, Thumbnail(image.id, row.thumbnails))
        if kept is not image:
            detail = f"the same bytes as {kept.source}: {kept.source_key}"
            quarantine.append(Quarantined(row.id, row.source, row.source_key, "duplicate", detail))
    return list(images.values()), quarantine, list(thumbnails.values())


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engine")
    engine = Engine(open_store(f"file://{folder / 'store'}"), folder, folder / "cache")
    yield engine
    engine.close()


@given(candidates())
@settings(max_examples=25, deadline=None)
def test_candidates_are_sorted_out_as_by_plain_python(tmp_path_factory, engine, rows):
    relation = engine.view("given", to_table(rows, ImageCandidate))
    made = sort_out(engine, relation, tmp_path_factory.mktemp("scratch"))
    images, quarantine, thumbnails = sorted_out_in_python(rows)
    assert list(engine.rows(made.images, Image)) == images
    assert list(engine.rows(made.quarantine, Quarantined)) == quarantine
    found = list(engine.rows(made.thumbnails, Thumbnail))
    assert sorted(found, key=lambda row: row.id) == sorted(thumbnails, key=lambda row: row.id)
    assert counts_of(engine, len(rows)) == {
        "candidates": len(rows),
        "images": len(images),
        "quarantined": len(quarantine),
        **Counter(f"quarantined.{row.reason}" for row in quarantine),
        **Counter(f"class1.{image.class1}" for image in images),
    }


def test_an_image_without_one_of_its_fields_is_refused(tmp_path, engine):
    row = ImageCandidate("1", "ant", "a.png", None, None, json.dumps({"id": "x"}))
    with pytest.raises(Exception, match="does not have key"):
        sort_out(engine, engine.view("given", to_table([row], ImageCandidate)), tmp_path)
