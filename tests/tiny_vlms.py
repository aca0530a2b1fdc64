"""The architectures that spavl trains with shared prefixes, in miniature: about 0.1 million random weights each.

They have learnt nothing, but their weights are large (std 0.2), so that a token which sees what it must not, or stands where
it must not, changes every score. Processors are the real ones, with two exceptions that the real classes force where
torchvision is missing: Qwen's and SmolVLM's are subclassed without their video processor and are else unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.tiny_llava import CHAT_TEMPLATE, SPECIAL_TOKENS, WORDS

from spavl.learning.positions import prompt_positions, with_answer
from spavl.learning.tree import PlainSequence

QWEN_MARK = "<|vision_start|><|image_pad|><|vision_end|>"
IMAGE_TOKENS = ["<image>", "<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"]
TILE_TOKENS = ["<fake_token_around_image>", "<end_of_utterance>", "<global-img>"] + [
    f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)
]
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
}
MROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]}  # half of a head's 8
IMAGE_INPUTS = {"pixel_values", "image_grid_thw", "pixel_attention_mask"}
SIDES_PX = {"star": (32, 24), "moon": (24, 40), "sun": (32, 32)}


@dataclass(frozen=True)
class TinyVlm:
    """A model with its processor, and what a trainer does with the two."""

    name: str
    model: Any
    processor: Any
    image_mark: str

    @property
    def pad_id(self) -> int:
        return self.processor.tokenizer.pad_token_id

    @property
    def image_token_id(self) -> int:
        return self.model.config.image_token_id

    def prompt(self, question: str) -> str:
        return f"<s>USER: {self.image_mark}\n{question}\nASSISTANT: "

    def image_inputs(self, image: Any) -> dict[str, Any]:
        """What the model reads of one image: pixel_values and, where it has them, grids or masks."""
        read = self._process(image, "")
        return {name: value for name, value in read.items() if name in IMAGE_INPUTS}

    def sequences(
        self, image: Any, answers_of: Mapping[str, Sequence[str]], first_answer: int = 0
    ) -> list[PlainSequence]:
        """One sequence for each answer to each question, numbered from `first_answer` on."""
        made = []
        for question, answers in answers_of.items():
            read = self._process(image, question)
            prompt = read["input_ids"][0].tolist()
            positions = prompt_positions(self.model, prompt, read.get("image_grid_thw"))
            for answer in answers:
                words = self.processor.tokenizer(answer + "</s>", add_special_tokens=False)["input_ids"]
                of_all = tuple(map(tuple, with_answer(positions, len(words)).tolist()))
                number = first_answer + len(made)
                made.append(PlainSequence(number, (*prompt, *words), len(prompt), of_all))
        return made

    def _process(self, image: Any, question: str) -> Any:
        return self.processor(
            images=[[image]], text=[self.prompt(question)], add_special_tokens=False, return_tensors="pt"
        )


def build(name: str, seed: int = 0, attention: str = "sdpa", **text_settings: Any) -> TinyVlm:
    """A tiny model of the architecture `name`: float32, evaluation mode, tower frozen; `text_settings` are its text config's."""
    import torch

    tokenizer = build_tokenizer()
    config, model_class, processor = ARCHITECTURES[name](tokenizer, text_settings)
    config._attn_implementation = attention
    model = model_class._from_config(config, attn_implementation=attention).float().eval()
    _draw_weights(model, torch.Generator().manual_seed(seed))
    for parameter_name, parameter in model.named_parameters():
        parameter.requires_grad_(not in_tower(parameter_name))
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    mark = QWEN_MARK if name.startswith("qwen") else "<image>"
    processor.chat_template = CHAT_TEMPLATE.replace("<image>", mark)
    return TinyVlm(name, model, processor, mark)


def in_tower(name: str) -> bool:
    """Whether a parameter or module belongs to the vision tower; Qwen keeps its projectors inside."""
    words = set(name.split("."))
    inside = words & {"vision_tower", "vision_model", "visual"}
    return bool(inside) and not words & {"merger", "deepstack_merger_list"}


def draw_image(name: str) -> Any:
    """A PIL image of coloured noise around one coloured square, its size by its name (`SIDES_PX`)."""
    import numpy as np
    from PIL import Image

    width, height = SIDES_PX[name]
    pixels = np.random.default_rng(len(name) + width).integers(0, 256, (height, width, 3))
    pixels[4:16, 4:16] = {"star": (250, 20, 20), "moon": (20, 20, 250), "sun": (240, 230, 10)}[name]
    return Image.fromarray(pixels.astype("uint8"))


def build_tokenizer() -> Any:
    """A byte-level BPE tokenizer with every architecture's image tokens as single tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=480,
        special_tokens=[*SPECIAL_TOKENS.values(), *IMAGE_TOKENS, *TILE_TOKENS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator([f"{word} {word}" for word in WORDS.split()] * 4, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, **SPECIAL_TOKENS, additional_special_tokens=[*IMAGE_TOKENS, *TILE_TOKENS]
    )


def _draw_weights(model: Any, generator: Any) -> None:
    """Every matrix with std 0.2, every vector about its usual value, so that no norm or bias is neutral."""
    import torch

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator) * 0.2
            is_scale = parameter.ndim == 1 and name.endswith("weight")
            parameter.copy_(1 + noise if is_scale else noise)


def _llava(text_class: str) -> Callable[[Any, Mapping[str, Any]], tuple[Any, Any, Any]]:
    def make(tokenizer: Any, text_settings: Mapping[str, Any]) -> tuple[Any, Any, Any]:
        import transformers
        from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

        vision = transformers.CLIPVisionConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=32,
            patch_size=8,
        )
        config = transformers.LlavaConfig(
            vision_config=vision,
            text_config=getattr(transformers, text_class)(**_text(tokenizer, text_settings)),
            image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
            image_seq_length=16,
            vision_feature_select_strategy="default",
            vision_feature_layer=-2,
        )
        processor = transformers.LlavaProcessor(
            image_processor=CLIPImageProcessorPil(
                size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, do_center_crop=True
            ),
            tokenizer=tokenizer,
            patch_size=8,
            vision_feature_select_strategy="default",
            num_additional_image_tokens=1,
        )
        return config, transformers.LlavaForConditionalGeneration, processor

    return make


def _qwen2_vl(tokenizer: Any, text_settings: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    vision = {"depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 2, "mlp_ratio": 2, "patch_size": 4}
    config = Qwen2VLConfig(
        vision_config=vision,
        text_config=_text(tokenizer, {"rope_parameters": MROPE} | dict(text_settings)),
        **_qwen_ids(tokenizer),
    )
    return config, Qwen2VLForConditionalGeneration, _qwen_processor(tokenizer)


def _qwen2_5_vl(tokenizer: Any, text_settings: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    # windows of 2 x 2 merged patches: the tower reorders the patches of every image that is larger
    vision = {
        "depth": 2, "hidden_size": 32, "out_hidden_size": 32, "intermediate_size": 64, "num_heads": 2,
        "patch_size": 4, "window_size": 16, "fullatt_block_indexes": [1],
    }  # fmt: skip
    config = Qwen2_5_VLConfig(
        vision_config=vision,
        text_config=_text(tokenizer, {"rope_parameters": MROPE} | dict(text_settings)),
        **_qwen_ids(tokenizer),
    )
    return config, Qwen2_5_VLForConditionalGeneration, _qwen_processor(tokenizer)


def _qwen3_vl(tokenizer: Any, text_settings: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    vision = {
        "depth": 3, "hidden_size": 32, "out_hidden_size": 32, "intermediate_size": 64, "num_heads": 2,
        "patch_size": 4, "num_position_embeddings": 16, "deepstack_visual_indexes": [0, 2],
    }  # fmt: skip
    text = {"head_dim": 8, "rope_parameters": MROPE | {"mrope_interleaved": True}} | dict(text_settings)
    config = Qwen3VLConfig(vision_config=vision, text_config=_text(tokenizer, text), **_qwen_ids(tokenizer))
    return config, Qwen3VLForConditionalGeneration, _qwen_processor(tokenizer)


def _idefics3(tokenizer: Any, text_settings: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration, Idefics3Processor
    from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

    config = Idefics3Config(**_tiled(tokenizer, text_settings, "idefics3_vision"))
    processor = Idefics3Processor(_tiles(Idefics3ImageProcessorPil), tokenizer, image_seq_len=4)
    return config, Idefics3ForConditionalGeneration, processor


def _smolvlm(tokenizer: Any, text_settings: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    from transformers import SmolVLMConfig, SmolVLMForConditionalGeneration
    from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil
    from transformers.models.smolvlm.processing_smolvlm import SmolVLMProcessor
    from transformers.processing_utils import ProcessorMixin

    class ImageOnlyProcessor(SmolVLMProcessor):
        """SmolVLM's processor without videos: the stock one asks for torchvision and num2words when made."""

        def __init__(
            self,
            image_processor: Any = None,
            tokenizer: Any = None,
            image_seq_len: int = 169,
            chat_template: Any = None,
        ) -> None:
            self.fake_image_token = "<fake_token_around_image>"  # noqa: S105
            self.image_token = "<image>"  # noqa: S105
            self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
            self.end_of_utterance_token = "<end_of_utterance>"  # noqa: S105
            self.global_image_token = "<global-img>"  # noqa: S105
            self.image_seq_len = image_seq_len
            ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)

        def apply_chat_template(self, conversation: Any, chat_template: Any = None, **settings: Any) -> Any:
            return ProcessorMixin.apply_chat_template(self, conversation, chat_template, **settings)

    config = SmolVLMConfig(**_tiled(tokenizer, text_settings, "smolvlm_vision"))
    processor = ImageOnlyProcessor(_tiles(SmolVLMImageProcessorPil), tokenizer, image_seq_len=4)
    return config, SmolVLMForConditionalGeneration, processor


def _text(tokenizer: Any, text_settings: Mapping[str, Any]) -> dict[str, Any]:
    ids = {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    return TEXT | ids | dict(text_settings)


def _qwen_ids(tokenizer: Any) -> dict[str, int]:
    return {
        "image_token_id": tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        "video_token_id": tokenizer.convert_tokens_to_ids("<|video_pad|>"),
        "vision_start_token_id": tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        "vision_end_token_id": tokenizer.convert_tokens_to_ids("<|vision_end|>"),
    }


def _qwen_processor(tokenizer: Any) -> Any:
    from transformers.models.qwen2_5_vl.processing_qwen2_5_vl import Qwen2_5_VLProcessor
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
    from transformers.processing_utils import ProcessorMixin

    class ImageOnlyProcessor(Qwen2_5_VLProcessor):
        """Qwen's processor without videos: the stock one asks for a video processor, and that for torchvision."""

        def __init__(
            self, image_processor: Any = None, tokenizer: Any = None, chat_template: Any = None
        ) -> None:
            self.image_token, self.video_token = "<|image_pad|>", "<|video_pad|>"
            self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
            self.video_token_id = tokenizer.convert_tokens_to_ids(self.video_token)
            ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)

    image_processor = Qwen2VLImageProcessorPil(
        patch_size=4, temporal_patch_size=2, merge_size=2, min_pixels=8 * 8, max_pixels=64 * 64
    )
    return ImageOnlyProcessor(image_processor, tokenizer)


def _tiled(tokenizer: Any, text_settings: Mapping[str, Any], vision_type: str) -> dict[str, Any]:
    vision = {
        "model_type": vision_type, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "image_size": 16, "patch_size": 4,
    }  # fmt: skip
    return {
        "vision_config": vision,
        "text_config": {"model_type": "llama", **_text(tokenizer, text_settings)},
        "image_token_id": tokenizer.convert_tokens_to_ids("<image>"),
        "scale_factor": 2,
    }


def _tiles(image_processor_class: Any) -> Any:
    # images of up to 32 px in tiles of 16 px, and one small picture of the whole: five frames of 4 tokens
    return image_processor_class(size={"longest_edge": 32}, max_image_size={"longest_edge": 16})


ARCHITECTURES = {
    "llava_llama": _llava("LlamaConfig"),
    "llava_qwen2": _llava("Qwen2Config"),
    "llava_mistral": _llava("MistralConfig"),
    "qwen2_vl": _qwen2_vl,
    "qwen2_5_vl": _qwen2_5_vl,
    "qwen3_vl": _qwen3_vl,
    "idefics3": _idefics3,
    "smolvlm": _smolvlm,
}
