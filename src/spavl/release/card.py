"""The model card: base, data, recipe, scores with their judge and intervals, the gate's verdict, limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any

import yaml

from spavl.artifacts.record import Record
from spavl.records import Score

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

    template = (resources.files("spavl.release") / "card.md.j2").read_text("utf-8")
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(
        front_matter=_front_matter(base),
        base=base,
        judge=judge,
        stand_in=_STAND_INS.get(judge["kind"]),
        table=score_table(scores),
        dataset=dataset,
        data_version=dataset.details.get("version", dataset.fingerprint),
        training=training,
        recipe=training.config,
        adaptation=_adaptation(training.config),
        check=evaluation.check,
        run_id=run_id,
    )


def score_table(scores: Iterable[Score]) -> list[dict[str, Any]]:
    """One line per benchmark, decoding and metric over all prompts: value and interval of each model, in words."""
    whole = [score for score in scores if score.slice == "all"]
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


def _front_matter(base: Mapping[str, str]) -> str:
    content = {
        "library_name": "transformers",
        "pipeline_tag": "image-text-to-text",
        "base_model": base["name"],
        "license": "other",
        "license_name": "that-of-the-base-model",
        "tags": ["vision-language", "safety", "dpo", "spavl"],
    }
    return yaml.safe_dump(content, sort_keys=False)


def _adaptation(recipe: Mapping[str, Any]) -> str:
    lora = recipe.get("lora")
    if not lora:
        return "projector and language model trained in full"
    return f"LoRA of rank {lora['r']} and alpha {lora['alpha']} on all linear layers of language model and projector, merged"
