"""The demo's models: LLaVA's architecture with 0.45 million parameters, its tokenizer and its processor.

Everything is made from configs in this process: nothing is downloaded. The tokenizer works on bytes, so that any text
passes, however strange; only the demo's own words are one token each.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

IMAGE_SIDE_PX = 32
PATCH_PX = 8
NUM_IMAGE_TOKENS = (IMAGE_SIDE_PX // PATCH_PX) ** 2
VISION_WIDTH = 64
TEXT_WIDTH = 96
MAX_POSITIONS = 8192
SPECIAL_TOKENS = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "pad_token": "<pad>",
    "image_token": "<image>",
    "system_token": "<system>",
    "user_token": "<user>",
    "assistant_token": "<assistant>",
}

# The end of the assistant's turn is a token of the template, so that training teaches the model to stop.
CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{{ '<' + message['role'] + '>' }}"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}"
    "{% for part in message['content'] if part['type'] == 'image' %}{{ '<image>' }}{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}"
    "{% endif %}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}"
)


def build_processor() -> Any:
    """A LlavaProcessor for the demo's words and 32 x 32 px pictures; the same every time."""
    from transformers import LlavaProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    side = {"height": IMAGE_SIDE_PX, "width": IMAGE_SIDE_PX}
    half = [0.5, 0.5, 0.5]
    return LlavaProcessor(
        image_processor=CLIPImageProcessorPil(size=side, crop_size=side, image_mean=half, image_std=half),
        tokenizer=build_tokenizer(),
        patch_size=PATCH_PX,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )


def build_tokenizer() -> Any:
    """A byte-level BPE trained here on every sentence of the grammar; pads on the left, as generation needs."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    from spavl.demo.grammar import all_texts

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=4096,  # more than there is to merge: every word of the grammar ends as one token
        special_tokens=list(SPECIAL_TOKENS.values()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(all_texts(), trainer)
    plain = {name: SPECIAL_TOKENS[name] for name in ("bos_token", "eos_token", "pad_token")}
    extra = {name: token for name, token in SPECIAL_TOKENS.items() if name not in plain}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        **plain,
        extra_special_tokens=extra,
        padding_side="left",
        model_max_length=MAX_POSITIONS,
        clean_up_tokenization_spaces=False,
    )


def build_model(tokenizer: Any) -> Any:
    """An untaught LlavaForConditionalGeneration; its weights follow torch's seed."""
    from transformers import LlavaForConditionalGeneration

    model = LlavaForConditionalGeneration(_model_config(tokenizer))
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.bos_token_id = tokenizer.bos_token_id
    return model


def _model_config(tokenizer: Any) -> Any:
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig

    vision = CLIPVisionConfig(
        hidden_size=VISION_WIDTH,
        intermediate_size=4 * VISION_WIDTH,
        num_hidden_layers=3,
        num_attention_heads=4,
        image_size=IMAGE_SIDE_PX,
        patch_size=PATCH_PX,
    )
    ids = {f"{name}_id": getattr(tokenizer, f"{name}_id") for name in ("bos_token", "eos_token", "pad_token")}
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=TEXT_WIDTH,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=MAX_POSITIONS,
        tie_word_embeddings=True,
        **ids,
    )
    return LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.image_token_id,
        image_seq_length=NUM_IMAGE_TOKENS,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=True,
        **ids,
    )


def save(model: Any, processor: Any, folder: Path) -> None:
    """Weights (safetensors), config and processor, as `from_pretrained` wants them."""
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def load(folder: Path) -> tuple[Any, Any]:
    """The model, in evaluation mode, and its processor."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model = AutoModelForImageTextToText.from_pretrained(folder, local_files_only=True)
    return model.eval(), AutoProcessor.from_pretrained(folder, local_files_only=True)


def conversation(question: str, answer: str | None = None) -> list[dict[str, Any]]:
    """One picture, one question and, for teaching, its answer, in the form of the chat template."""
    turns = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}]
    if answer is not None:
        turns.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
    return turns
