import io

import pytest
from PIL import Image
from tests.made_rows import png

from spavl.demo.concepts import all_concepts
from spavl.demo.drawing import concept_words
from spavl.demo.drawing import png as demo_png
from spavl.stages.benchmarks.drawing import COLOURS, SHAPES, coarse, framed, shape, typed, wrapped


def opened(image):
    return Image.open(io.BytesIO(image)).convert("RGB")


def test_typed_text_is_black_on_a_white_band_under_the_image():
    picture = opened(typed(png(5), "what is drawn here?", width_px=200))
    assert picture.width == 200 and picture.height > 200
    band = picture.crop((0, 201, 200, picture.height))
    colours = {band.getpixel((x, y)) for x in range(200) for y in range(band.height)}
    assert (255, 255, 255) in colours and (0, 0, 0) in colours
    assert picture.crop((0, 0, 200, 200)).getpixel((100, 100)) == (5, 0, 40)


def test_two_texts_give_two_images_and_one_text_always_the_same():
    assert typed(png(1), "a question") == typed(png(1), "a question")
    assert typed(png(1), "a question") != typed(png(1), "another one")


def test_a_long_text_is_broken_between_words():
    assert wrapped("one two three four", 9) == ["one two", "three", "four"]
    assert wrapped("", 9) == [""]


def test_a_coarse_image_has_the_size_of_the_first_and_few_pixels_of_its_own():
    image = demo_png(all_concepts()[0], 3)
    picture = opened(coarse(image, 8))
    assert picture.size == opened(image).size
    assert len({picture.getpixel((x, y)) for x in range(64) for y in range(64)}) <= 64


def test_a_frame_leaves_the_middle_alone():
    before, after = opened(png(9)), opened(framed(png(9), share=0.1))
    assert after.getpixel((0, 0)) == (214, 40, 30)
    assert after.getpixel((8, 8)) == before.getpixel((8, 8))


@pytest.mark.parametrize("change", [lambda image: coarse(image, 8), framed, lambda image: typed(image, "a")])
def test_what_the_source_wrote_into_the_file_stays_in_it(change):
    concept = all_concepts()[4]
    assert concept_words(change(demo_png(concept, 1))) == concept.words


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_has_its_colour_in_its_middle_and_not_at_the_corner(name):
    picture = opened(shape(name, "blue", x=32, y=32, radius=20))
    assert picture.getpixel((32, 32)) == COLOURS["blue"]
    assert picture.getpixel((1, 1)) != COLOURS["blue"]
