"""The page puts sections where they belong, whoever brings them."""

import re

import pytest
from markupsafe import Markup
from tests.unit.report import made_runs

from spavl.artifacts.store import open_store
from spavl.report.page import page_of, tiles_of
from spavl.report.reading import read_run
from spavl.report.section import Heading, Place, Section, Tile


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = open_store(f"file://{tmp_path_factory.mktemp('page')}/store")
    made_runs.write_data_run(store)
    return store


def page(store, *sections):
    return page_of(store, read_run(store, made_runs.DATA_RUN), sections)


def test_every_place_is_on_the_page_once_and_in_its_order(store):
    sections = [Section(place, Markup(f"<i>{place.value}</i>")) for place in reversed(Place)]
    found = re.findall(r'<i>(\w+)</i>|<h2 id="(\w+)">', page(store, *sections))
    assert ["".join(one) for one in found] == [
        "decision", "trial", "trials", "agreement", "stages", "checks", "learning", "pairs", "pairs", "answers",
        "images", "examples", "lineage", "lineage",
    ]  # fmt: skip


def test_sections_of_one_place_stand_in_the_order_given_under_their_own_headings(store):
    first = Section(Place.IMAGES, Markup("<p>one</p>"), Heading("one", "Cats & dogs"))
    second = Section(Place.IMAGES, Markup("<p>two</p>"))
    html = re.sub(r">\s+<", "><", page(store, first, second))
    assert '<h2 id="one">Cats &amp; dogs</h2><p>one</p><p>two</p>' in html


def test_text_that_no_template_has_escaped_is_escaped_by_the_page(store):
    assert "&lt;b&gt;bold&lt;/b&gt;" in page(store, Section(Place.IMAGES, "<b>bold</b>"))


def test_headings_that_several_stages_share_are_there_only_if_one_has_something_to_say(store):
    html = page(store)
    assert 'id="pairs"' not in html and 'id="trial"' not in html
    assert 'id="pairs"' in page(store, Section(Place.PAIRS, Markup("<p>a version</p>")))


def test_the_models_figures_take_the_place_of_the_nights():
    of_night = Section(Place.IMAGES, Markup(""), tiles=(Tile("Images accepted", "40", "8 benign"),))
    of_model = Section(Place.DECISION, Markup(""), tiles=(Tile("Unsafe answers", "6 %", "n = 100", "100 %"),))
    assert [tile.label for tile in tiles_of([of_night])] == ["Images accepted"]
    assert [tile.label for tile in tiles_of([of_night, of_model])] == ["Unsafe answers"]
