"""The measures of images, questions and responses over row objects, in plain Python: what the engine's counts must equal."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from spavl.audit import coverage, floods
from spavl.audit.drift import drift
from spavl.audit.near_duplicates import duplicate_groups
from spavl.records import BENIGN
from spavl.stages.images.rows import Image
from spavl.stages.questions.rows import QUESTION_KINDS, Question
from spavl.stages.responses.rows import Response


def image_measures(images: Sequence[Image], former: Sequence[Image] | None, config):
    groups = duplicate_groups({row.id: row.perceptual_hash for row in images}, config.near_duplicate_bits)
    now, before = (
        None if rows is None else {name: {row.id: getattr(row, name) for row in rows} for name in COLUMNS}
        for rows in (images, former)
    )
    lost = [
        share for name in ("class1", "class3") for share in _lost(now[name], (before or now)[name], config)
    ]
    both = now["class3"].keys() & before["class3"].keys() if before else ()
    return {
        **floods.image_floods(now["class1"], groups),
        "largest_leaf_share": floods.commonest_share(
            leaf for leaf in now["class3"].values() if leaf != BENIGN
        ),
        **{
            f"num_missing_{word}": coverage.num_missing(
                {value for name in names for value in now[name].values()},
                before and {value for name in names for value in before[name].values()},
                config.may_miss,
            )
            for word, names in (("classes", ("class1", "class3")), ("sources", ("source",)))
        },
        "largest_lost_share_of_class": max(lost, default=None) if before else None,
        "relabelled_share": (
            sum(now["class3"][id] != before["class3"][id] for id in both) / len(both) if both else None
        ),
        **drift(_lists(now), before and _lists(before)),
    }


COLUMNS = ("class1", "class3", "source")


def _lists(columns):
    return {name: list(values.values()) for name, values in columns.items()}


def _lost(now, before, config):
    members = defaultdict(list)
    for id, name in before.items():
        members[name].append(id)
    return [
        sum(now.get(id) != name for id in ids) / len(ids)
        for name, ids in members.items()
        if len(ids) >= coverage.MIN_CLASS and name not in config.may_miss
    ]


def question_measures(rows: Sequence[Question], former: Sequence[Question] | None, may_miss):
    usable = [row for row in rows if row.outcome == "ok"]
    kept = None if former is None else [row for row in former if row.outcome == "ok"]
    now, before = (
        None if each is None else {name: [getattr(row, name) for row in each] for name in SLICES}
        for each in (usable, kept)
    )
    chars = [None if each is None else [len(row.text) for row in each] for each in (usable, kept)]
    return {
        **_question_floods([row for row in usable if row.generator != "source"], ""),
        **_question_floods([row for row in usable if row.generator == "source"], "provided_"),
        "num_kinds_without_questions": coverage.without(QUESTION_KINDS, now["kind"], may_miss),
        "num_missing_classes": coverage.num_missing(
            now["class1"] + now["class3"], before and before["class1"] + before["class3"], may_miss
        ),
        "num_missing_kinds": coverage.num_missing(now["kind"], before and before["kind"], may_miss),
        **{
            f"{word}_share_of_slice": coverage.worst_share(
                [row.outcome == word for row in rows],
                *([getattr(row, name) for row in rows] for name in SLICES),
            )
            for word in ("unparsable", "error")
        },
        **drift(
            now | {"text_chars": chars[0]},
            before and before | {"text_chars": chars[1]},
            before and (len({row.image_id for row in usable}), len({row.image_id for row in kept})),
        ),
    }


SLICES = ("class1", "class3", "kind")


def _question_floods(rows: Sequence[Question], prefix: str):
    by_kind = defaultdict(list)
    for row in rows:
        by_kind[row.kind].append(floods.normalised(row.text))
    return {
        f"commonest_{prefix}question_share": max(map(floods.commonest_share, by_kind.values()), default=None),
        f"effective_{prefix}questions": min(map(floods.effective_number, by_kind.values()), default=None),
    }


def response_measures(
    rows: Sequence[Response],
    questions: Sequence[Question],
    former: Sequence[Response] | None,
    former_questions: Sequence[Question] | None,
):
    about = {row.id: row for row in questions}
    answers = [row for row in rows if row.outcome == "ok"]
    has_former = former is not None and former_questions is not None
    before = [row for row in former if row.outcome == "ok"] if has_former else None
    return {
        **_collapse(_by_model(answers, questions), _by_model(before, former_questions) if has_former else {}),
        "error_share_of_slice": coverage.worst_share(
            [row.outcome == "error" for row in rows],
            *([(row.model, getattr(about[row.question_id], name)) for row in rows] for name in SLICES),
        ),
        **_drift_of_answers(answers, before),
    }


def _by_model(answers: Sequence[Response], questions: Sequence[Question]):
    benign = {row.id for row in questions if row.class1 == BENIGN}
    found = defaultdict(list)
    for row in answers:
        side = "benign" if row.question_id in benign else "harm"
        found[row.model, side].append(floods.normalised(row.text))
    return found


def _collapse(answers, former):
    shares = {key: floods.commonest_share(texts) for key, texts in answers.items()}
    rises = [shares[key] - floods.commonest_share(former[key]) for key in shares if former.get(key)]
    by_model = defaultdict(list)
    for (model, _), texts in answers.items():
        by_model[model] += texts
    blank = [texts.count("") / len(texts) for texts in by_model.values()]
    effective = [floods.effective_number(texts) for key, texts in answers.items() if key[1] == "benign"]
    return {
        **{
            f"commonest_answer_share_{side}": max(
                (share for key, share in shares.items() if key[1] == side), default=None
            )
            for side in ("benign", "harm")
        },
        "rise_of_commonest_answer": max(rises, default=None),
        "effective_answers_benign": min(effective, default=None),
        "blank_share_of_model": max(blank, default=None),
    }


def _drift_of_answers(answers, before):
    models, lengths = (
        [None if rows is None else make(rows) for rows in (answers, before)] for make in (_models, _lengths)
    )
    of_models, of_lengths = drift(*models), drift(*lengths)
    beyond = [found.pop("psi_beyond_chance") for found in (of_models, of_lengths)]
    return of_models | {
        "psi_text_chars": max((x for x in of_lengths.values() if x is not None), default=None),
        "psi_beyond_chance": max((x for x in beyond if x is not None), default=None),
    }


def _models(rows):
    return {"model": [row.model for row in rows]}


def _lengths(rows):
    found = defaultdict(list)
    for row in rows:
        found[row.model].append(len(row.text))
    return found


def outcomes(rows: Sequence[Response]) -> dict[str, Counter]:
    return {
        name: Counter(row.outcome for row in rows if row.model == name) for name in {r.model for r in rows}
    }
