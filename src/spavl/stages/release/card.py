"""The model card: base, data, recipe, scores with their judge and intervals, the gate's verdict, limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any

import yaml

from spavl.artifacts.record import Record
from spavl.stages.evaluation.rows import Score
from spavl.stages.release.decided import decision_in_words

_STAND_INS = {
    "demo_rules": "The judge is the demo world's rules, not a model: it reads the class of a drawn picture and the words of an "
    "answer. These scores say that the line works; they say nothing about real images or real harm.",
    "fake": "The judge is a fake for tests and drills: these scores mean nothing.",
}
_SHOWN = ("base", "aligned", "change")


def card(
    base: Mapping[str, str],
    judge: Mapping[str, str],
    scores: Iterable[Score],
    dataset: Record,
    training: Record,
    evaluation: Record,
    run_id: str,
) -> str:
    """The whole README.md; `base` and `judge` have name, kind and revision."""
    import jinja2

    scores = list(scores)
    template = (resources.files("spavl.stages.release") / "card.md.j2").read_text("utf-8")
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(
        front_matter=_front_matter(base, training.config["method"]),
        base=base,
        judge=judge,
        stand_in=_STAND_INS.get(judge["kind"]),
        table=score_table(scores),
        dataset=dataset,
        data_version=dataset.details.get("version", dataset.fingerprint),
        training=training,
        recipe=training.config,
        method=_method(training.config),
        batches=_batches(training.config),
        adaptation=_adaptation(training.config),
        check=evaluation.check,
        decision=decision_in_words(evaluation, scores),
        run_id=run_id,
    )


def score_table(scores: Iterable[Score]) -> list[dict[str, Any]]:
    """One line per benchmark, decoding and metric over all held-out prompts: value and interval of each model, in words."""
    whole = [score for score in scores if score.slice == "all" and score.benchmark != "grounding"]
    keys = sorted({(score.benchmark, score.decoding, score.metric) for score in whole})
    by_key = {(score.benchmark, score.decoding, score.metric, score.model): score for score in whole}
    lines = []
    for key in keys:
        found = {model: by_key.get((*key, model)) for model in _SHOWN}
        words = {model: _in_words(score) for model, score in found.items()}
        n = max(score.n for score in found.values() if score is not None)
        lines.append({"benchmark": key[0], "decoding": key[1], "metric": key[2], "n": n, **words})
    return lines


def _in_words(score: Score | None) -> str:
    if score is None:
        return "not measured"
    if score.model == "change":
        return f"{100 * score.value:+.1f} points ({100 * score.low:+.1f} to {100 * score.high:+.1f})"
    return f"{100 * score.value:.1f} % ({100 * score.low:.1f} to {100 * score.high:.1f})"


def _front_matter(base: Mapping[str, str], method: str) -> str:
    content = {
        "library_name": "transformers",
        "pipeline_tag": "image-text-to-text",
        "base_model": base["name"],
        "license": "other",
        "license_name": "that-of-the-base-model",
        "tags": ["vision-language", "safety", method, "spavl"],
    }
    return yaml.safe_dump(content, sort_keys=False)


def _method(recipe: Mapping[str, Any]) -> str:
    if recipe["method"] == "ppo":
        ppo = recipe["ppo"]
        return (
            f"PPO (arXiv 1707.06347) on the model's own answers, by the reward model in `lineage.json`; "
            f"KL coefficient {ppo['kl_coef']}, clip {ppo['clip']}, value coefficient {ppo['value_weight']}"
        )
    return (
        f"DPO (arXiv 2305.18290, loss {recipe.get('loss', 'sigmoid')}) with beta {recipe['beta']}, plus {recipe['sft_weight']} times "
        f"the SFT loss on the chosen answer"
    )


def _batches(recipe: Mapping[str, Any]) -> str:
    if recipe["method"] == "ppo":
        return f"{recipe['ppo']['minibatch_size']} answers a step"
    return f"batches of {recipe['global_batch_size']} pairs"


def _adaptation(recipe: Mapping[str, Any]) -> str:
    lora = recipe.get("lora")
    if not lora:
        return "projector and language model trained in full"
    return f"LoRA of rank {lora['r']} and alpha {lora['alpha']} on all linear layers of language model and projector, merged"
