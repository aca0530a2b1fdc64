"""PPO's rollouts beside transformers' own `generate`: the same model, prompts, pixels, batches and number of new tokens.

`generate` draws from the whole vocabulary at temperature 1, which is what PPO needs, and gets tokens and pixels ready made. Ours
gets the same; and once more as in training, where it lays out the batch itself and the tower has read the images before. Sides
take turns in one process; no answer may end early, so all of them make equally many tokens.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.benchmarks import speed_report
from tests.benchmarks.speed_children import keep_freed_memory
from tests.benchmarks.speed_shapes import Shape, build_model, build_pairs, build_processor
from tests.benchmarks.speed_sides import Seconds, Stopwatch

GENERATE, OURS, KEPT = "generate", "ours", "ours, tower kept"
NUM_PROMPTS = 16  # questions about six images
GOAL = 1.0  # of `generate`'s time over ours

Answers = list[tuple[int, ...]]


@dataclass(frozen=True)
class RolloutJob:
    """What is sampled, and how often."""

    shape: Shape
    folder: Path
    device: str
    dtype: str
    num_rounds: int
    batch_sizes: tuple[int, ...] = (16, 4)
    goal: float | None = GOAL


def measured(job: RolloutJob) -> list[dict[str, Any]]:
    """One comparison for each batch size, in a process of its own, which gives its memory back."""
    method = "fork" if job.device == "cpu" else "spawn"
    with multiprocessing.get_context(method).Pool(1) as pool:
        return pool.apply(_measure, (job,))


def is_good(compared: Mapping[str, Any]) -> bool:
    return compared["equal"] and all(seen["met"] is not False for seen in compared["ratio"].values())


def _measure(job: RolloutJob) -> list[dict[str, Any]]:
    import torch

    torch.set_num_threads(1)
    keep_freed_memory()
    table = _Table(job)
    expected: Answers | None = None
    found = []
    for size in job.batch_sizes:
        rounds, answers = _rounds(table, size)
        expected = expected or answers[OURS]
        # in bfloat16 another batch size multiplies in another order, and sooner or later another word wins
        same = [answers[OURS], answers[KEPT]] if job.dtype == "float32" else []
        num_tokens = {len(answer) for of_side in answers.values() for answer in of_side}
        is_equal = num_tokens == {job.shape.answer_tokens} and all(of == expected for of in same)
        found.append(_concluded(job, size, len(table.prompts), rounds, is_equal))
    return found


def _rounds(table: _Table, size: int) -> tuple[dict[str, list[Seconds]], dict[str, Answers]]:
    """Seconds of every round by side, after one that does not count; and the answers of the last."""
    sides = {GENERATE: table.generate, OURS: table.ours, KEPT: table.ours_kept}
    rounds: dict[str, list[Seconds]] = {name: [] for name in sides}
    answers: dict[str, Answers] = {}
    for number in range(table.job.num_rounds + 1):
        for name in list(sides) if number % 2 == 0 else reversed(list(sides)):
            seconds, answers[name] = table.timed(name, sides[name], size)
            print(
                f"{size} at a time, round {number}, {name}: {seconds.wall_s:.1f} s, CPU {seconds.cpu_s:.1f} s",
                file=sys.stderr,
            )
            if number:
                rounds[name].append(seconds)
    return rounds, answers


def _concluded(
    job: RolloutJob, size: int, num_prompts: int, rounds: Mapping[str, Sequence[Seconds]], is_equal: bool
) -> dict[str, Any]:
    num_tokens = num_prompts * job.shape.answer_tokens
    sides = {name: speed_report.rollout_facts(seconds, num_tokens) for name, seconds in rounds.items()}
    ratios = {name: speed_report.ratio(rounds, GENERATE, name) for name in (OURS, KEPT)}
    for seen in ratios.values():
        seen["met"] = None if job.goal is None else seen["median"] >= job.goal
    return {
        "title": f"rollouts: {num_prompts} prompts with {job.shape.image_tokens} image tokens, {size} at a time, "
        f"{job.shape.answer_tokens} new tokens each, {job.dtype}",
        "batch_size": size,
        "goal": job.goal,
        "num_rounds": job.num_rounds,
        "sides": sides,
        "ratio": ratios,
        "equal": is_equal,
    }


class _Table:
    """The model and its prompts, ready for every side."""

    def __init__(self, job: RolloutJob) -> None:
        from spavl.learning import base_model, encoding, rendering
        from spavl.stages.training.ppo.rollouts import Sampler, prompts_of
        from spavl.stages.training.ppo.sampling import Vocabulary, never_sampled
        from spavl.stages.training.ppo.settings import PpoSettings

        self.job = job
        processor = build_processor(job.shape)
        self.model = build_model(job.shape, processor.tokenizer, job.device, job.dtype).eval()
        base_model.switch_off_dropout(self.model)
        pairs = list(
            _with_questions_of_many_lengths(build_pairs(job.shape, _num_steps(job.shape), job.folder))
        )
        stop = rendering.stop_tokens(processor, self.model.generation_config)
        encoder = encoding.PairEncoder(self.model, processor)
        encoded, _ = encoding.usable_pairs(pairs, encoder, stop, 4096)
        prompts, _ = prompts_of(encoded, 4096)
        # as in training
        self.prompts = sorted(prompts[:NUM_PROMPTS], key=lambda prompt: -len(prompt.input_ids))
        pad_id = processor.tokenizer.pad_token_id
        # padding, which is never drawn, is the only stop token: so no answer ends
        vocabulary = Vocabulary(pad_id, (pad_id,), (*never_sampled(self.model.config), pad_id))
        settings = PpoSettings(max_new_tokens=job.shape.answer_tokens, bf16=job.dtype == "bfloat16")
        online, kept = self._pictures(processor, pairs)
        self._sampler = Sampler(settings, online, None, vocabulary)
        self._sampler_kept = replace(self._sampler, pictures=kept)

    def timed(self, name: str, side: Callable, size: int) -> tuple[Seconds, Answers]:
        """All prompts answered by one side; what it is given ready made is made before the clock starts."""
        self._attend_as(name)
        answers: Answers = []
        wall_s = cpu_s = 0.0
        for start in range(0, len(self.prompts), size):
            prompts = self.prompts[start : start + size]
            ready = None if name == KEPT else self._ready(prompts)
            watch = Stopwatch()
            answers += side(prompts, ready)
            self._synchronize()
            seconds = watch.read()
            wall_s, cpu_s = wall_s + seconds.wall_s, cpu_s + seconds.cpu_s
        return Seconds(wall_s, cpu_s), answers

    def generate(self, prompts: Sequence[Any], ready: Any) -> Answers:
        """transformers' own sampling."""
        import torch

        forward = ready.forward
        with torch.no_grad():
            whole = self.model.generate(
                input_ids=forward.input_ids,
                attention_mask=forward.attention_mask,
                **ready.image_inputs,
                do_sample=True,
                temperature=1.0,
                top_k=0,
                top_p=1.0,
                max_new_tokens=self.job.shape.answer_tokens,
                eos_token_id=None,
                pad_token_id=self._sampler.vocabulary.pad_id,
            )
        return [tuple(row) for row in whole[:, forward.input_ids.shape[1] :].tolist()]

    def ours(self, prompts: Sequence[Any], ready: Any) -> Answers:
        """Sampling by keyed noise, from the same tensors."""
        from spavl.stages.training.ppo.sampling import sample_answers

        tokens = {
            name: getattr(ready.forward, name) for name in ("input_ids", "attention_mask", "position_ids")
        }
        made = sample_answers(
            self.model,
            tokens,
            ready.image_inputs,
            self._keys(prompts),
            self._sampler.vocabulary,
            self.job.shape.answer_tokens,
        )
        return [answer.ids for answer in made]

    def ours_kept(self, prompts: Sequence[Any], _: Any) -> Answers:
        """A batch of rollouts as in training: laid out here, the tower's outputs kept."""
        from spavl.stages.training.ppo.rollouts import sample

        return [a.ids for a in sample(self.model, prompts, self._keys(prompts), self._sampler_kept)]

    def _ready(self, prompts: Sequence[Any]) -> Any:
        from spavl.stages.training.ppo.rollouts import prompt_batch

        batch = self._sampler.pictures.attach(prompt_batch(prompts, self._sampler.vocabulary.pad_id))
        images = {name: value.to(self.model.dtype) for name, value in batch.image_inputs.items()}
        return replace(batch, image_inputs=images).to(self.job.device)

    def _keys(self, prompts: Sequence[Any]) -> list[int]:
        from spavl.stages.training.ppo.rollouts import keys_of

        return keys_of(prompts, [0] * len(prompts), 0)

    def _attend_as(self, name: str) -> None:
        """Ours attends on a CPU as it does in training there."""
        from spavl.learning.attention import attend_in_blocks

        if name != GENERATE and self.job.device == "cpu":
            attend_in_blocks(self.model)
        else:
            self.model.get_decoder().config._attn_implementation = "sdpa"

    def _pictures(self, processor: Any, pairs: Sequence[Any]) -> tuple[Any, Any]:
        """Images that are encoded every time, and images whose tower's output is kept."""
        from spavl.learning import rendering
        from spavl.learning.feature_cache import FeatureCache
        from spavl.learning.pictures import KeptFeatures, Pictures

        files = {pair.image_id: pair.image for pair in pairs}
        kept = KeptFeatures(FeatureCache(10**10), {image: image for image in files})
        prompt = rendering.any_prompt(processor)
        return Pictures(processor, prompt, files), Pictures(processor, prompt, files, kept)

    def _synchronize(self) -> None:
        if self.job.device != "cpu":
            import torch

            torch.cuda.synchronize()


def _with_questions_of_many_lengths(pairs: Sequence[Any]) -> Iterator[Any]:
    """Questions of half a length to a whole one, so that prompts are padded."""
    for number, pair in enumerate(pairs):
        words = pair.question.split()
        size = len(words) - number % max(1, len(words) // 2)
        yield replace(pair, question=" ".join(words[:size]))


def _num_steps(shape: Shape) -> int:
    return -(-NUM_PROMPTS // shape.pairs_per_step)
