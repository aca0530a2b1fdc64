"""What SQL makes of a night, against the same in plain Python."""

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.made_rows import image, preference, question
from tests.stage_context import FakeContext

from spavl.artifacts.store import open_store
from spavl.audit.drift import drift
from spavl.audit.floods import commonest_share, normalised
from spavl.audit.paraphrases import held_back
from spavl.config.root import Config
from spavl.records import to_table
from spavl.stages.dataset.card import class_counts
from spavl.stages.dataset.making_rows import ORDER, counts_of, make_rows
from spavl.stages.dataset.measuring import described, measures_of
from spavl.stages.dataset.rows import SPLITS, DatasetRow, ImageSplit

KINDS = ("easy_question", "hard_statement", "benign_control")
texts = st.sampled_from(["What is red?", "what is RED", "héé 🙂", "Another one entirely, please.", ""])
classes = st.sampled_from(["a", "b"])


@st.composite
def nights(draw):
    """Images with their splits, questions about them, and pairs of some questions."""
    places = draw(st.lists(st.sampled_from(["train", "validation", "test", "left_out"]), min_size=1, max_size=6))  # fmt: skip
    ids = [f"i{number}" for number in range(len(places))]
    splits = [ImageSplit(id, split, draw(st.sampled_from(ids)), "0" * 16, True) for id, split in zip(ids, places, strict=True)]  # fmt: skip
    images = [image(id, class1=draw(classes), source=draw(classes)) for id in ids]
    questions, preferences = [], []
    for number in range(draw(st.integers(0, 30))):
        about, kind, text = draw(st.sampled_from(ids)), draw(st.sampled_from(KINDS)), draw(texts)
        names = {"class1": draw(classes), "class3": draw(classes)}
        outcome = draw(st.sampled_from(["ok", "ok", "error"]))
        one = question(f"q{number:02d}", about, kind=kind, text=text, outcome=outcome, **names)
        questions.append(one)
        if draw(st.booleans()):
            preferences.append(preference(f"p{number:02d}", about, one.id, kind=kind, question=text, chosen_model=draw(classes), **names))  # fmt: skip
    return images, splits, questions, preferences


def rows_in_python(splits, questions, preferences, hold_out_words):
    place = {row.id: row for row in splits}
    shared = ("id", "image_id", "class1", "class2", "class3", "kind")
    rows = []
    for row in preferences:
        values = {name: getattr(row, name) for name in DatasetRow.__slots__ if hasattr(row, name)}
        if place[row.image_id].split in ("train", "validation"):
            at = place[row.image_id]
            rows.append(DatasetRow(**values, split=at.split, duplicate_group=at.duplicate_group))
    for row in questions:
        if row.outcome == "ok" and place[row.image_id].split == "test":
            is_benign = row.kind == "benign_control"
            made = dict.fromkeys(DatasetRow.__slots__) | {name: getattr(row, name) for name in shared}
            made |= {
                "split": "test_help" if is_benign else "test_harm",
                "is_benign": is_benign,
                "question": row.text,
            }
            made |= {"question_id": row.id, "duplicate_group": place[row.image_id].duplicate_group}
            rows.append(DatasetRow(**made))
    if hold_out_words:
        held = held_back([row.question for row in rows if row.chosen], [row.question for row in rows if not row.chosen])  # fmt: skip
        rows = [row for row in rows if row.chosen is None or normalised(row.question) not in held]
    return sorted(rows, key=lambda row: (SPLITS.index(row.split), row.image_id, row.question_id, row.id))


def opened(folder, images, splits, questions, preferences):
    spec = {"kind": "fake", "name": "m"}
    config = {"responses": {"models": [spec]}, "judgements": {"judge": spec}, "comparisons": {"judge": spec}}
    store = open_store(f"file://{folder}/store")
    of_stages = {"images": images, "questions": questions, "preferences": preferences}
    scratch = Path(folder) / "scratch"
    ctx = FakeContext(Config.model_validate({"profile": "t", **config}), store, "dataset", of_stages, scratch=scratch)  # fmt: skip
    for stage in of_stages:
        ctx.tables.open(stage)
    ctx.tables.view("image_splits", to_table(splits, ImageSplit))
    return ctx


@settings(deadline=None, max_examples=25)  # the machine may be busy
@given(nights(), st.booleans())
def test_rows_counts_and_measures_are_those_of_plain_python(night, hold_out_words):
    _, splits, questions, preferences = night
    expected = rows_in_python(splits, questions, preferences, hold_out_words)
    with TemporaryDirectory() as folder:
        ctx = opened(folder, *night)
        made = list(
            ctx.tables.rows(make_rows(ctx.tables, hold_out_words=hold_out_words).order(ORDER), DatasetRow)
        )
        assert made == expected
        pairs = [row for row in expected if row.chosen is not None]
        found = Counter(row.split for row in expected)
        counts = counts_of(ctx.tables, splits)
        assert {split: counts[split] for split in SPLITS} == {split: found[split] for split in SPLITS}
        assert (counts["pairs"], counts["benign_pairs"]) == (len(pairs), sum(row.is_benign for row in pairs))
        place = Counter({row.id: row.split for row in splits}[row.image_id] for row in preferences)
        assert counts["preferences_of_test_images"] == place["test"]
        assert counts["preferences_of_images_left_out"] == place["left_out"]
        all_rows = rows_in_python(splits, questions, preferences, False)
        assert counts["pairs_held_out_as_words"] == len(all_rows) - len(expected)
        measures = measures_of(ctx, splits)
        assert measures["largest_group_share_of_pairs"] == commonest_share(row.duplicate_group for row in pairs)  # fmt: skip
        test = [normalised(row.question) for row in expected if row.split == "test_harm"]
        train = {normalised(row.question) for row in expected if row.split == "train"}
        assert measures["test_harm_verbatim_in_train_share"] == (sum(text in train for text in test) / len(test) if test else None)  # fmt: skip
        of_class = Counter((row.class1, row.class2, row.class3, row.split) for row in expected)
        assert {(*(each[name] for name in ("class1", "class2", "class3")), split): each[split] for each in class_counts(ctx.tables) for split in SPLITS if each[split]} == of_class  # fmt: skip


def columns_of(rows, sources):
    names = ("class1", "class3", "kind", "chosen_model", "rejected_model")
    return {name: [value for row in rows if (value := getattr(row, name)) is not None] for name in names} | {
        "source": [sources[row.image_id] for row in rows],
        "question_chars": [len(row.question) for row in rows],
        "chosen_chars": [len(row.chosen) for row in rows if row.chosen is not None],
    }


@settings(deadline=None, max_examples=25)  # the machine may be busy
@given(nights(), nights())
def test_drift_is_that_of_all_values_one_by_one(night, before):
    from spavl.audit.dataset_table import former_measures

    versions, plain = [], []
    with TemporaryDirectory() as folder:
        for number, (images, splits, questions, preferences) in enumerate((night, before)):
            ctx = opened(f"{folder}/{number}", images, splits, questions, preferences)
            make_rows(ctx.tables, hold_out_words=False)
            versions.append(described(ctx.tables, "dataset_rows", "images"))
            rows = rows_in_python(splits, questions, preferences, False)
            sources = {one.id: one.source for one in images}
            plain.append((columns_of(rows, sources), len({row.image_id for row in rows}), rows))
    measures = former_measures(*versions, may_miss=())
    expected = drift(plain[0][0], plain[1][0], (plain[0][1], plain[1][1]))
    assert {name: measures[name] for name in expected} == pytest.approx(expected)
    lost = 0
    for is_prompt in (False, True):
        kinds = [{row.kind for row in rows if (row.chosen is None) is is_prompt} for _, _, rows in plain]
        lost += len(kinds[1] - kinds[0])
    assert measures["num_missing_kinds"] == lost
    assert former_measures(versions[0], None, ())["psi_beyond_chance"] is None
