"""Changed copies are found, and other images of the same things are not: on drawings and on random textures."""

import io
import random
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from spavl.audit import copies as module
from spavl.audit.copies import copies
from spavl.audit.thumbnails import SIDE_PX, inside_margin, pixels_of, thumbnails
from spavl.audit.views import View, hashes, look, turn
from spavl.demo.concepts import all_concepts
from spavl.demo.drawing import draw

NUM_IMAGES = 24


def jpeg(image, quality):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def noisy(image, levels):
    pixels = np.asarray(image).astype(int)
    noise = np.random.default_rng(1).integers(-levels, levels + 1, pixels.shape)
    return Image.fromarray(np.clip(pixels + noise, 0, 255).astype("uint8"))


def cropped(image, share):
    width, height = image.size
    return image.crop(
        (round(width * share), round(height * share), round(width * (1 - share)), round(height * (1 - share)))
    )


def captioned(image):
    changed = image.copy()
    pen = ImageDraw.Draw(changed)
    pen.rectangle((0, int(image.height * 0.82), *image.size), fill="white")
    pen.text((2, int(image.height * 0.82)), "a caption", fill="black")
    return changed


def other_hue(image):
    values = np.array(image.convert("HSV"))
    values[..., 0] += 90
    return Image.fromarray(values, "HSV").convert("RGB")


# change -> share of copies found at least; drawings of 64 px, of which a crop or a turn leaves few pixels
CHANGES = {
    "saved again": (lambda image: image.copy(), 1.0),
    "invisible noise": (lambda image: noisy(image, 2), 1.0),
    "visible noise": (lambda image: noisy(image, 12), 1.0),
    "JPEG": (lambda image: jpeg(image, 25), 1.0),
    "half the size": (lambda image: image.resize((32, 32), Image.Resampling.LANCZOS), 0.95),
    "grey": (lambda image: ImageOps.grayscale(image), 1.0),
    "blurred": (lambda image: image.filter(ImageFilter.GaussianBlur(1)), 1.0),
    "paler": (lambda image: ImageEnhance.Contrast(image).enhance(0.7), 0.95),
    "another hue": (other_hue, 0.6),
    "cropped": (lambda image: cropped(image, 0.08), 0.95),
    "flipped": (ImageOps.mirror, 1.0),
    "upside down": (ImageOps.flip, 1.0),
    "turned by 90 degrees": (lambda image: image.transpose(Image.Transpose.ROTATE_90), 1.0),
    "turned by 3 degrees": (lambda image: image.rotate(3, Image.Resampling.BICUBIC), 0.8),
    "white border": (lambda image: ImageOps.expand(image, 5, "white"), 1.0),
    "thick black border": (lambda image: ImageOps.expand(image, 10, "black"), 1.0),
    "caption": (captioned, 0.85),
    "flipped and cropped": (lambda image: cropped(ImageOps.mirror(image), 0.08), 0.95),
}


@pytest.fixture(scope="module")
def drawings():
    """Two drawings of each of twelve concepts."""
    concepts = random.Random(0).sample(all_concepts(), NUM_IMAGES // 2)
    return [draw(concept, seed) for concept in concepts for seed in (1, 2)]


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found_and_no_other_image_is_taken_for_one(drawings, change):
    how, share = CHANGES[change]
    known = {f"original {number}": thumbnails(image) for number, image in enumerate(drawings)}
    changed = {f"copy {number}": thumbnails(how(image)) for number, image in enumerate(drawings)}
    found = copies((known | changed).items(), changed.keys())
    right = sum((f"copy {number}", f"original {number}") in found for number in range(NUM_IMAGES))
    assert right >= share * NUM_IMAGES
    numbers = {frozenset(name.split()[1] for name in pair) for pair in found}
    assert len([pair for pair in numbers if len(pair) == 2]) <= 1  # of 276 pairs of unrelated drawings


def test_drawings_of_one_concept_are_not_copies_of_each_other():
    concept = all_concepts()[0]
    known = {f"{seed:02d}": thumbnails(draw(concept, seed)) for seed in range(30)}
    assert len(copies(known.items(), known.keys())) <= 1  # of 435 pairs


def test_pairs_of_old_images_are_not_looked_at():
    image = draw(all_concepts()[0], 0)
    known = {"a": thumbnails(image), "b": thumbnails(ImageOps.mirror(image))}
    assert copies(known.items(), {"b"}) == {("a", "b")}
    assert copies(known.items(), set()) == set()


def test_images_that_show_nothing_are_not_copies():
    flat = {f"{shade}": thumbnails(Image.new("RGB", (40, 40), (shade, 80, 80))) for shade in (10, 60, 200)}
    assert copies(flat.items(), flat.keys()) == set()


def test_tables_of_keys_find_the_copies_that_comparing_all_finds(drawings, monkeypatch):
    known = {f"original {number}": thumbnails(image) for number, image in enumerate(drawings)}
    known |= {f"copy {number}": thumbnails(cropped(image, 0.05)) for number, image in enumerate(drawings)}
    exact = copies(known.items(), known.keys())
    monkeypatch.setattr(module, "ALL_WITH_ALL", 1)
    monkeypatch.setattr(module, "_MEETINGS_AT_ONCE", 50)
    found = copies(known.items(), known.keys())
    assert found <= exact and len(found) >= 0.95 * len(exact) and len(exact) >= NUM_IMAGES


def test_the_hash_is_imagehash_s():
    import imagehash

    texture = np.random.default_rng(0).integers(0, 256, (SIDE_PX, SIDE_PX), dtype=np.uint8)
    theirs = imagehash.phash(Image.fromarray(texture)).hash.flatten()
    ours = int(hashes(texture[None].astype(np.float32))[0])
    assert [bool(ours >> place & 1) for place in range(64)] == theirs.tolist()


def test_a_window_of_the_left_half_stretches_it():
    ramp = np.tile(np.arange(SIDE_PX, dtype=np.float32), (1, SIDE_PX, 1))
    left = look(ramp, View(right=0.5))[0]
    assert left[0, 0] == 0 and left[0, -1] == pytest.approx(15.25)
    assert look(ramp, View()) is ramp


def test_the_eight_turns_are_all_different_and_the_first_is_none():
    corner = np.arange(4).reshape(1, 2, 2)
    turned = {turn(corner, number).tobytes() for number in range(8)}
    assert len(turned) == 8
    assert (turn(corner, 0) == corner).all()


def test_a_margin_is_found_to_the_pixel_and_a_full_image_has_none():
    page = np.full((100, 80), 250, dtype=np.uint8)
    page[20:70, 30:60] = np.random.default_rng(0).integers(0, 200, (50, 30))
    assert inside_margin(page) == (30, 20, 60, 70)
    assert inside_margin(page[20:70, 30:60]) is None
    assert inside_margin(np.full((50, 50), 9, dtype=np.uint8)) is None


def test_an_image_in_a_margin_has_two_thumbnails_and_a_frame_around_it_adds_none():
    rng = np.random.default_rng(0)
    plain = Image.fromarray(rng.integers(0, 200, (90, 90), dtype=np.uint8))
    page = ImageOps.expand(plain, 20, 250)
    assert [len(pixels_of(thumbnails(image))) for image in (plain, page)] == [1, 2]
    framed = pixels_of(thumbnails(ImageOps.expand(page, 12, 0)))
    assert np.abs(framed.astype(int) - pixels_of(thumbnails(page))).max() < 60 and len(framed) == 2


@settings(deadline=None)  # the machine may be busy
@given(
    st.lists(st.integers(0, 2**64 - 1), min_size=1),
    st.lists(st.integers(0, 2**64 - 1), min_size=1),
    st.integers(1, 9),
)
def test_all_hashes_that_are_near_are_found_whatever_the_block(one, other, block):
    near = [value ^ 0b1011 << place for place, value in enumerate(one[:40])]  # three bits of each are others
    other = [*other, *near]
    with mock.patch.multiple(module, _MEETINGS_IN_CACHE=block, _BATCH=2):
        found = module._all_with_all(np.array(one, np.uint64), np.array(other, np.uint64), 3)
        pairs = [pair for left, right in found for pair in zip(left.tolist(), right.tolist(), strict=True)]
    expected = [(i, j) for i, x in enumerate(one) for j, y in enumerate(other) if (x ^ y).bit_count() <= 3]
    assert sorted(pairs) == expected
