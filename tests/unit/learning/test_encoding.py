"""Pairs become the token ids that the processor itself would make, on every architecture, without decoding an image."""

import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image
from tests.tiny_vlms import SIDES_PX, build, draw_image

from spavl.errors import UserError
from spavl.learning.encoding import PairEncoder, usable_pairs
from spavl.learning.pairs import Pair
from spavl.learning.rendering import has_special_token, render_pair, stop_tokens

NAMES = ("llava_llama", "llava_qwen2", "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "idefics3", "smolvlm")
QUESTIONS = ("what is shown here", "is it a star", "what is red", "a circle or a square")


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("images")
    for name in SIDES_PX:
        draw_image(name).save(folder / f"{name}.png")
    return {name: folder / f"{name}.png" for name in SIDES_PX}


def pair(image: str, files: dict[str, Path], question: str, chosen: str = "a red star") -> Pair:
    return Pair(f"{image}/{question}", files[image], question, chosen, "sorry", image_id=image)


@pytest.mark.parametrize("name", NAMES)
def test_ids_and_positions_are_those_of_the_processor_whatever_the_images_size(name, files):
    tiny = build(name)
    encoder, stop = (
        PairEncoder(tiny.model, tiny.processor),
        stop_tokens(tiny.processor, tiny.model.generation_config),
    )
    for image in SIDES_PX:
        for question in QUESTIONS:  # more than are compared with the processor when the size is first met
            one = pair(image, files, question)
            rendered = render_pair(one, tiny.processor, stop)
            whole = tiny.processor(
                images=[[draw_image(image)]],
                text=[rendered.prompt],
                add_special_tokens=False,
                return_tensors="pt",
            )
            found = encoder.encode(one, rendered)
            assert found.prompt_ids.tolist() == whole["input_ids"][0].tolist()
            if name.startswith("qwen"):
                positions, _ = tiny.model.model.get_rope_index(
                    whole["input_ids"],
                    mm_token_type_ids=(whole["input_ids"] == tiny.image_token_id).int(),
                    image_grid_thw=whole["image_grid_thw"],
                )
                assert found.prompt_positions.tolist() == positions[:, 0].tolist()
            else:
                assert found.prompt_positions is None


def test_an_image_that_cannot_be_read_is_named(files, tmp_path):
    tiny = build("llava_llama")
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    encoder, stop = (
        PairEncoder(tiny.model, tiny.processor),
        stop_tokens(tiny.processor, tiny.model.generation_config),
    )
    with pytest.raises(UserError, match="the image star of pair star/what cannot be read"):
        usable_pairs([pair("star", {"star": broken}, "what")], encoder, stop, 512)


def test_an_image_that_claims_billions_of_pixels_is_named(tmp_path):
    header = struct.pack(">4sIIBBBBB", b"IHDR", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = tmp_path / "bomb.png"
    parts = (
        struct.pack(">I", 13),
        header,
        struct.pack(">I", zlib.crc32(header)),
        b"\0\0\0\0IDAT\x35\xaf\x06\x1e",
    )
    bomb.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    tiny = build("llava_llama")
    stop = stop_tokens(tiny.processor, tiny.model.generation_config)
    with pytest.raises(
        UserError, match="the image star of pair star/what cannot be read: DecompressionBombError"
    ):
        usable_pairs(
            [pair("star", {"star": bomb}, "what")], PairEncoder(tiny.model, tiny.processor), stop, 512
        )


def test_an_image_that_the_processor_refuses_is_named_with_its_size(tmp_path):
    thin = tmp_path / "thin.png"
    Image.new("RGB", (1, 600)).save(thin)
    tiny = build("qwen2_5_vl")
    stop = stop_tokens(tiny.processor, tiny.model.generation_config)
    with pytest.raises(
        UserError, match="star/what, 1 x 600 px, is not accepted by the base model's processor"
    ):
        usable_pairs(
            [pair("star", {"star": thin}, "what")], PairEncoder(tiny.model, tiny.processor), stop, 512
        )


@pytest.mark.parametrize("mark", ["<row_1_col_1>", "<global-img>", "<image>"])
@pytest.mark.parametrize("name", ["idefics3", "smolvlm"])
def test_a_mark_of_a_tile_in_a_question_is_noticed_though_the_processor_drops_it_from_its_list(name, mark):
    text = Pair("p", Path("none.png"), f"what is {mark} here", "a star", "sorry")
    assert has_special_token(text, build(name).processor)


def test_a_pair_as_long_as_the_limit_is_kept_and_a_longer_one_counted(files):
    tiny = build("llava_llama")
    encoder, stop = (
        PairEncoder(tiny.model, tiny.processor),
        stop_tokens(tiny.processor, tiny.model.generation_config),
    )
    one = pair("star", files, "what is shown here")
    (encoded,), _ = usable_pairs([one], encoder, stop, 512)
    assert usable_pairs([one], encoder, stop, encoded.num_tokens)[1]["pairs"] == 1
    assert usable_pairs([one], encoder, stop, encoded.num_tokens - 1)[1]["over_length"] == 1
