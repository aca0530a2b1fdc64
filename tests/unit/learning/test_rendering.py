import dataclasses
from pathlib import Path

import pytest
from tests.tiny_llava import CHAT_TEMPLATE, build_tokenizer

from spavl.errors import UserError
from spavl.learning.pairs import Pair
from spavl.learning.rendering import (
    StopTokens,
    check_stop_tokens,
    end_with_stop,
    has_special_token,
    render_pair,
    stop_tokens,
)

STOP = StopTokens((2, 7), ("</s>", "<|im_end|>"))
PAIR = Pair("p", Path("none.png"), "what is shown", "sure, a red circle", "sorry")
WITHOUT_STOP = CHAT_TEMPLATE.replace("{{ eos_token }}", " ")  # as LLaVA-1.5's own template ends an answer


@pytest.fixture(scope="module")
def processor():
    return make_processor(CHAT_TEMPLATE)


def make_processor(chat_template):
    from transformers import LlavaProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    return LlavaProcessor(
        CLIPImageProcessorPil(), build_tokenizer(), chat_template=chat_template, patch_size=8
    )


class Generation:
    def __init__(self, eos_token_id):
        self.eos_token_id = eos_token_id


def test_a_missing_stop_token_is_added_and_space_before_it_dropped():
    assert end_with_stop("a red circle \n", STOP) == "a red circle</s>"


def test_a_stop_token_that_is_there_stays_the_last_thing():
    assert end_with_stop("a red circle<|im_end|>\n", STOP) == "a red circle<|im_end|>"


def test_prompt_and_answers_are_the_chat_templates_text(processor):
    rendered = render_pair(PAIR, processor, stop_tokens(processor, Generation(2)))
    assert rendered.prompt == "USER: <image>\nwhat is shown\nASSISTANT: "
    assert rendered.chosen == "sure, a red circle</s>"
    assert rendered.rejected == "sorry</s>"


def test_an_answer_ends_with_a_stop_token_where_the_template_gives_none():
    processor = make_processor(WITHOUT_STOP)
    rendered = render_pair(PAIR, processor, stop_tokens(processor, Generation(2)))
    assert rendered.chosen == "sure, a red circle</s>"


def test_a_begin_token_that_inference_adds_is_trained_too():
    from tokenizers.processors import TemplateProcessing

    processor = make_processor(CHAT_TEMPLATE)
    processor.tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    rendered = render_pair(PAIR, processor, STOP)
    assert rendered.prompt == "<s>USER: <image>\nwhat is shown\nASSISTANT: "


def test_the_tokenizers_own_stop_token_comes_first(processor):
    assert stop_tokens(processor, Generation([1, 2])) == StopTokens((2, 1), ("</s>", "<s>"))


def test_without_a_generation_config_the_tokenizer_decides(processor):
    assert stop_tokens(processor, Generation(None)) == StopTokens((2,), ("</s>",))


def test_a_model_without_a_stop_token_is_refused():
    processor = make_processor(CHAT_TEMPLATE)
    processor.tokenizer.eos_token = None
    with pytest.raises(UserError, match="has no stop token"):
        stop_tokens(processor, Generation(None))


def test_a_processor_without_a_chat_template_is_refused():
    with pytest.raises(UserError, match="no chat template"):
        render_pair(PAIR, make_processor(None), STOP)


def test_a_template_that_rewrites_the_prompt_is_refused():
    processor = make_processor("{{ messages | length }}{% if add_generation_prompt %}ASSISTANT: {% endif %}")
    with pytest.raises(UserError, match="does not begin a finished turn"):
        render_pair(PAIR, processor, STOP)


@pytest.mark.parametrize("field", ["question", "chosen", "rejected"])
def test_a_text_with_an_image_placeholder_is_noticed(processor, field):
    assert has_special_token(dataclasses.replace(PAIR, **{field: "see <image> here"}), processor)
    assert not has_special_token(PAIR, processor)


def test_an_answer_that_does_not_end_with_a_stop_token_is_refused():
    import numpy as np

    from spavl.learning.steps import EncodedPair

    def pair(*rejected: int) -> EncodedPair:
        return EncodedPair("p", "i", np.array([5, 6]), None, np.array([5, 2]), np.array(rejected))

    check_stop_tokens([pair(6, 7), pair(2)], STOP)
    with pytest.raises(UserError, match="without a stop token: an answer ends with token 6"):
        check_stop_tokens([pair(6, 7), pair(2, 6)], STOP)
