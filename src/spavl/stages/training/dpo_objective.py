"""Direct Preference Optimization as an objective: what one forward of pairs costs, against a reference kept in the store."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from spavl.errors import UserError
from spavl.learning.cache_keys import reference_key
from spavl.learning.objective import StepLoss
from spavl.learning.pair_steps import Course, PairSteps
from spavl.learning.pictures import Pictures
from spavl.learning.references import ReferenceCache, Terms
from spavl.learning.steps import EncodedPair, Layout, PairForward, share_of
from spavl.learning.tree import answer_logps, mask_for
from spavl.stages.training.config import TrainingConfig
from spavl.stages.training.losses import ipo_loss, margin_beta, sigmoid_loss

PAIRS_AT_ONCE = (
    1024  # reference log-probabilities are kept in files of this many pairs: the most that a kill costs
)


class DpoObjective:
    """DPO over fixed steps of pairs; `references` must hold them before the first loss (`References.fill`)."""

    def __init__(
        self,
        pairs: Sequence[EncodedPair],
        settings: TrainingConfig,
        layout: Layout,
        pictures: Pictures,
        references: References,
        *,
        is_evaluation: bool = False,
    ) -> None:
        self._settings = settings
        self._layout = layout
        self._pictures = pictures
        self._references = references
        course = Course(
            1 if is_evaluation else settings.num_epochs,
            settings.global_batch_size,
            settings.seed,
            is_evaluation or settings.group_by_image,
        )
        self._steps = PairSteps(pairs, course, layout, pictures)

    @property
    def num_steps(self) -> int:
        return self._steps.num_steps

    def epoch_of(self, step: int) -> float:
        return self._steps.epoch_of(step)

    def step_pairs(self, step: int) -> list[EncodedPair]:
        """The pairs of a 0-based step."""
        return self._steps.step_pairs(step)

    def forwards(self, step: int, rank: int, num_ranks: int) -> list[PairForward]:
        return self._steps.forwards(step, rank, num_ranks)

    def before_step(self, model: Any, step: int) -> None:
        self._references.fill(model, is_base=step == 0)

    def may_save_after(self, step: int) -> bool:
        return True

    def loss(self, model: Any, forward: PairForward) -> StepLoss:
        logps = scored_answers(model, forward, self._pictures, self._layout.attention)
        reference = self._references.of(forward.pairs).to(logps.device)
        return self._loss_of(logps, reference, forward)

    def _loss_of(self, logps: Any, reference: Any, forward: PairForward) -> StepLoss:
        """From log-probabilities [2 B], chosen and rejected in turn, of policy and reference."""
        import torch

        chosen, rejected = logps[0::2], logps[1::2]
        chosen_ratio, rejected_ratio = chosen - reference[0::2], rejected - reference[1::2]
        lengths = torch.tensor(
            [(len(pair.chosen_ids), len(pair.rejected_ids)) for pair in forward.pairs],
            dtype=logps.dtype,
            device=logps.device,
        )
        per_pair = self._per_pair(chosen_ratio, rejected_ratio, lengths, forward.pairs)
        loss = per_pair.sum() / forward.num_step_pairs
        if self._settings.sft_weight:
            loss = loss - self._settings.sft_weight * chosen.sum() / forward.num_step_chosen_tokens
        whole = loss.detach() * forward.weight * forward.num_step_pairs
        return StepLoss(
            loss * forward.weight,
            {"loss": (whole, forward.weight * len(forward.pairs))}
            | _sums(
                chosen, rejected, chosen_ratio, rejected_ratio, lengths, self._settings.beta, forward.weight
            ),
            num_samples=forward.weight * len(forward.pairs),
            num_tokens=forward.weight * forward.num_tokens,
        )

    def _per_pair(
        self, chosen_ratio: Any, rejected_ratio: Any, lengths: Any, pairs: Sequence[EncodedPair]
    ) -> Any:
        import torch

        settings = self._settings
        if settings.loss == "ipo":
            return ipo_loss(chosen_ratio, rejected_ratio, lengths[:, 0], lengths[:, 1], settings.beta)
        margin = torch.tensor(
            [pair.margin for pair in pairs], dtype=chosen_ratio.dtype, device=chosen_ratio.device
        )
        log_ratio = chosen_ratio - rejected_ratio
        if settings.loss == "margin_beta":
            return sigmoid_loss(log_ratio, margin_beta(margin, settings.beta, settings.margin_scale))
        weight = margin if settings.loss == "margin_weight" else 1.0
        return weight * sigmoid_loss(log_ratio, settings.beta)


def scored_answers(model: Any, forward: PairForward, pictures: Pictures, attention: str) -> Any:
    """Log-probability of every answer of a forward [2 B] float32, through the wrapped model's own forward."""
    import torch

    inputs = forward.forward
    per_token = model(
        input_ids=inputs.input_ids,
        attention_mask=mask_for(inputs, attention, torch.float32),
        position_ids=inputs.position_ids,
        shift_labels=inputs.shift_labels,
        scored=True,
        **pictures.arguments(model, forward),
    )
    return answer_logps(per_token, inputs.answers, 2 * len(forward.pairs))


def _sums(
    chosen: Any,
    rejected: Any,
    chosen_ratio: Any,
    rejected_ratio: Any,
    lengths: Any,
    beta: float,
    weight: float,
) -> dict[str, tuple[Any, Any]]:
    num = len(chosen) * weight
    means = {
        "logps/chosen": chosen,
        "logps/rejected": rejected,
        "logps/chosen_change": chosen_ratio,  # nats per answer above the reference: falls where likelihood is displaced
        "rewards/chosen": beta * chosen_ratio,
        "rewards/rejected": beta * rejected_ratio,
        "rewards/margins": beta * (chosen_ratio - rejected_ratio),
        "rewards/accuracies": (chosen_ratio > rejected_ratio).float(),
    }
    sums = {name: (weight * values.detach().sum(), num) for name, values in means.items()}
    tokens = weight * lengths[:, 0].sum()
    return sums | {"sft_loss": (-weight * chosen.detach().sum(), tokens)}


@dataclass
class References:
    """The reference's log-probabilities of some pairs: read from the cache, and what is missing computed once."""

    pairs: Sequence[EncodedPair]
    terms: Terms
    cache: ReferenceCache
    layout: Layout
    pictures: Pictures
    place: tuple[int, int] = (0, 1)  # rank, number of ranks
    gather: Callable[[dict[str, float]], dict[str, float]] = lambda computed: computed  # over all ranks
    agree: Callable[[Any], Any] = lambda known: known  # rank 0's, on every rank
    on_progress: Callable[[int, int], None] = lambda done, total: None
    num_computed: int = 0  # pairs

    def __post_init__(self) -> None:
        self._keys = {pair.id: self._keys_of(pair) for pair in self.pairs}
        self._values: Mapping[str, float] | None = None

    def of(self, pairs: Sequence[EncodedPair]) -> Any:
        """[2 B] float32: chosen and rejected of each pair in turn."""
        import torch

        assert self._values is not None, "fill comes first"
        return torch.tensor([self._values[key] for pair in pairs for key in self._keys[pair.id]])

    def fill(self, model: Any, *, is_base: bool) -> None:
        """Compute what the cache lacks; `is_base` says that the model's weights are still the reference's.

        Raises UserError where something is missing and neither that nor an adapter gives the reference back.
        """
        if self._values is not None:
            return
        # another run may be adding to the store: ranks that missed different pairs would wait for each other for ever
        known = self.agree(self._known() if self.place[0] == 0 else None)
        missing = [pair for pair in self.pairs if any(key not in known for key in self._keys[pair.id])]
        if missing and not is_base and _adapter_of(model) is None:
            raise UserError(
                f"{len(missing)} reference log-probabilities are gone from the store, and the model has been trained since.",
                next_step="Start a new run.",
            )
        missing.sort(key=lambda pair: (pair.image, pair.id))
        for start in range(0, len(missing), PAIRS_AT_ONCE):
            part = missing[start : start + PAIRS_AT_ONCE]
            computed = self.gather(self._compute(model, part))
            _refuse_not_finite(computed)
            if self.place[0] == 0:
                self.cache.add(computed)
            known = computed | known  # what was kept first stays
            self.on_progress(start + len(part), len(missing))
        self.num_computed = len(missing)
        self._values = known

    def _known(self) -> dict[str, float]:
        kept = self.cache.read()
        return {key: kept[key] for keys in self._keys.values() for key in keys if key in kept}

    def _compute(self, model: Any, pairs: Sequence[EncodedPair]) -> dict[str, float]:
        """This rank's part of the pairs."""
        import torch

        computed: dict[str, float] = {}
        device = next(model.parameters()).device
        was_training = model.training
        model.eval()
        with torch.no_grad(), _reference(model):
            for forward in share_of(pairs, *self.place, self.layout):
                here = self.pictures.attach(forward).to(device)
                logps = scored_answers(model, here, self.pictures, self.layout.attention)
                if forward.weight:
                    keys = [key for pair in forward.pairs for key in self._keys[pair.id]]
                    computed |= dict(zip(keys, logps.float().tolist(), strict=True))
        model.train(was_training)
        return computed

    def _keys_of(self, pair: EncodedPair) -> tuple[str, str]:
        """Of chosen and rejected."""
        chosen, rejected = (
            reference_key(
                image_sha256=pair.image,
                input_ids=sequence.input_ids,
                num_prompt=sequence.num_prompt,
                **asdict(self.terms),
            )
            for sequence in pair.sequences(0)
        )
        return chosen, rejected


def _refuse_not_finite(computed: Mapping[str, float]) -> None:
    """Raise UserError where the base itself gives no number: kept, it would spoil every later night."""
    bad = sum(not math.isfinite(logp) for logp in computed.values())
    if bad:
        raise UserError(
            f"the base model gives no finite log-probability to {bad} of {len(computed)} answers.",
            next_step="Are its weights whole? Try it with training.bf16 off.",
        )


def _adapter_of(model: Any) -> Any:
    """The PEFT model in a wrapped one, or None."""
    while not hasattr(model, "disable_adapter"):
        if not hasattr(model, "module"):
            return None
        model = model.module
    return model


@contextlib.contextmanager
def _reference(model: Any) -> Iterator[None]:
    """Inside, the model is the reference: its adapters are off; without any it is the reference only before its first step."""
    adapted = _adapter_of(model)
    with adapted.disable_adapter() if adapted is not None else contextlib.nullcontext():
        yield
