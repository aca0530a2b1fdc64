"""What `training_speed.py` trains on: sizes of model and data, the model itself with random weights, and toy pairs.

A tiny model must not flatter either side, so its shares of the work are those of LLaVA-1.5-7B as far as one CPU thread allows:
the tower costs about 5 % of what the language model costs per token. Two shares cannot be kept at a width of 256: attention
weighs more than in 7B (it grows with the length, not with the width), and so does the head (`speed_flops.py` prints both).
"""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.tiny_llava import CHAT_TEMPLATE, SPECIAL_TOKENS

from spavl.learning.pairs import Pair
from spavl.learning.steps import cut_steps

COLORS = "red blue green amber teal pink gray white black brown violet orange cyan lime navy gold"
FIGURES = "circle square star moon cross ring cube cone arrow wave heart leaf kite bolt disk oval"
TEXT_SMALL = {
    "vocab_size": 8192,  # the low end of real vocabularies: the head weighs least in it
    "hidden_size": 256,
    "intermediate_size": 688,  # 2.7 times the width, as Llama
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
}
TOWER_SMALL = {
    "hidden_size": 64,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 1,  # heads of 64, as CLIP-L
    "patch_size": 14,
}
TEXT_7B = {
    "vocab_size": 32064,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
}
TOWER_7B = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "patch_size": 14,
}


@dataclass(frozen=True)
class Shape:
    """Sizes of one comparison; a step holds whole images."""

    name: str
    questions_per_image: int
    images_per_step: int
    image_side_patches: int = 24
    question_tokens: int = 24
    answer_tokens: int = 64  # stop token included
    text: Mapping[str, Any] = field(default_factory=lambda: TEXT_SMALL)
    tower: Mapping[str, Any] = field(default_factory=lambda: TOWER_SMALL)
    goal: float | None = None  # steady-state samples/s over TRL's that the project wants at least
    steps_per_round: int = 1  # more where a step is too short to be timed well
    is_7b: bool = False  # with adapters, in bfloat16, the sides one after the other: one card holds no more

    @property
    def pairs_per_step(self) -> int:
        return self.questions_per_image * self.images_per_step

    @property
    def image_tokens(self) -> int:
        return self.image_side_patches**2

    @property
    def image_side_px(self) -> int:
        return self.image_side_patches * self.tower["patch_size"]


SHAPES = {
    shape.name: shape
    for shape in (
        Shape("paper-3", questions_per_image=3, images_per_step=2, goal=4.0),
        Shape("paper-1", questions_per_image=1, images_per_step=6, goal=2.5),
        Shape(
            "worst",
            questions_per_image=1,
            images_per_step=6,
            image_side_patches=8,
            goal=1.2,
            steps_per_round=3,
        ),
        Shape(
            "llava-7b",
            questions_per_image=3,
            images_per_step=2,
            text=TEXT_7B,
            tower=TOWER_7B,
            steps_per_round=2,
            is_7b=True,
        ),
    )
}
TINY_TEXT = {"vocab_size": 512, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
TINY_TOWER = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "patch_size": 8}


def tiny(shape: Shape) -> Shape:
    """A stand-in with the same structure that runs in a moment: to see that the measuring works, not to measure."""
    text = {**shape.text, **TINY_TEXT, "num_attention_heads": 2, "num_key_value_heads": 2}
    tower = {**shape.tower, **TINY_TOWER, "num_hidden_layers": 2}
    return replace(
        shape, image_side_patches=4, question_tokens=5, answer_tokens=6, text=text, tower=tower, goal=None
    )


def as_7b(shape: Shape) -> Shape:
    """The same data on LLaVA-1.5-7B."""
    return replace(shape, text=TEXT_7B, tower=TOWER_7B)


def build_config(shape: Shape, tokenizer: Any) -> Any:
    """The LlavaConfig of a shape."""
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig

    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    return LlavaConfig(
        vision_config=CLIPVisionConfig(image_size=shape.image_side_px, **shape.tower),
        text_config=LlamaConfig(max_position_embeddings=4096, **ids, **shape.text),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=shape.image_tokens,
        vision_feature_select_strategy="default",
        vision_feature_layer=-2,
    )


def build_model(shape: Shape, tokenizer: Any, device: str, dtype: str) -> Any:
    """A LLaVA with random weights, the same at every call, made on `device`; no dropout, the tower frozen."""
    import torch
    from transformers import LlavaForConditionalGeneration

    from spavl.learning import base_model

    torch.manual_seed(0)
    config = build_config(shape, tokenizer)
    with torch.device(device):
        model = LlavaForConditionalGeneration._from_config(
            config, dtype=getattr(torch, dtype), attn_implementation="sdpa"
        )
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    base_model.switch_off_dropout(model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(base_model.part_of(name) != "vision")
    return model


def build_processor(shape: Shape) -> Any:
    """CLIP's image processor and a tokenizer with one token for each word of `words`."""
    from transformers import LlavaProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    side = shape.image_side_px
    return LlavaProcessor(
        image_processor=CLIPImageProcessorPil(
            size={"shortest_edge": side}, crop_size={"height": side, "width": side}
        ),
        tokenizer=_tokenizer(shape),
        patch_size=shape.tower["patch_size"],
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )


def build_pairs(shape: Shape, num_steps: int, folder: Path, seed: int = 0) -> list[Pair]:
    """Pairs with their images in `folder`; `steps_of` says in which order they are trained on."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(seed)
    known = words(shape)
    pairs = []
    for number in range(num_steps * shape.images_per_step):
        image, image_id = _draw_image(folder, number, shape.image_side_px, draw)
        for question in range(shape.questions_per_image):
            num_words = shape.answer_tokens - 1  # and a stop token
            texts = (shape.question_tokens, num_words, num_words)
            pair = Pair(
                f"{number:05d}-{question}",
                image,
                *(" ".join(draw.choices(known, k=size)) for size in texts),
                image_id=image_id,
            )
            pairs.append(pair)
    return pairs


def steps_of(pairs: Sequence[Pair], shape: Shape) -> list[list[Pair]]:
    """The pairs of each step, as `DpoObjective` cuts them with seed 0."""
    images = [SimpleNamespace(image=pair.image_id) for pair in pairs]
    cut = cut_steps(images, num_epochs=1, global_batch_size=shape.pairs_per_step, seed=0, group_by_image=True)
    return [[pairs[number] for number in step] for step in cut]


def words(shape: Shape) -> list[str]:
    """Made-up words about coloured shapes, as many as the vocabulary holds beside its special tokens."""
    bases = [f"{color}-{figure}" for color, figure in itertools.product(COLORS.split(), FIGURES.split())]
    num = shape.text["vocab_size"] - len(SPECIAL_TOKENS) - len(_MARKS)
    return [f"{bases[k % len(bases)]}-{k // len(bases)}" for k in range(num)]


_MARKS = ("<image>", "USER:", "ASSISTANT:", "<unk>")


def _tokenizer(shape: Shape) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = [*SPECIAL_TOKENS.values(), *_MARKS, *words(shape)]
    ids = {word: number for number, word in enumerate(vocabulary)}
    level = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))  # noqa: S106
    level.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=level,
        unk_token="<unk>",  # noqa: S106
        **SPECIAL_TOKENS,
        extra_special_tokens={"image_token": "<image>"},
    )


def _draw_image(folder: Path, number: int, side_px: int, draw: random.Random) -> tuple[Path, str]:
    """A coloured square on a coloured ground, already of the model's size, so that no side pays for scaling."""
    from PIL import Image

    image = Image.new("RGB", (side_px, side_px), tuple(draw.randrange(256) for _ in range(3)))
    corner = draw.randrange(side_px // 2)
    image.paste(
        tuple(draw.randrange(256) for _ in range(3)), (corner, corner, corner + side_px // 3, side_px // 2)
    )
    path = folder / f"{number:05d}.png"
    image.save(path)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()
