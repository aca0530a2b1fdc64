"""Per-token scores: the full softmax's values and gradients, TRL's too, without the full logits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests import tiny_vlms
from torch.utils._python_dispatch import TorchDispatchMode

from spavl.learning.scoring import add_scoring, token_log_probs
from spavl.learning.tree import plain_forward
from spavl.learning.vision import join_image_inputs

NUM_TOKENS, WIDTH, VOCABULARY = 13, 8, 31


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def tensors() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    hidden = drawn(NUM_TOKENS, WIDTH).requires_grad_()
    weight = drawn(VOCABULARY, WIDTH, seed=1).requires_grad_()
    labels = torch.randint(VOCABULARY, (NUM_TOKENS,), generator=torch.Generator().manual_seed(2))
    return hidden, weight, labels


class LargestTensor(TorchDispatchMode):
    """Notes the most numbers that any operation gave."""

    def __init__(self) -> None:
        super().__init__()
        self.numel = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor):
            self.numel = max(self.numel, made.numel())
        return made


def scene(vlm: tiny_vlms.TinyVlm) -> dict[str, Any]:
    """Model arguments of two answers about one image, the shorter one padded."""
    image = tiny_vlms.draw_image("star")
    sequences = vlm.sequences(image, {"what is shown here": ["a red square", "no"]})
    forward = plain_forward(sequences, vlm.pad_id, ["star", "star"])
    return {
        "input_ids": forward.input_ids,
        "attention_mask": forward.attention_mask,
        "position_ids": forward.position_ids,
        "shift_labels": forward.shift_labels,
        **join_image_inputs([vlm.image_inputs(image)] * 2),
    }


def from_logits(model: Any, arguments: dict[str, Any]) -> torch.Tensor:
    """The scores by way of the full logits, as any textbook has them."""
    labels = arguments["shift_labels"]
    logits = model(**{name: value for name, value in arguments.items() if name != "shift_labels"}).logits
    of_labels = logits.float().log_softmax(-1).gather(-1, labels.clamp(min=0)[..., None])[..., 0]
    return of_labels.masked_fill(labels == -100, 0.0)


def gradients(model: Any, per_token: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    (per_token * drawn(*per_token.shape, seed=3)).sum().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def largest_error(mine: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> float:
    assert mine.keys() == theirs.keys()
    return max(float((mine[name] - theirs[name]).norm() / theirs[name].norm()) for name in mine)


@pytest.mark.parametrize("chunk_tokens", [1, 4, 13, 100, None])
def test_scores_and_gradients_are_those_of_the_full_softmax(chunk_tokens: int | None) -> None:
    hidden, weight, labels = tensors()
    outer = drawn(NUM_TOKENS, seed=3)
    expected = (hidden @ weight.T).log_softmax(-1)[torch.arange(NUM_TOKENS), labels]
    expected_grads = torch.autograd.grad((expected * outer).sum(), (hidden, weight))
    scored = token_log_probs(hidden, weight, labels, chunk_tokens)
    grads = torch.autograd.grad((scored * outer).sum(), (hidden, weight))
    torch.testing.assert_close(scored, expected, rtol=1e-6, atol=1e-6)
    for mine, theirs in zip(grads, expected_grads, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)


def test_no_tensor_of_all_logits_is_made() -> None:
    hidden, weight, labels = tensors()
    with LargestTensor() as largest:
        token_log_probs(hidden, weight, labels, chunk_tokens=2).sum().backward()
    assert (
        largest.numel == VOCABULARY * WIDTH
    )  # the weight's gradient; 2 x 31 logits are less, 13 x 31 would be more


class Projections(TorchDispatchMode):
    """Notes the rows of every product that is as wide as the vocabulary."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self._vocabulary = vocabulary
        self.rows: list[int] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        if function is torch.ops.aten.mm.default and made.shape[1] == self._vocabulary:
            self.rows.append(len(made))
        return made


@pytest.mark.parametrize(
    ("chunk_tokens", "rows"),
    [(13, [13]), (7, [7, 6, 7, 6])],
    ids=["one chunk", "two chunks"],
)
def test_backward_projects_again_only_what_was_not_one_chunk(chunk_tokens: int, rows: list[int]) -> None:
    hidden, weight, labels = tensors()
    with Projections(VOCABULARY) as seen:
        token_log_probs(hidden, weight, labels, chunk_tokens).sum().backward()
    assert seen.rows == rows


def test_a_second_backward_gives_the_same_gradients() -> None:
    hidden, weight, labels = tensors()
    scored = token_log_probs(hidden, weight, labels).sum()
    first = torch.autograd.grad(scored, (hidden, weight), retain_graph=True)
    second = torch.autograd.grad(scored, (hidden, weight))
    for mine, again in zip(first, second, strict=True):
        torch.testing.assert_close(again, mine)


def test_positions_without_a_label_are_never_projected() -> None:
    vlm = tiny_vlms.build("llava_llama")
    add_scoring(vlm.model)
    arguments = scene(vlm)
    num_scored = int((arguments["shift_labels"] != -100).sum())
    with torch.no_grad(), Projections(vlm.model.lm_head.out_features) as seen:
        vlm.model(**arguments, scored=True)
    assert seen.rows == [num_scored]
    assert num_scored < arguments["input_ids"].numel() / 4


@pytest.mark.parametrize("name", ["llava_qwen2", "qwen3_vl", "smolvlm"])
def test_a_models_scores_and_gradients_are_those_of_its_logits(name: str) -> None:
    vlm = tiny_vlms.build(name)
    arguments = scene(vlm)
    expected = from_logits(vlm.model, arguments)
    expected_grads = gradients(vlm.model, expected)
    add_scoring(vlm.model)
    scored = vlm.model(**arguments, scored=True)
    assert scored.dtype == torch.float32
    torch.testing.assert_close(scored, expected, rtol=1e-6, atol=1e-6)
    assert largest_error(gradients(vlm.model, scored), expected_grads) < 2e-6


def test_a_tied_head_adds_its_gradient_to_the_embeddings() -> None:
    vlm = tiny_vlms.build("llava_llama")
    vlm.model.lm_head.weight = vlm.model.get_input_embeddings().weight
    arguments = scene(vlm)
    expected_grads = gradients(vlm.model, from_logits(vlm.model, arguments))
    add_scoring(vlm.model)
    grads = gradients(vlm.model, vlm.model(**arguments, scored=True))
    assert largest_error(grads, expected_grads) < 2e-6


def test_scores_and_gradients_are_those_of_trl() -> None:
    from trl.trainer.utils import add_fused_lm_head

    ours, theirs = tiny_vlms.build("llava_llama"), tiny_vlms.build("llava_llama")
    add_scoring(ours.model)
    add_fused_lm_head(theirs.model)
    arguments = scene(ours)
    scored = ours.model(**arguments, scored=True)
    expected = theirs.model(**arguments, fused_lm_head=True).log_probs
    torch.testing.assert_close(scored, expected, rtol=1e-6, atol=1e-6)
    assert largest_error(gradients(ours.model, scored), gradients(theirs.model, expected)) < 2e-6


def test_under_autocast_scores_are_trls_and_gradients_as_near_to_the_exact_ones() -> None:
    from trl.trainer.utils import add_fused_lm_head

    ours, theirs = tiny_vlms.build("llava_llama"), tiny_vlms.build("llava_llama")
    add_scoring(ours.model)
    add_fused_lm_head(theirs.model)
    arguments = scene(ours)
    exact = gradients(ours.model, ours.model(**arguments, scored=True))
    with torch.autocast("cpu", torch.bfloat16):
        scored = ours.model(**arguments, scored=True)
        expected = theirs.model(**arguments, fused_lm_head=True).log_probs
    torch.testing.assert_close(scored, expected, rtol=1e-6, atol=1e-6)
    error = largest_error(gradients(ours.model, scored), exact)
    error_of_trl = largest_error(gradients(theirs.model, expected), exact)
    assert error < 1.1 * error_of_trl


def test_without_any_label_the_score_is_a_zero_with_gradients() -> None:
    vlm = tiny_vlms.build("llava_llama")
    add_scoring(vlm.model)
    arguments = scene(vlm)
    arguments["shift_labels"] = torch.full_like(arguments["shift_labels"], -100)
    scored = vlm.model(**arguments, scored=True)
    assert scored.tolist() == torch.zeros(arguments["input_ids"].shape).tolist()
    grads = gradients(vlm.model, scored)
    assert {"lm_head.weight", "model.multi_modal_projector.linear_1.weight"} <= grads.keys()
    assert all(not grad.any() for grad in grads.values())


def test_adapters_get_the_gradients_of_the_logits() -> None:
    from peft import LoraConfig, get_peft_model

    vlm = tiny_vlms.build("llava_llama")
    torch.manual_seed(0)
    wrapped = get_peft_model(
        vlm.model, LoraConfig(r=2, target_modules=["q_proj", "linear_1"], init_lora_weights=False)
    )
    arguments = scene(vlm)
    expected_grads = gradients(wrapped, from_logits(wrapped, arguments))
    add_scoring(wrapped.get_base_model())
    grads = gradients(wrapped, wrapped(**arguments, scored=True))
    assert all("lora_" in name for name in grads)
    assert largest_error(grads, expected_grads) < 2e-6


def test_a_call_without_scored_is_the_models_own() -> None:
    vlm = tiny_vlms.build("llava_llama")
    arguments = scene(vlm)
    del arguments["shift_labels"]
    with torch.no_grad():
        before = vlm.model(**arguments).logits
        add_scoring(vlm.model)
        assert torch.equal(vlm.model(**arguments).logits, before)
        del arguments["position_ids"]
        assert vlm.model.generate(**arguments, max_new_tokens=2, do_sample=False).shape[1] > 2


@pytest.mark.parametrize("setting", [{"logit_scale": 0.5}, {"final_logit_softcapping": 30.0}])
def test_a_model_that_changes_its_logits_is_refused(setting: dict[str, float]) -> None:
    vlm = tiny_vlms.build("llava_llama", **setting)
    with pytest.raises(ValueError, match=next(iter(setting))):
        add_scoring(vlm.model)


def test_a_head_with_a_bias_or_an_adapter_is_refused() -> None:
    from peft import LoraConfig, get_peft_model

    vlm = tiny_vlms.build("llava_llama")
    vlm.model.lm_head.bias = torch.nn.Parameter(torch.zeros(vlm.model.lm_head.out_features))
    with pytest.raises(ValueError, match="Linear with bias"):
        add_scoring(vlm.model)
    vlm = tiny_vlms.build("llava_llama")
    add_scoring(vlm.model)
    wrapped = get_peft_model(vlm.model, LoraConfig(r=2, target_modules=["lm_head"]))
    with pytest.raises(ValueError, match="without adapter"):
        wrapped(**scene(vlm), scored=True)


def test_a_wrapped_model_is_refused() -> None:
    from peft import LoraConfig, get_peft_model

    wrapped = get_peft_model(tiny_vlms.build("llava_llama").model, LoraConfig(r=2, target_modules=["q_proj"]))
    with pytest.raises(ValueError, match="get_base_model"):
        add_scoring(wrapped)
