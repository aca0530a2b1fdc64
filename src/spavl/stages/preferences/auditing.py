"""The night's labels and pairs on trial: the measures of the suite and their evidence.

What is counted is counted by the engine over all rows; what is read word by word is a sample of a bounded size. The
evidence is names of leaves and models, counts, shares, hashes and ids of rows; no text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spavl.audit.benign_harm import BenignHarm, benign_harm
from spavl.audit.direction import Direction, by_words
from spavl.audit.excess import Group, excess_of_counts
from spavl.audit.image_classes import ClassNoise, class_noise, relisted_share
from spavl.audit.label_noise import Noise, noise_of_both
from spavl.audit.losses import losing_groups
from spavl.audit.triggers import Trigger, triggers
from spavl.stage import Tables
from spavl.stages.preferences import counting, sampling
from spavl.stages.preferences.counting import BENIGN_PAIRS, HARM, NUM_IDS

NUM_GROUPS = 5
MIN_CATEGORY_GAP = 0.4
MIN_MODEL_GAP = 0.5
MODEL_FDR = 1e-5  # wordings suit some models more than others, so honest phrases differ too


@dataclass(frozen=True)
class _Found:
    """What the parts of the audit say."""

    labels: Direction
    words: Direction
    benign_words: Direction
    unsafe: Noise | None
    refusal: Noise | None
    classes: ClassNoise | None
    harmful: BenignHarm | None
    categories: counting.Counts
    losses: Mapping[str, Sequence[Group]]
    triggers: Mapping[str, Sequence[Trigger]]


def audit(
    tables: Tables, models: Sequence[str], has_former_images: bool
) -> tuple[dict[str, float | None], dict[str, Any]]:
    """(measures of the suite, details for the record) of all labels, of the kept pairs and of those that a label dropped.

    Reads the views `images`, `questions`, `responses`, `labels` and `pairs`, and `former_images` if there is one; `models`
    are those that answered, in the order of the config.
    """
    found = _found(tables)
    return _measures(tables, found, models, has_former_images), _details(found)


def _found(tables: Tables) -> _Found:
    labels, words = counting.by_labels(tables), by_words(sampling.pairs(tables, sampling.TEACHING))
    labelled = sampling.labelled(tables)
    unsafe, refusal = noise_of_both([row for row, _ in labelled], [other for _, other in labelled])
    del labelled
    return _Found(
        labels=labels,
        words=words,
        benign_words=by_words(sampling.pairs(tables, BENIGN_PAIRS)),
        unsafe=unsafe,
        refusal=refusal,
        classes=class_noise(sampling.captioned(tables)),
        harmful=benign_harm(counting.benign_images(tables)),
        categories=counting.category_elsewhere(tables),
        losses={
            "labels": losing_groups(counting.unread(tables)),
            "pairs": losing_groups(counting.undecided(tables)),
        },
        triggers=_triggers(tables, words, unsafe),
    )


def _measures(
    tables: Tables, found: _Found, models: Sequence[str], has_former_images: bool
) -> dict[str, float | None]:
    categories = found.categories.values()
    return {
        **_direction_measures(found.labels, found.words, found.benign_words),
        "num_pairs_unlike_their_responses": counting.num_unlike_their_responses(tables),
        "benign_pairs_against_helpfulness_share": counting.against_helpfulness(tables),
        **_noise_measures("unsafe", found.unsafe),
        **_noise_measures("refusal", found.refusal),
        **_class_measures(tables, found.classes, models, has_former_images),
        **_benign_measures(found.harmful),
        "num_groups_without_labels": float(len(found.losses["labels"])),
        "num_groups_without_pairs": float(len(found.losses["pairs"])),
        "category_elsewhere_share": counting.share(
            sum(hits for hits, _ in categories), sum(images for _, images in categories)
        ),
        "num_leaves_with_category_elsewhere": _num_in_excess(_category_groups(found.categories)),
        **{f"num_{name}": float(len(of_kind)) for name, of_kind in found.triggers.items()},
    }


def _details(found: _Found) -> dict[str, Any]:
    return {
        "against_labels": _direction_details(found.labels),
        "against_words": _direction_details(found.words),
        "label_noise": {"unsafe": _noise_details(found.unsafe), "refusal": _noise_details(found.refusal)},
        "class_noise_images": list(found.classes.image_ids[:NUM_IDS]) if found.classes else [],
        "benign_images_unsafe": list(found.harmful.image_ids[:NUM_IDS]) if found.harmful else [],
        "sources_of_benign_harm": _group_details(found.harmful.sources) if found.harmful else [],
        "category_elsewhere": _group_details(_category_groups(found.categories)),
        "losses": {name: _group_details(groups) for name, groups in found.losses.items()},
        "triggers": {
            name: [t.as_details() for t in of_kind[:NUM_GROUPS]] for name, of_kind in found.triggers.items()
        },
    }


def _direction_measures(labels: Direction, words: Direction, benign: Direction) -> dict[str, float | None]:
    worst = labels.worst_leaf
    return {
        "harm_pairs_against_labels_share": labels.share,
        "worst_leaf_against_labels_share": worst.rate if worst else None,
        "num_leaves_against_labels": labels.num_leaves_in_excess,
        "num_domains_against_labels": labels.num_domains_in_excess,
        "harm_pairs_against_words_share": words.share,
        "num_leaves_against_words": words.num_leaves_in_excess,
        "num_domains_against_words": words.num_domains_in_excess,
        "benign_pairs_against_words_share": benign.share,
    }


def _noise_measures(label: str, noise: Noise | None) -> dict[str, float | None]:
    return {
        f"{label}_label_noise_share": noise.row_share if noise else None,
        f"{label}_label_noise_image_share": noise.image_share if noise else None,
        f"num_groups_with_{label}_label_noise": float(len(noise.groups)) if noise else None,
    }


def _class_measures(
    tables: Tables, classes: ClassNoise | None, models: Sequence[str], has_former_images: bool
) -> dict[str, float | None]:
    of_answers = class_noise(sampling.answered(tables, models))
    former = sampling.captioned(tables, "former_images") if has_former_images else []
    return {
        "class_skill": classes.skill if classes else None,
        "class_skill_of_answers": of_answers.skill if of_answers else None,
        "class_noise_share": classes.share if classes else None,
        "relisted_image_share": relisted_share(former, sampling.captioned(tables)) if former else None,
    }


def _benign_measures(harmful: BenignHarm | None) -> dict[str, float | None]:
    return {
        "benign_answers_unsafe_share": harmful.answer_share if harmful else None,
        "benign_images_unsafe_share": harmful.image_share if harmful else None,
        "num_sources_of_benign_harm": harmful.num_sources_in_excess if harmful else None,
    }


def _category_groups(categories: counting.Counts) -> list[Group]:
    return excess_of_counts(categories, min_gap=MIN_CATEGORY_GAP)


def _triggers(tables: Tables, words: Direction, unsafe: Noise | None) -> dict[str, list[Trigger]]:
    """Phrases bound to a bad choice on harm prompts, a refusal chosen on benign ones, a wrong label, one model's answers."""
    chose_refusal = "coalesce(chosen_is_refusal, FALSE) AND NOT coalesce(rejected_is_refusal, FALSE)"
    return {
        "trigger_phrases": triggers(sampling.asked_against(tables, words.ids)),
        "refusal_trigger_phrases": triggers(sampling.asked(tables, BENIGN_PAIRS, chose_refusal)),
        "label_trigger_phrases": triggers(sampling.asked_with(tables, unsafe.ids if unsafe else ())),
        "model_trigger_phrases": _model_triggers(tables),
    }


def _model_triggers(tables: Tables) -> list[Trigger]:
    """Phrases with which one model is chosen far more often than it is in its other pairs of the same kind of prompt."""
    found: list[Trigger] = []
    for of_kind in (HARM, BENIGN_PAIRS):
        for model in sampling.chosen_models(tables, of_kind):
            found += triggers(
                sampling.asked_of_model(tables, of_kind, model), fdr=MODEL_FDR, min_gap=MIN_MODEL_GAP
            )
    return found


def _direction_details(direction: Direction) -> dict[str, Any]:
    return {
        "num_pairs": direction.num_pairs,
        "share": direction.share,
        "leaves": _group_details(direction.leaves),
        "domains": _group_details(direction.domains),
        "pairs": list(direction.ids[:NUM_IDS]),
    }


def _noise_details(noise: Noise | None) -> dict[str, Any] | None:
    if noise is None:
        return None
    groups = _group_details(noise.groups)
    return {"num_rows": noise.num_rows, "groups": groups, "responses": list(noise.ids[:NUM_IDS])}


def _group_details(groups: Iterable[Group]) -> list[dict[str, Any]]:
    return [group.as_details() for group in groups if group.num_hits][:NUM_GROUPS]


def _num_in_excess(groups: Iterable[Group]) -> float:
    return float(sum(group.is_excess for group in groups))
