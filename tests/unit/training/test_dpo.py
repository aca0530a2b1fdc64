"""The real trainer on a tiny LLaVA and toy pairs; each training takes about a second once torch is imported."""

import contextlib
import dataclasses
import json
from pathlib import Path

import pytest
from tests.tiny_llava import CHAT_TEMPLATE, NUM_IMAGE_TOKENS, build_tiny_llava
from tests.toy_pairs import toy_pairs

from spavl.artifacts.store import open_store
from spavl.errors import CheckFailed, TryAgain, UserError
from spavl.learning.trainer import Hooks
from spavl.stages.training.config import TrainingConfig
from spavl.stages.training.dpo import train_dpo
from spavl.stages.training.made import Aligned, Source

LORA = {"r": 8, "alpha": 16}
WITHOUT_STOP = CHAT_TEMPLATE.replace("{{ eos_token }}", " ")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return build_tiny_llava(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return toy_pairs(tmp_path_factory.mktemp("images"), 16)


def align(
    pairs,
    validation,
    base: Path,
    settings,
    folder: Path,
    resume_from=None,
    hooks=None,
    store: Path | None = None,
) -> Aligned:
    """`train_dpo` with a store of its own in `folder`, or the one in `store`."""
    source = Source(base, "toy-revision", open_store(f"file://{store or folder / 'store'}"))
    return train_dpo(pairs, validation, source, settings, folder, resume_from, hooks)


def settings_for(base: Path, **changes) -> TrainingConfig:
    values = {
        "base": {"kind": "transformers", "name": "tiny", "path": str(base), "device": "cpu"},
        "learning_rate": 5e-3,
        "num_epochs": 3,
        "global_batch_size": 8,
        "warmup_steps": 1,
        "checkpoint_every_steps": 100,
        "log_every_steps": 2,
    }
    return TrainingConfig.model_validate({**values, **changes})


def hooks(stop_after: int | None = None, saved: list | None = None) -> Hooks:
    done = []

    def stop() -> bool:
        done.append(1)
        return stop_after is not None and len(done) >= stop_after

    return Hooks(
        lambda folder, step: saved.append(folder) if saved is not None else None, lambda *_: None, stop
    )


def weights(folder: Path):
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def values(rows, name):
    return [row.value for row in rows if row.name == name]


@pytest.mark.parametrize("lora", [LORA, None], ids=["lora", "full"])
def test_training_lowers_the_loss_and_leaves_the_vision_tower_as_it_was(lora, base, pairs, tmp_path):
    aligned = align(pairs, pairs[:4], base, settings_for(base, lora=lora), tmp_path, None, hooks())
    assert values(aligned.rows, "loss")[-1] < values(aligned.rows, "loss")[0]
    assert values(aligned.rows, "eval_rewards/margins")[0] > 0
    before, after = weights(base), weights(aligned.model)
    changed = {name for name in before if not before[name].equal(after[name])}
    assert not any("vision" in name for name in changed)
    assert any("projector" in name for name in changed)
    assert any("q_proj" in name for name in changed)
    assert (aligned.adapter is None) == (lora is None)


@pytest.mark.parametrize("lora", [LORA, None], ids=["lora", "full"])
def test_policy_and_reference_agree_before_the_first_step(lora, base, pairs, tmp_path):
    settings = settings_for(base, lora=lora, num_epochs=0.5, log_every_steps=1)
    aligned = align(pairs, [], base, settings, tmp_path, None, hooks())
    assert values(aligned.rows, "rewards/margins") == [pytest.approx(0.0, abs=1e-5)]


def test_the_merged_model_answers_as_base_plus_adapter(base, pairs, tmp_path):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForImageTextToText

    aligned = align(pairs, [], base, settings_for(base, lora=LORA), tmp_path, None, hooks())
    merged = AutoModelForImageTextToText.from_pretrained(aligned.model)
    adapted = PeftModel.from_pretrained(AutoModelForImageTextToText.from_pretrained(base), aligned.adapter)
    asked = one_question(aligned.model)
    with torch.no_grad():
        torch.testing.assert_close(merged(**asked).logits, adapted(**asked).logits, rtol=1e-4, atol=1e-5)


def test_config_and_adapter_name_no_folder_of_this_machine(base, pairs, tmp_path):
    aligned = align(pairs, [], base, settings_for(base, lora=LORA, num_epochs=0.5), tmp_path, None, hooks())
    for file in [*aligned.model.glob("*.json"), *aligned.adapter.glob("*.json")]:
        assert str(base) not in file.read_text()
        assert str(tmp_path) not in file.read_text()
    assert json.loads((aligned.model / "config.json").read_text()) == json.loads(
        (base / "config.json").read_text()
    )


def test_pairs_that_are_too_long_are_left_out_and_counted(base, pairs, tmp_path):
    too_long = dataclasses.replace(pairs[0], id="long", chosen="circle " * 400)
    settings = settings_for(base, num_epochs=0.5, max_length=200)
    aligned = align([*pairs, too_long], [], base, settings, tmp_path, None, hooks())
    assert (aligned.counts["pairs"], aligned.counts["over_length"]) == (16, 1)


def test_a_text_with_an_image_placeholder_is_left_out_and_counted(base, pairs, tmp_path):
    poisoned = dataclasses.replace(pairs[0], id="poisoned", question="what is <image> here")
    aligned = align([*pairs, poisoned], [], base, settings_for(base, num_epochs=0.5), tmp_path, None, hooks())
    assert (aligned.counts["pairs"], aligned.counts["with_special_token"]) == (16, 1)


def test_no_usable_pair_is_the_users_mistake(base, pairs, tmp_path):
    with pytest.raises(UserError, match="none of the 16 pairs can be trained: 16 are longer than 8 tokens"):
        align(pairs, [], base, settings_for(base, max_length=8), tmp_path, None, hooks())


def test_pairs_that_all_hold_special_tokens_are_named_as_the_reason(base, pairs, tmp_path):
    poisoned = [dataclasses.replace(pair, chosen="</s> sure") for pair in pairs]
    with pytest.raises(UserError, match="0 are longer than 512 tokens, 16 hold a special token"):
        align(poisoned, [], base, settings_for(base), tmp_path, None, hooks())


def test_two_different_pairs_with_one_id_are_refused(base, pairs, tmp_path):
    # references are found by id: one of the two would be compared with the other's
    twin = dataclasses.replace(pairs[1], id=pairs[0].id)
    with pytest.raises(UserError, match="two different pairs with the id pair-000"):
        align([pairs[0], twin], [], base, settings_for(base), tmp_path, None, hooks())


@pytest.mark.parametrize("margin", [float("nan"), -0.5, None])
def test_a_margin_that_no_judge_gives_is_refused_with_its_pair(margin, base, pairs, tmp_path):
    damaged = dataclasses.replace(pairs[1], margin=margin)
    with pytest.raises(
        UserError, match=f"the margin of pair pair-001 is {margin}, and it must be from 0 to 1"
    ):
        align([pairs[0], damaged], [], base, settings_for(base), tmp_path, None, hooks())


def test_a_loss_that_is_no_number_ends_training_with_its_step(base, pairs, tmp_path):
    settings = settings_for(base, learning_rate=1e30, warmup_steps=0)
    with pytest.raises(CheckFailed, match="training diverged: loss is not a number at step 2"):
        align(pairs, [], base, settings, tmp_path, None, hooks())


@pytest.mark.parametrize("lora", [LORA, None], ids=["lora", "full"])
def test_a_last_step_that_spoils_the_weights_leaves_no_model(lora, base, pairs, tmp_path):
    # its loss is from before the update, so no logged value shows it
    settings = settings_for(base, warmup_steps=0, num_epochs=0.1, lora=lora)
    settings = settings.model_copy(update={"learning_rate": float("inf")})  # no profile may say so
    with pytest.raises(CheckFailed, match=r"diverged in its last step: \d+ trained weights are not finite"):
        align(pairs, [], base, settings, tmp_path, None, hooks())
    assert not (tmp_path / "model").exists()


def test_a_last_step_after_which_validation_gives_no_number_leaves_no_model(base, pairs, tmp_path):
    settings = settings_for(base, learning_rate=1e30, warmup_steps=0, num_epochs=0.1)
    with pytest.raises(CheckFailed, match=r"training diverged in its last step: eval_.* is not finite"):
        align(pairs, pairs[:4], base, settings, tmp_path, None, hooks())
    assert not (tmp_path / "model").exists()


@pytest.fixture(scope="module", params=[{**LORA, "dropout": 0.2}, None], ids=["lora", "full"])
def whole(request, base, pairs, tmp_path_factory):
    """Settings of 6 steps in 3 epochs, and what they give undisturbed."""
    settings = settings_for(base, lora=request.param)
    return settings, align(pairs, pairs[:4], base, settings, tmp_path_factory.mktemp("whole"), None, hooks())


@pytest.mark.parametrize("stop_after", [3, 4, 6], ids=["mid-epoch", "between epochs", "after the last step"])
def test_a_stopped_run_resumes_to_the_same_bits(whole, stop_after, base, pairs, tmp_path):
    settings, undisturbed = whole
    saved: list[Path] = []
    stopped = (
        contextlib.nullcontext()
        if stop_after == 6
        else pytest.raises(TryAgain, match=f"after step {stop_after} of 6")
    )
    with stopped:
        align(pairs, pairs[:4], base, settings, tmp_path / "a", None, hooks(stop_after, saved), tmp_path)
    resumed = align(pairs, pairs[:4], base, settings, tmp_path / "b", saved[-1], hooks(), tmp_path)
    assert resumed.rows == undisturbed.rows
    before, after = weights(undisturbed.model), weights(resumed.model)
    assert all(before[name].equal(after[name]) for name in before)


def test_a_resumed_full_run_without_its_references_is_refused(base, pairs, tmp_path):
    saved: list[Path] = []
    with pytest.raises(TryAgain):
        align(pairs, [], base, settings_for(base), tmp_path / "a", None, hooks(3, saved))
    with pytest.raises(UserError, match="16 reference log-probabilities are gone from the store"):
        align(pairs, [], base, settings_for(base), tmp_path / "b", saved[-1], hooks())


def test_a_checkpoint_of_another_model_is_no_place_to_go_on_from(base, pairs, tmp_path):
    saved: list[Path] = []
    align(pairs, [], base, settings_for(base, num_epochs=0.5), tmp_path / "full", None, hooks(None, saved))
    with pytest.raises(ValueError, match="holds other weights than the model trains"):
        align(pairs, [], base, settings_for(base, lora=LORA), tmp_path / "lora", saved[-1], hooks())


@pytest.mark.parametrize("lora", [LORA, None], ids=["lora", "full"])
def test_bfloat16_training_keeps_trained_weights_and_the_stored_model_in_float32(lora, base, pairs, tmp_path):
    import torch
    from safetensors.torch import load_file

    saved: list[Path] = []
    settings = settings_for(base, lora=lora, bf16=True, activation_checkpointing=True)
    aligned = align(pairs, [], base, settings, tmp_path, None, hooks(None, saved))
    assert values(aligned.rows, "loss")[-1] < values(aligned.rows, "loss")[0]
    assert {tensor.dtype for tensor in load_file(saved[-1] / "model.safetensors").values()} == {torch.float32}
    before, after = weights(base), weights(aligned.model)
    assert all(before[name].equal(after[name]) for name in before if "vision" in name)


def test_the_trained_tokens_are_the_answer_and_its_stop_token(base, pairs):
    (first, second), processor = encoded(base, pairs[:2])
    for ids, answer in (
        (first.chosen_ids, pairs[0].chosen),
        (first.rejected_ids, pairs[0].rejected),
        (second.chosen_ids, pairs[1].chosen),
    ):
        assert processor.tokenizer.decode(ids) == f"{answer}</s>"


def test_token_ids_are_those_that_trl_would_read(base, pairs):
    from trl.trainer.dpo_trainer import DataCollatorForVisionPreference

    found, processor = encoded(base, pairs[:2])
    rows = [{"images": [opened(pair.image)], **rendered_texts(base, pair)} for pair in pairs[:2]]
    batch = DataCollatorForVisionPreference(processor)(rows)
    ours = [pair.sequences(0)[side].input_ids.tolist() for side in (0, 1) for pair in found]
    theirs = [
        ids[mask == 1].tolist() for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)
    ]
    assert ours == theirs
    assert theirs[0].count(processor.image_token_id) == NUM_IMAGE_TOKENS


def test_the_prompt_is_read_as_at_inference(base, pairs):
    (pair,), _ = encoded(base, pairs[:1])
    asked = one_question(base)["input_ids"][0].tolist()
    assert pair.prompt_ids[: len(asked)].tolist() == asked


def test_a_template_without_a_stop_token_still_trains_one(pairs, tmp_path):
    base = build_tiny_llava(tmp_path / "base", chat_template=WITHOUT_STOP)
    (pair,), processor = encoded(base, pairs[:1])
    assert [pair.chosen_ids[-1], pair.rejected_ids[-1]] == [processor.tokenizer.eos_token_id] * 2


def encoded(base, pairs):
    """The pairs as token ids, and the processor."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    from spavl.learning.encoding import PairEncoder, usable_pairs
    from spavl.learning.rendering import stop_tokens

    processor, model = AutoProcessor.from_pretrained(base), AutoModelForImageTextToText.from_pretrained(base)
    stop = stop_tokens(processor, model.generation_config)
    return usable_pairs(pairs, PairEncoder(model, processor), stop, 512)[0], processor


def rendered_texts(base, pair):
    from transformers import AutoProcessor, GenerationConfig

    from spavl.learning.rendering import render_pair, stop_tokens

    processor = AutoProcessor.from_pretrained(base)
    rendered = render_pair(pair, processor, stop_tokens(processor, GenerationConfig.from_pretrained(base)))
    return {"prompt": rendered.prompt, "chosen": rendered.chosen, "rejected": rendered.rejected}


def opened(path):
    from PIL import Image

    return Image.open(path).convert("RGB")


def one_question(folder):
    from PIL import Image
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(folder)
    content = [
        {"type": "image", "image": Image.new("RGB", (33, 33), "red")},
        {"type": "text", "text": "what is shown here"},
    ]
    return processor.apply_chat_template(
        [{"role": "user", "content": content}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
