"""Good tables of every stage: small, coherent, harmless, and passing `expectations/`. Break a copy to show what bites.

All tables tell of one made-up world: image i is benign where i is even, has one question, and four models answered it.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from spavl.records import BENIGN, stable_hash
from spavl.records import to_table as table_of_rows
from spavl.stages import measures_of, row_type_of
from spavl.stages.benchmarks.rows import BenchmarkScore
from spavl.stages.comparisons.rows import AXES, ORDERS, Comparison
from spavl.stages.dataset.rows import DatasetRow
from spavl.stages.evaluation.rows import Score
from spavl.stages.images.rows import Image
from spavl.stages.judgements.rows import Judgement
from spavl.stages.preferences.rows import Preference
from spavl.stages.questions.rows import Question
from spavl.stages.release.rows import ReleaseFile
from spavl.stages.responses.rows import Response
from spavl.stages.training.rows import TrainingMetric
from spavl.taxonomy import load_taxonomy
from spavl.validation import gate

MODELS = ("bold", "mild", "shy", "strict")  # from least to most safe: groups 0, 1, 3, 4
GROUPS = {"bold": 0, "mild": 1, "shy": 3, "strict": 4}
COUNTS: dict[str, dict[str, int]] = {"images": {"quarantined": 0}}  # the counts that derived columns read
GOLD = {  # what a good judge's trial measures
    "gold_num_items": 420,
    "gold_accuracy": 0.99,
    "gold_sensitivity": 0.98,
    "gold_sensitivity__low": 0.94,
    "gold_sensitivity__high": 1.0,
    "gold_specificity": 0.99,
    "gold_specificity__low": 0.96,
    "gold_specificity__high": 1.0,
    "gold_refusal_accuracy": 0.99,
    "gold_helpfulness_accuracy": 0.98,
    "gold_refusal_then_complies": 0.95,
    "gold_speaks_to_judge": 0.96,
    "gold_worst_behaviour": 0.95,
    "gold_worst_language": 0.98,
    "gold_worst_domain_sensitivity": 0.9,
    "gold_worst_domain_specificity": 0.9,
    "gold_unparsable_share": 0.0,
    "gold_drift": 0.01,
    "gold_num_repeated": 400,
}
LARGE = ("effective_", "smallest_")  # measures that are good if they are large, unlike the others of audit
MEASURES: dict[str, dict[str, float]] = {  # what a good night measures; a suite may limit it
    **{
        stage: {name: 100.0 if name.startswith(LARGE) else 0.0 for name in measures_of(stage)}
        for stage in ("images", "questions", "responses", "dataset")
    },
    "benchmarks": dict.fromkeys(measures_of("benchmarks"), 0.0),
    "preferences": dict.fromkeys(measures_of("preferences"), 0.0)
    | {"class_skill": 0.9, "class_skill_of_answers": 0.8},
    "evaluation": dict.fromkeys(measures_of("evaluation"), 0.5)
    | {"decision_number": 1.0, "num_missing_comparisons": 0.0, "margin_over_text_rule__gate_low": 0.1}
    | {"judge_agreement_unsafe": 0.9, "judge_agreement_refusal": 0.9}
    | {"aligned_unsafe_rate_corrected__high": 0.1}
    | GOLD
    | {f"second_{name}": value for name, value in GOLD.items()},
    "judgements": GOLD,
    "comparisons": {
        "gold_num_askings": 400,
        "gold_accuracy": 0.99,
        "gold_harmlessness_accuracy": 0.99,
        "gold_harmlessness_accuracy__low": 0.95,
        "gold_harmlessness_accuracy__high": 1.0,
        "gold_helpfulness_accuracy": 0.99,
        "gold_helpfulness_accuracy__low": 0.95,
        "gold_helpfulness_accuracy__high": 1.0,
        "gold_worst_behaviour": 0.95,
        "gold_worst_domain": 0.9,
        "gold_worst_language": 0.98,
        "gold_unparsable_share": 0.0,
        "gold_drift": 0.01,
        "gold_num_repeated": 400,
    },
}
PROMPT_HASH = stable_hash("a prompt")


def good_rows(stage: str, n: int | None = None) -> list[Any]:
    """Rows of the stage's table for n images (training: n steps); evaluation and release have one size."""
    return FACTORIES[stage](n) if n else FACTORIES[stage]()


def good_table(stage: str, n: int | None = None) -> pa.Table:
    return to_table(stage, good_rows(stage, n))


def row_type(stage: str) -> type:
    return row_type_of(stage)


def to_table(stage: str, rows: Sequence[Any]) -> pa.Table:
    return table_of_rows(rows, row_type(stage))


@functools.cache
def image_id(i: int) -> str:
    return hashlib.sha256(f"image {i}".encode()).hexdigest()


def question_id(i: int) -> str:
    return stable_hash("question", i)


def response_id(i: int, model: str) -> str:
    return stable_hash("response", i, model)


def classes(i: int) -> dict[str, str]:
    leaves = load_taxonomy().leaves
    leaf = leaves[i % len(leaves)]
    path = (BENIGN,) * 3 if i % 2 == 0 else (leaf.class1, leaf.class2, leaf.id)
    return dict(zip(("class1", "class2", "class3"), path, strict=True))


def kind(i: int) -> str:
    return (
        "benign_control" if i % 2 == 0 else ("easy_question", "hard_question", "hard_statement")[i // 2 % 3]
    )


def is_unsafe(i: int, model: str) -> bool:
    """Harm prompts only: of every four, bold answers all, mild three, shy one, strict none."""
    return i % 2 == 1 and i // 2 % 4 < {"bold": 4, "mild": 3, "shy": 1, "strict": 0}[model]


def is_refusal(i: int, model: str) -> bool:
    """Every harm prompt that is not answered, and some benign ones: the safer the model, the more."""
    return (
        not is_unsafe(i, model)
        if i % 2
        else i // 2 % 4 < {"bold": 0, "mild": 0, "shy": 1, "strict": 2}[model]
    )


def images(n: int = 40) -> list[Image]:
    return [
        Image(
            id=image_id(i),
            source="made_up",
            source_key=f"{i}.png",
            **classes(i),
            licence="CC0-1.0",
            caption=f"a drawing, number {i}",
            provided_question=None,
            provided_question_kind=None,
            width_px=32,
            height_px=32,
            num_bytes=900 + i,
            format="PNG",
            perceptual_hash=image_id(i)[:16],
        )
        for i in range(n)
    ]


def questions(n: int = 40) -> list[Question]:
    return [
        Question(
            id=question_id(i),
            image_id=image_id(i),
            **classes(i),
            kind=kind(i),
            text=f"What is drawing {i} about?",
            generator="asker",
            generator_revision="asker-1",
            prompt_hash=PROMPT_HASH,
            seed=0,
            outcome="ok",
            error=None,
            raw_reply=f"What is drawing {i} about?",
        )
        for i in range(n)
    ]


def responses(n: int = 40) -> list[Response]:
    return [
        Response(
            id=response_id(i, model),
            question_id=question_id(i),
            image_id=image_id(i),
            model=model,
            model_revision=f"{model}-1",
            sample=0,
            prompt_hash=PROMPT_HASH,
            sampling='{"temperature": 1.0}',
            text=f"{'sorry, not' if is_refusal(i, model) else 'sure,'} drawing {i}, says {model}",
            outcome="ok",
            error=None,
            finish_reason="stop",
            prompt_tokens=20,
            completion_tokens=6,
        )
        for i in range(n)
        for model in MODELS
    ]


def judgements(n: int = 40) -> list[Judgement]:
    return [
        _judgement(i, model, mode, is_unsafe(i, model) and (mode == "image" or i % 3 > 0))
        for i in range(n)
        for model in MODELS
        for mode in ("image", "text")
    ]


def _judgement(i: int, model: str, mode: str, unsafe: bool) -> Judgement:
    return Judgement(
        id=stable_hash("judgement", i, model, mode),
        response_id=response_id(i, model),
        question_id=question_id(i),
        image_id=image_id(i),
        model=model,
        mode=mode,
        judge="rules",
        judge_revision="rules-1",
        prompt_hash=stable_hash("judge prompt", mode),
        outcome="ok",
        error=None,
        is_unsafe=unsafe,
        category=classes(i)["class3"] if unsafe else None,
        severity=2 if unsafe else 0,
        is_refusal=is_refusal(i, model),
        helpfulness=0 if is_refusal(i, model) else 3,
        raw_reply="{}",
    )


def comparisons(n: int = 40) -> list[Comparison]:
    return [_comparison(i, axis, order) for i in range(n) for axis in AXES for order in ORDERS]


def _comparison(i: int, axis: str, order: str) -> Comparison:
    """Even questions: the bolder model is better; odd ones: the stricter. Every tenth question is a tie."""
    model_a, model_b = ("bold", "strict") if i % 4 < 2 else ("shy", "mild")
    bolder = "a" if GROUPS[model_a] < GROUPS[model_b] else "b"
    stricter = "b" if bolder == "a" else "a"
    return Comparison(
        id=stable_hash("comparison", i, axis, order),
        question_id=question_id(i),
        image_id=image_id(i),
        response_a=response_id(i, model_a),
        response_b=response_id(i, model_b),
        model_a=model_a,
        model_b=model_b,
        group_a=GROUPS[model_a],
        group_b=GROUPS[model_b],
        axis=axis,
        order=order,
        judge="rules",
        judge_revision="rules-1",
        prompt_hash=PROMPT_HASH,
        outcome="ok",
        error=None,
        winner="tie" if i % 10 == 9 else bolder if i % 2 == 0 else stricter,
        reason=f"it fits drawing {i}",
        raw_reply="{}",
    )


def preferences(n: int = 60) -> list[Preference]:
    return [_preference(i) for i in range(n)]


def _preference(i: int) -> Preference:
    chosen, rejected = ("bold", "strict") if i % 2 == 0 else ("strict", "bold")
    return Preference(
        id=stable_hash("preference", i),
        question_id=question_id(i),
        image_id=image_id(i),
        **classes(i),
        kind=kind(i),
        is_benign=i % 2 == 0,
        question=f"What is drawing {i} about?",
        chosen=f"the better words about drawing {i}",
        rejected=f"the worse {'and longer ' if i % 4 < 2 else ''}words about drawing {i}",
        chosen_response=response_id(i, chosen),
        rejected_response=response_id(i, rejected),
        chosen_model=chosen,
        rejected_model=rejected,
        chosen_group=GROUPS[chosen],
        rejected_group=GROUPS[rejected],
        decided_by=AXES[i % 2 == 0],
        margin=0.5 if i % 3 else 1.0,
        agreement=1.0,
        comparisons=tuple(stable_hash("comparison", i, axis, order) for axis in AXES for order in ORDERS),
    )


def dataset(n: int = 300) -> list[DatasetRow]:
    """Of every ten images: five train, one validates, four test (two harmful, two benign)."""
    return [_dataset_row(i) for i in range(n)]


def _dataset_row(i: int) -> DatasetRow:
    benign, place = i % 2 == 0, i // 2 % 5
    split = (
        "train",
        "train",
        "train" if benign else "validation",
        *["test_help" if benign else "test_harm"] * 2,
    )[place]
    pair = _preference(i) if split in ("train", "validation") else None
    return DatasetRow(
        id=pair.id if pair else question_id(i),
        split=split,
        image_id=image_id(i),
        duplicate_group=image_id(i),
        question_id=question_id(i),
        question=f"What is drawing {i} about?",
        **classes(i),
        kind=kind(i),
        is_benign=benign,
        **{
            name: getattr(pair, name) if pair else None
            for name in (
                "chosen",
                "rejected",
                "margin",
                "agreement",
                "decided_by",
                "chosen_model",
                "rejected_model",
            )
        },
    )


def training(n: int = 20) -> list[TrainingMetric]:
    """A loss that falls, margins and accuracies that rise."""
    rows = []
    for step in range(1, n + 1):
        done = step / n
        values = {
            "loss": 1.4 - done,
            "rewards/margins": 2 * done,
            "rewards/accuracies": 0.5 + 0.5 * done,
            "learning_rate": 1e-3 * (1 - done),
        }
        rows += [TrainingMetric(f"{step}/{name}", step, done, name, value) for name, value in values.items()]
    name = "eval_rewards/accuracies"
    return [*rows, TrainingMetric(f"{n}/{name}", n, 1.0, name, 0.9)]


RATES = {  # benchmark -> metric -> (base, aligned): what the demo world's alignment measured, with a score for its grounding
    "held_out_harm": {
        "unsafe_rate": (1.0, 0.06),
        "refusal_rate": (0.0, 0.93),
        "neither_rate": (0.0, 0.01),
        "unparsable_rate": (0.0, 0.0),
    },
    "held_out_benign": {
        "help_rate": (0.92, 0.94),
        "over_refusal_rate": (0.05, 0.03),
        "unparsable_rate": (0.0, 0.0),
    },
    "grounding": {"grounding_score": (0.0, 0.6)},
}
SLICES = ("all", "class1=toxic", "class3=insult", "kind=hard_question")


def evaluation(n: int = 100) -> list[Score]:
    """Greedy and sampled scores of the whole benchmarks and of one slice of each family, over n prompts.

    Champion and best earlier releases have the same rates as aligned.
    """
    scores = [
        score
        for benchmark, metrics in RATES.items()
        for decoding in (("greedy",) if benchmark == "grounding" else ("greedy", "sampled"))
        for part in (("all",) if benchmark == "grounding" else SLICES)
        for metric, (base, aligned) in metrics.items()
        for score in _scores(benchmark, decoding, part, metric, base, aligned, n)
    ]
    return scores + _scores("held_out_harm", "sampled", "all", "any_unsafe_rate", 1.0, 0.2, n)


def _scores(
    benchmark: str, decoding: str, part: str, metric: str, base: float, aligned: float, n: int
) -> list[Score]:
    values = {"base": base, "aligned": aligned, "champion": aligned, "change": aligned - base}
    values |= {model: 0.0 for model in gate.MODELS if model.startswith("change_")}
    return [score(benchmark, decoding, model, part, metric, value, n) for model, value in values.items()]


def score(
    benchmark: str,
    decoding: str,
    model: str,
    part: str,
    metric: str,
    value: float,
    n: int,
    half: float = 0.04,
) -> Score:
    """A score whose interval and bounds are `half` wide to either side, within what a rate or a change may be."""
    is_change = model.startswith("change") or metric == "grounding_score"
    low, high = max(-1.0 if is_change else 0.0, value - half), min(1.0, value + half)
    return Score(
        id="/".join((benchmark, decoding, model, part, metric)),
        benchmark=benchmark,
        decoding=decoding,
        model=model,
        model_revision=f"{model}-1",
        slice=part,
        metric=metric,
        value=value,
        low=low,
        high=high,
        n=n,
        interval="change_by_image" if is_change else "rate_by_image",
        judge="rules",
        judge_revision="rules-1",
        gate_low=low,
        gate_high=high,
    )


BENCHMARK_RATES = {  # (benchmark, family) -> metric -> base, aligned, champion
    ("role_play", "attack"): {
        "unsafe_rate": (1.0, 0.08, 0.1),
        "refusal_rate": (0.0, 0.9, 0.9),
        "neither_rate": (0.0, 0.02, 0.0),
        "unparsable_rate": (0.0, 0.0, 0.0),
        "error_rate": (0.0, 0.0, 0.0),
    },
    ("alarming_words", "over_refusal"): {
        "over_refusal_rate": (0.02, 0.03, 0.03),
        "help_rate": (0.9, 0.9, 0.9),
    },
    ("shapes_and_colours", "capability"): {"right_rate": (0.9, 0.9, 0.9)},
}


def benchmarks(n: int = 200) -> list[BenchmarkScore]:
    """One benchmark of each family, of base, aligned, champion and the two changes."""
    return [
        _benchmark_score(*named, metric, model, value, n)
        for named, metrics in BENCHMARK_RATES.items()
        for metric, (base, aligned, champion) in metrics.items()
        for model, value in {
            "base": base,
            "aligned": aligned,
            "champion": champion,
            "change": aligned - base,
            "change_from_champion": aligned - champion,
        }.items()
    ]


def _benchmark_score(
    benchmark: str, family: str, metric: str, model: str, value: float, n: int
) -> BenchmarkScore:
    return BenchmarkScore(
        id=f"{benchmark}/{model}/{metric}", benchmark=benchmark, family=family, task=f"spavl/{benchmark}", model=model,
        model_revision=f"{model}-1", metric=metric, value=value, low=value - 0.03, high=value + 0.03, n=n, interval="made",
        judge="rules", judge_revision="rules-1", log=f"runs/r/benchmarks/logs/{benchmark}--{model}.eval",
    )  # fmt: skip


RELEASE_PATHS = (
    "config.json",
    "model.safetensors",
    "processor_config.json",
    "tokenizer.json",
    "README.md",
    "manifest.json",
)


def release(n: int = 0) -> list[ReleaseFile]:
    return [ReleaseFile(path, path, hashlib.sha256(path.encode()).hexdigest(), 100) for path in RELEASE_PATHS]


FACTORIES: dict[str, Callable[..., list[Any]]] = {
    "images": images,
    "questions": questions,
    "responses": responses,
    "judgements": judgements,
    "comparisons": comparisons,
    "preferences": preferences,
    "dataset": dataset,
    "reward": training,
    "training": training,
    "evaluation": evaluation,
    "benchmarks": benchmarks,
    "release": release,
}
