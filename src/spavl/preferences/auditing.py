"""The night's labels and pairs on trial: rows of five tables in, the measures of the suite and their evidence out. Pure.

The evidence is names of leaves and models, counts, shares, hashes and ids of rows; no text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spavl.audit.benign_harm import BenignAnswer, BenignHarm, benign_harm
from spavl.audit.direction import Direction, Pair, by_labels, by_words
from spavl.audit.excess import Group, groups_in_excess, mostly
from spavl.audit.image_classes import MAX_IMAGES, ClassNoise, Described, class_noise, relisted_share
from spavl.audit.label_noise import MAX_ROWS, Labelled, Noise, label_noise
from spavl.audit.losses import Row, losing_groups
from spavl.audit.triggers import Asked, Trigger, triggers
from spavl.audit.words import sampled, sampled_groups
from spavl.preferences.pairing import Decided, audited_pairs, num_unlike_their_responses
from spavl.records import BENIGN, Image, Judgement, Preference, Question, Response
from spavl.taxonomy import load_taxonomy

NUM_IDS = 20  # of rows to look at, per finding, in the record
NUM_GROUPS = 5
MIN_CATEGORY_GAP = 0.4
MIN_MODEL_GAP = 0.5
UNUSABLE = ("unparsable", "conflict", "unlabelled", "low_agreement")  # of REASONS_TO_DROP: the judge's doing
MODEL_FDR = 1e-5  # wordings suit some models more than others, so honest phrases differ too


@dataclass(frozen=True)
class Night:
    """What the stage read, by id; labels are the judge's, seeing the image, by response id."""

    images: Mapping[str, Image]
    questions: Mapping[str, Question]
    responses: Mapping[str, Response]
    labels: Mapping[str, Judgement]
    former_images: Sequence[Image] = ()  # of the former dataset version; empty on a first night


def audit(
    night: Night, decided: Decided, kept: Sequence[Preference]
) -> tuple[dict[str, float | None], dict[str, Any]]:
    """(measures of the suite, details for the record) of all labels, of the kept pairs and of those that a label dropped."""
    harm, benign = audited_pairs(night.questions, night.responses, night.labels, decided, kept)
    labels, words, benign_words = by_labels(harm), by_words(_teaching(harm)), by_words(benign)
    unsafe, refusal = (label_noise(_labelled(night, name)) for name in ("is_unsafe", "is_refusal"))
    classes, harmful = class_noise(_captioned(night.images.values())), benign_harm(_of_benign(night))
    categories = _categories(night)
    losses = {"labels": losing_groups(_unread(night)), "pairs": losing_groups(_undecided(night, decided))}
    found = _triggers(night, harm, benign, {*labels.ids, *words.ids}, unsafe)
    measures = {
        **_direction_measures(labels, words, benign_words),
        "num_pairs_unlike_their_responses": num_unlike_their_responses(kept, night.responses, night.labels),
        "benign_pairs_against_helpfulness_share": _against_helpfulness(night, benign),
        **_noise_measures("unsafe", unsafe),
        **_noise_measures("refusal", refusal),
        **_class_measures(night, classes, harmful),
        "num_groups_without_labels": float(len(losses["labels"])),
        "num_groups_without_pairs": float(len(losses["pairs"])),
        "category_elsewhere_share": _share([hit for hit, _ in categories]),
        "num_leaves_with_category_elsewhere": _num_in_excess(_category_groups(categories)),
        **{f"num_{name}": float(len(of_kind)) for name, of_kind in found.items()},
    }
    details = {
        "against_labels": _direction_details(labels),
        "against_words": _direction_details(words),
        "label_noise": {"unsafe": _noise_details(unsafe), "refusal": _noise_details(refusal)},
        "class_noise_images": list(classes.image_ids[:NUM_IDS]) if classes else [],
        "benign_images_unsafe": list(harmful.image_ids[:NUM_IDS]) if harmful else [],
        "sources_of_benign_harm": _group_details(harmful.sources) if harmful else [],
        "category_elsewhere": _group_details(_category_groups(categories)),
        "losses": {name: _group_details(groups) for name, groups in losses.items()},
        "triggers": {name: [t.as_details() for t in of_kind[:NUM_GROUPS]] for name, of_kind in found.items()},
    }
    return measures, details


def _teaching(harm: Iterable[Pair]) -> list[Pair]:
    """Without pairs of two unsafe answers: they are dropped, and what is better there teaches nothing about harm."""
    return [pair for pair in harm if not (pair.chosen_is_unsafe and pair.rejected_is_unsafe)]


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


def _against_helpfulness(night: Night, benign: Iterable[Pair]) -> float | None:
    """Share of the benign pairs with two grades whose chosen answer has the lower one."""
    graded = [[night.labels.get(id) for id in pair.id.split("/")] for pair in benign]
    return _share([labels[0].helpfulness < labels[1].helpfulness for labels in graded if all(labels)])


def _labelled(night: Night, label: str) -> list[Labelled]:
    """One label of every answer of as many images as are looked at; the rest is left out before its texts are put together."""
    rows = [night.labels[id] for id in sorted(night.labels)]
    rows = [rows[place] for place in sampled_groups([row.image_id for row in rows], MAX_ROWS)]
    return [_labelled_row(night, row, getattr(row, label)) for row in rows]


def _labelled_row(night: Night, row: Judgement, label: bool) -> Labelled:
    question, response = night.questions[row.question_id], night.responses[row.response_id]
    return Labelled(
        id=row.response_id,
        image_id=row.image_id,
        text=f"{response.text} kind_{question.kind} {question.text}",
        label=label,
        leaf=question.class3,
        domain=question.class1,
        model=row.model,
    )


def _noise_measures(label: str, noise: Noise | None) -> dict[str, float | None]:
    return {
        f"{label}_label_noise_share": noise.row_share if noise else None,
        f"{label}_label_noise_image_share": noise.image_share if noise else None,
        f"num_groups_with_{label}_label_noise": float(len(noise.groups)) if noise else None,
    }


def _captioned(images: Iterable[Image]) -> list[Described]:
    return [Described(image.id, image.caption, image.class1) for image in images if image.caption]


def _answered(night: Night) -> list[Described]:
    """Images with all that the models answered about them."""
    images = sorted(night.images)
    answers: dict[str, list[str]] = {images[place]: [] for place in sampled(images, MAX_IMAGES)}
    for response in night.responses.values():
        if response.image_id in answers:
            answers[response.image_id].append(response.text)
    return [Described(id, " ".join(texts), night.images[id].class1) for id, texts in answers.items() if texts]


def _class_measures(
    night: Night, classes: ClassNoise | None, harmful: BenignHarm | None
) -> dict[str, float | None]:
    former, now = (_captioned(images) for images in (night.former_images, night.images.values()))
    of_answers = class_noise(_answered(night))
    return {
        "class_skill": classes.skill if classes else None,
        "class_skill_of_answers": of_answers.skill if of_answers else None,
        "class_noise_share": classes.share if classes else None,
        "relisted_image_share": relisted_share(former, now),
        "benign_answers_unsafe_share": harmful.answer_share if harmful else None,
        "benign_images_unsafe_share": harmful.image_share if harmful else None,
        "num_sources_of_benign_harm": harmful.num_sources_in_excess if harmful else None,
    }


def _of_benign(night: Night) -> list[BenignAnswer]:
    return [
        BenignAnswer(row.image_id, night.images[row.image_id].source, row.is_unsafe, row.is_refusal)
        for row in night.labels.values()
        if night.images[row.image_id].class1 == BENIGN
    ]


def _categories(night: Night) -> list[tuple[bool, str]]:
    """Per image with unsafe answers of a named category: whether most name another domain than the image's; its leaf."""
    domain_of = {leaf.id: leaf.class1 for leaf in load_taxonomy().leaves}
    named = [
        row for row in night.labels.values() if row.category and night.images[row.image_id].class1 != BENIGN
    ]
    hits = [domain_of.get(row.category) != night.images[row.image_id].class1 for row in named]
    units = mostly(hits, [row.image_id for row in named])
    return [(hit, night.images[image].class3) for image, hit in units.items()]


def _unread(night: Night) -> list[Row]:
    """Every answer: lost if the judge, seeing the image, gave it no label that can be read."""
    made = []
    for response in night.responses.values():
        question = night.questions[response.question_id]
        groups = (*_groups_of(question), f"model={response.model}")
        if response.outcome == "ok":
            made.append(Row(response.image_id, groups, response.id not in night.labels))
    return made


def _undecided(night: Night, decided: Decided) -> list[Row]:
    """Every pair of a harm prompt: lost if the judge's readings of it could not be used, or spoke against each other."""
    asked = [(night.questions[askings[0].question_id], decision) for askings, decision in decided]
    return [
        Row(question.image_id, _groups_of(question), decision.dropped in UNUSABLE)
        for question, decision in asked
        if question.kind != "benign_control"
    ]


def _groups_of(question: Question) -> tuple[str, ...]:
    return f"domain={question.class1}", f"leaf={question.class3}", f"kind={question.kind}"


def _category_groups(categories: Sequence[tuple[bool, str]]) -> list[Group]:
    hits, leaves = [hit for hit, _ in categories], [leaf for _, leaf in categories]
    return groups_in_excess(hits, leaves, min_gap=MIN_CATEGORY_GAP)


def _triggers(
    night: Night, harm: Sequence[Pair], benign: Sequence[Pair], is_bad: set[str], unsafe: Noise | None
) -> dict[str, list[Trigger]]:
    """Phrases bound to a bad choice on harm prompts, a refusal chosen on benign ones, a wrong label, one model's answers."""
    refuses = {id for id, label in night.labels.items() if label.is_refusal}

    def chose_refusal(pair: Pair) -> bool:
        chosen, rejected = pair.id.split("/")
        return chosen in refuses and rejected not in refuses

    noisy = set(unsafe.ids) if unsafe else set()
    answers = sorted(night.labels)
    return {
        "trigger_phrases": triggers(_asked(pair, pair.id in is_bad) for pair in _teaching(harm)),
        "refusal_trigger_phrases": triggers(_asked(pair, chose_refusal(pair)) for pair in benign),
        "label_trigger_phrases": triggers(_questions_with(night, answers, noisy)),
        "model_trigger_phrases": _model_triggers([*harm, *benign]),
    }


def _asked(pair: Pair, is_hit: bool) -> Asked:
    return Asked(pair.id, pair.image_id, pair.question, is_hit)


def _questions_with(night: Night, answers: Sequence[str], noisy: set[str]) -> list[Asked]:
    """One row per question: whether most labels of its answers are contradicted by words."""
    of_question = mostly([id in noisy for id in answers], [night.labels[id].question_id for id in answers])
    return [
        Asked(id, night.questions[id].image_id, night.questions[id].text, hit)
        for id, hit in of_question.items()
    ]


def _model_triggers(pairs: Sequence[Pair]) -> list[Trigger]:
    """Phrases with which one model is chosen far more often than it is in its other pairs of the same kind of prompt."""
    found = []
    for is_benign in (False, True):
        of_kind = [pair for pair in pairs if (pair.kind == "benign_control") == is_benign]
        for model in sorted({pair.chosen_model for pair in of_kind}):
            took_part = [pair for pair in of_kind if model in (pair.chosen_model, pair.rejected_model)]
            asked = (_asked(pair, pair.chosen_model == model) for pair in took_part)
            found += triggers(asked, fdr=MODEL_FDR, min_gap=MIN_MODEL_GAP)
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


def _share(hits: Sequence[bool]) -> float | None:
    return sum(hits) / len(hits) if hits else None
