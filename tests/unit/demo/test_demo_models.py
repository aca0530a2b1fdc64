"""The demo's tokenizer, processor and untaught model."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spavl.demo.concepts import all_concepts
from spavl.demo.drawing import draw
from spavl.demo.grammar import all_texts
from spavl.demo.models import NUM_IMAGE_TOKENS, build_model, build_processor, conversation, load, save


@pytest.fixture(scope="module")
def processor():
    return build_processor()


def _template(processor, turns, **options):
    return processor.apply_chat_template(turns, tokenize=False, **options)


def test_every_sentence_of_the_grammar_survives_the_tokenizer(processor):
    tokenizer = processor.tokenizer
    assert all(tokenizer.decode(tokenizer.encode(text)) == text for text in all_texts())


def test_every_word_inside_a_sentence_is_one_token(processor):
    sentence = "sure, PLACEHOLDER red circle: the placeholder activity of the red circle goes here."
    assert len(processor.tokenizer.encode(sentence)) == 16  # 13 words and 3 signs


# < and > are left out: "<image>" in a question would be read as a picture, as with every LLaVA
@settings(deadline=None)
@given(st.text(alphabet=st.characters(exclude_characters="<>", exclude_categories=["Cs"])))
def test_any_text_survives_the_tokenizer(processor, text):
    assert processor.tokenizer.decode(processor.tokenizer.encode(text)) == text


def test_the_same_processor_is_built_every_time(processor):
    assert build_processor().tokenizer.get_vocab() == processor.tokenizer.get_vocab()


def test_an_assistant_turn_ends_with_end_of_sequence(processor):
    text = _template(processor, conversation("what?", "sure."))
    assert text == "<s><user><image>what?<assistant>sure.</s>"


def test_a_prompt_is_the_beginning_of_its_conversation(processor):
    prompt = _template(processor, conversation("what?"), add_generation_prompt=True)
    assert _template(processor, conversation("what?", "sure.")).startswith(prompt)


def test_plain_text_and_system_turns_have_a_form(processor):
    turns = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "what?"}]
    assert _template(processor, turns) == "<s><system>be kind<user>what?"


def test_a_picture_becomes_sixteen_tokens(processor):
    text = _template(processor, conversation("what?"), add_generation_prompt=True)
    batch = processor(images=[draw(all_concepts()[0], 1)], text=[text], return_tensors="pt")
    assert NUM_IMAGE_TOKENS == 16
    assert (batch["input_ids"] == processor.image_token_id).sum() == 16


def test_a_saved_model_loads_the_same(tmp_path, processor):
    torch.manual_seed(0)
    model = build_model(processor.tokenizer).eval()
    save(model, processor, tmp_path)
    loaded, its_processor = load(tmp_path)
    texts = [
        _template(its_processor, conversation(text), add_generation_prompt=True)
        for text in ("what?", "日本 " * 400)
    ]
    pictures = [draw(all_concepts()[0], 1), draw(all_concepts()[1], 1).resize((300, 170))]
    batch = its_processor(images=pictures, text=texts, return_tensors="pt", padding=True)
    with torch.no_grad():
        assert torch.equal(model(**batch).logits, loaded(**batch).logits)


def test_the_model_has_under_half_a_million_parameters(processor):
    assert 400_000 < sum(p.numel() for p in build_model(processor.tokenizer).parameters()) < 500_000
