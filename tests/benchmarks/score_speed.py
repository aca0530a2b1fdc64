"""What scoring costs: judged answers of three models to N held-out prompts become scores; CPU seconds and peak memory.

    python -m tests.benchmarks.score_speed --prompts 20000
    python -m tests.benchmarks.score_speed --prompts 2000 --samples 4 --profile

Answers are made up, with the shape of a real night: half the prompts harm over all leaves of the taxonomy, half benign,
three prompts per image; base, aligned and champion; greedy and sampled; some with another image; a few without verdict.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import random
import resource
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from spavl.records import BENIGN
from spavl.stages.evaluation.agreement import agreement_measures
from spavl.stages.evaluation.grounding import grounding_scores
from spavl.stages.evaluation.rows import EvaluationAnswer
from spavl.stages.evaluation.scoring import score_answers
from spavl.stages.questions.rows import QUESTION_KINDS
from spavl.taxonomy import load_taxonomy

T = TypeVar("T")
MODELS = ("base", "aligned", "champion")
SHARE_UNSAFE = {"base": 0.5, "aligned": 0.1, "champion": 0.12}
PROMPTS_PER_IMAGE = 3
NUM_GROUNDING_PROMPTS = 64
SHARE_SILENT = 0.02  # of answers, that the judge's reply says nothing about
ALPHA = 0.03


def made_answers(num_prompts: int, num_samples: int, second_judge: bool = False) -> list[EvaluationAnswer]:
    """The answers of one night; the same arguments give the same answers."""
    draw = random.Random(num_prompts)
    return list(_answers(draw, num_prompts, num_samples, second_judge))


def _answers(
    draw: random.Random, num_prompts: int, num_samples: int, second_judge: bool
) -> Iterator[EvaluationAnswer]:
    leaves = load_taxonomy().leaves
    ways = [("greedy", 0, "own"), *(("sampled", sample, "own") for sample in range(num_samples))]
    others = [("greedy", 0, "swapped"), ("greedy", 0, "blank")]
    for number in range(num_prompts):
        benchmark = "held_out_harm" if number % 2 else "held_out_benign"
        image = number // 2 // PROMPTS_PER_IMAGE
        leaf = leaves[image % len(leaves)]
        is_harm = benchmark == "held_out_harm"
        of_prompt = {
            "question_id": f"q{number:08}",
            "image_id": f"{benchmark}-{image:07}",
            "class1": leaf.class1 if is_harm else BENIGN,
            "class3": leaf.id if is_harm else BENIGN,
            "kind": QUESTION_KINDS[number // 2 % 3] if is_harm else QUESTION_KINDS[3],
            "benchmark": benchmark,
        }
        is_grounded = number < 2 * NUM_GROUNDING_PROMPTS
        for model in MODELS:
            for way in [*ways, *(others if is_grounded else ())]:
                yield _answer(draw, of_prompt, model, way, second_judge)


def _answer(
    draw: random.Random,
    of_prompt: dict[str, str],
    model: str,
    way: tuple[str, int, str],
    second_judge: bool,
) -> EvaluationAnswer:
    decoding, sample, condition = way
    shown = {**of_prompt} if condition == "own" else {**of_prompt, "image_id": condition}
    second = {}
    if second_judge:
        judged = _verdict(draw, model)
        second = {f"second_{name}": value for name, value in judged.items()}
        second |= {"second_judge": "second", "second_judge_revision": "second-rev"}
    return EvaluationAnswer(
        id=f"{of_prompt['question_id']}-{model}-{decoding}-{sample}-{condition}",
        model=model,
        model_revision=f"{model}-rev",
        decoding=decoding,
        judge="judge",
        judge_revision="judge-rev",
        text="",
        error=None,
        raw_reply=None,
        sample=sample,
        condition=condition,
        **shown,
        **_verdict(draw, model),
        **second,
    )


def _verdict(draw: random.Random, model: str) -> dict[str, object]:
    names = ("outcome", "is_unsafe", "is_refusal", "helpfulness")
    if draw.random() < SHARE_SILENT:
        return dict(zip(names, (draw.choice(["unparsable", "error"]), None, None, None), strict=True))
    is_unsafe = draw.random() < SHARE_UNSAFE[model]
    is_refusal = not is_unsafe and draw.random() < 0.4
    return dict(zip(names, ("ok", is_unsafe, is_refusal, draw.randrange(4)), strict=True))


def measured(make: Callable[[], T]) -> tuple[T, float]:
    """What it makes, and the CPU seconds it took."""
    before = time.process_time()
    made = make()
    return made, time.process_time() - before


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prompts", type=int, default=20_000, help="held-out prompts, half of them harm")
    parser.add_argument("--samples", type=int, default=4, help="sampled answers per prompt")
    parser.add_argument("--second-judge", action="store_true")
    parser.add_argument("--profile", action="store_true", help="also the functions that cost most")
    asked = parser.parse_args()
    answers = made_answers(asked.prompts, asked.samples, asked.second_judge)
    profile = cProfile.Profile()
    if asked.profile:
        profile.enable()
    scores, cpu_s = measured(lambda: score_answers(answers, alpha=ALPHA))
    profile.disable()
    _, grounding_s = measured(lambda: grounding_scores(answers, alpha=ALPHA))
    _, agreement_s = measured(lambda: agreement_measures(answers))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{asked.prompts} prompts, {len(answers)} answers: {len(scores)} scores in {cpu_s:.2f} CPU s, "
        f"grounding {grounding_s:.2f} CPU s, agreement of two judges {agreement_s:.2f} CPU s, peak {peak_mb:.0f} MB (the answers among it)"
    )
    if asked.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(20)


if __name__ == "__main__":
    main()
