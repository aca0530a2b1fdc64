"""A reward model: a vision-language model with a linear head on the hidden state of an answer's last token.

Its first output is the reward; a second one may be the cost, a logit above 0 where the answer is unsafe (the two are kept
apart as in Safe RLHF, arXiv 2310.12773). The vision tower is frozen; language model and projector are trained, in full or
by adapters. What is saved is whole: every weight that decides a score, the processor, and what the outputs mean.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spavl.errors import UserError
from spavl.inference.files import NOTHING, Allowed, code_arguments
from spavl.inference.processor import pil_processor
from spavl.learning.heads import add_head, head_of, text_arguments, without_head
from spavl.learning.tree import Forward
from spavl.learning.wrapping import unwrapped, whole_weights

if TYPE_CHECKING:
    import torch

REWARD = "reward"
COST = "cost"
OUTPUTS = ((REWARD,), (REWARD, COST))  # what a head may give
HEAD_WEIGHTS = "reward_head.safetensors"
HEAD_CONFIG = "reward_head.json"
_FORMAT = 1


@dataclass(frozen=True)
class RewardModel:
    """A loaded reward model, for scoring only."""

    model: Any
    processor: Any
    outputs: tuple[str, ...]

    def scores(self, forward: Forward, image_arguments: Mapping[str, Any], num_answers: int) -> torch.Tensor:
        """Scores [num_answers, outputs] float32 of a forward on the model's device; no gradient."""
        import torch

        # features that were kept in float32 meet a projector in bfloat16
        is_half = self.model.dtype == torch.bfloat16
        kind = forward.input_ids.device.type
        with torch.no_grad(), torch.autocast(kind, torch.bfloat16, enabled=is_half):
            return answer_scores(self.model, forward, image_arguments, num_answers)


def prepare_reward_model(model: Any, outputs: Sequence[str] = (REWARD,), seed: int = 0) -> None:
    """Give a loaded model, already in its PEFT wrapper where it has one, the head of a reward model.

    The head over the vocabulary is frozen where it stands alone: nothing reads it, and DDP waits for the gradient of every
    trained parameter.
    """
    if tuple(outputs) not in OUTPUTS:
        raise ValueError(f"the outputs of a reward model are one of {OUTPUTS}, not {tuple(outputs)}")
    base = unwrapped(model)
    add_head(base, len(outputs), seed)
    words = base.get_output_embeddings()
    if words is not None and words.weight is not base.get_input_embeddings().weight:
        words.requires_grad_(False)


def answer_ends(answers: torch.Tensor, num_answers: int) -> torch.Tensor:
    """Place (row * L + position) of each answer's last token, int64 [num_answers], from `Forward.answers` [B, L].

    Scored positions are those that predict, so the last token stands one after the last of them: in the same leaf of a
    tree, in the same row of the plain layout. Every answer must be in the forward.
    """
    import torch

    places = torch.arange(answers.numel(), device=answers.device)
    last = torch.full((num_answers + 1,), -1, device=answers.device)  # index 0 gathers what is not scored
    return last.scatter_reduce_(0, answers.flatten() + 1, places, "amax")[1:] + 1


def answer_scores(
    model: Any, forward: Forward, image_arguments: Mapping[str, Any], num_answers: int
) -> torch.Tensor:
    """Scores [num_answers, outputs] float32 of the answers 0, 1, … of a forward, through the (wrapped) model's own forward."""
    ends = answer_ends(forward.answers, num_answers)
    return model(**text_arguments(model, forward), **image_arguments, head_at=ends)


def restored(model: Any, state: Mapping[str, torch.Tensor]) -> Any:
    """A fresh model, prepared like the one in training, with the weights that were trained; adapters merged into it.

    In float32 a base keeps updates that are smaller than bfloat16 can add to a weight. Raises ValueError for a weight that
    has no place.
    """
    unknown = model.load_state_dict(dict(state), strict=False).unexpected_keys
    if unknown:
        raise ValueError(f"the model has no weight {unknown[0]!r}, which was trained")
    return model.merge_and_unload() if hasattr(model, "merge_and_unload") else model


def save_reward_model(
    model: Any, processor: Any, outputs: Sequence[str], folder: Path, dtype: torch.dtype | None = None
) -> None:
    """Save a transformers model with its head, adapters merged before, and its processor into `folder`.

    With `dtype` the model is turned into it first, all but the head, which stays in float32.
    """
    from safetensors.torch import save_file

    if hasattr(model, "peft_config") or len(head_of(model).bias) != len(outputs):
        raise ValueError("save a merged model, and one output for each row of its head")
    head = {name: value.detach().cpu().float().clone() for name, value in head_of(model).state_dict().items()}
    if dtype is not None:
        model.to(dtype)
    model.save_pretrained(folder, state_dict=without_head(model.state_dict()))
    processor.save_pretrained(folder)
    save_file(head, folder / HEAD_WEIGHTS)
    config = {"format": _FORMAT, "outputs": list(outputs)}
    (folder / HEAD_CONFIG).write_text(json.dumps(config, indent=1) + "\n", "utf-8")


def load_reward_model(
    folder: Path, dtype: str, device: str = "cpu", allowed: Allowed = NOTHING
) -> RewardModel:
    """The reward model in `folder`, frozen, its head in float32; raises UserError where a part of it is missing.

    `allowed` is what its base was allowed: its weights are safetensors, its code is the base's.
    """
    outputs = _read_outputs(folder)
    with whole_weights():
        model = _load_trunk(folder, dtype, allowed)
    head = add_head(model, len(outputs))
    head.load_state_dict(_read_head(folder, head.state_dict()))
    return RewardModel(
        model.to(device).eval().requires_grad_(False), _load_processor(folder, allowed), outputs
    )


def _read_outputs(folder: Path) -> tuple[str, ...]:
    try:
        config = json.loads((folder / HEAD_CONFIG).read_text("utf-8"))
        outputs = tuple(config["outputs"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _incomplete(folder, f"{HEAD_CONFIG} cannot be read ({type(error).__name__})") from None
    if config.get("format") != _FORMAT or outputs not in OUTPUTS:
        raise _incomplete(folder, f"{HEAD_CONFIG} names the outputs {outputs}; known are {OUTPUTS}")
    return outputs


def _read_head(folder: Path, expected: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        head = load_file(folder / HEAD_WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise _incomplete(folder, f"{HEAD_WEIGHTS} cannot be read ({type(error).__name__})") from None
    seen, wanted = ({name: tuple(value.shape) for name, value in of.items()} for of in (head, expected))
    if seen != wanted:
        raise _incomplete(folder, f"{HEAD_WEIGHTS} holds {seen}, and the model needs {wanted}")
    return head


def _load_trunk(folder: Path, dtype: str, allowed: Allowed) -> Any:
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForImageTextToText

    try:
        model, report = AutoModelForImageTextToText.from_pretrained(
            folder,
            dtype=getattr(torch, dtype),
            use_safetensors=True,
            **code_arguments(allowed),
            local_files_only=True,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        first_line = str(error).strip().partition("\n")[0][:300]
        raise _incomplete(folder, f"its model cannot be loaded: {first_line}") from error
    missing = sorted(report["missing_keys"])  # transformers draws them at random and only warns
    if missing:
        raise _incomplete(folder, f"it lacks {len(missing)} weights, the first is {missing[0]!r}")
    return model


def _load_processor(folder: Path, allowed: Allowed) -> Any:
    return pil_processor(folder, local_files_only=True, **code_arguments(allowed))


def _incomplete(folder: Path, reason: str) -> UserError:
    return UserError(
        f"the folder {folder.name!r} holds no whole reward model: {reason}.",
        next_step="Give the folder that the stage `reward` wrote, with all of its files.",
    )
