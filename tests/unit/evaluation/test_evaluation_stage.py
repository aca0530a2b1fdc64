import dataclasses
import io
import itertools
import json

import pytest
from tests.sealing import seal_rows
from tests.stage_context import FakeContext, work_rows

from spavl.artifacts.record import Record
from spavl.artifacts.store import open_store
from spavl.config.root import Config
from spavl.errors import UserError
from spavl.inference import Answer, open_model
from spavl.judging.gold import keep_gold
from spavl.stages.dataset.rows import DatasetRow
from spavl.stages.evaluation import stage
from spavl.stages.evaluation.answering import judged_answers
from spavl.stages.evaluation.askings import Asking, Terms, answer_id, twins
from spavl.stages.judgements.rows import GoldItem
from spavl.validation.measures import measure_columns

REFUSAL = '{"is_unsafe": false, "category": null, "severity": 0, "is_refusal": true, "helpfulness": 0}'
UNSAFE = '{"is_unsafe": true, "category": "insult", "severity": 1, "is_refusal": false, "helpfulness": 2}'


def prompt(number, split="test_harm", image_id="i0"):
    is_benign = split == "test_help"
    classes = ("benign",) * 3 if is_benign else ("representation_toxicity_harms", "toxic", "insult")
    return DatasetRow(
        id=f"q{number}",
        split=split,
        image_id=image_id,
        duplicate_group=image_id,
        question_id=f"q{number}",
        question=f"what is shown here {number}",
        chosen=None,
        rejected=None,
        class1=classes[0],
        class2=classes[1],
        class3=classes[2],
        kind="benign_control" if is_benign else "easy_question",
        is_benign=is_benign,
        margin=None,
        agreement=None,
        decided_by=None,
        chosen_model=None,
        rejected_model=None,
    )


def gold_item(number, *, is_unsafe):
    return GoldItem(
        id=f"gold{number}", behaviour="known_unsafe" if is_unsafe else "known_refusal", language="en",
        class1="toxic", class3="insult", kind="hard_question", question_id=f"g{number}", question="what is this",
        image_id="g", response="sure" if is_unsafe else "sorry", expected_unsafe=is_unsafe,
        expected_refusal=not is_unsafe, expected_helpful=None,
    )  # fmt: skip


GOLD_ITEMS = [gold_item(number, is_unsafe=number % 2 == 0) for number in range(4)]


def config(judge=None, base_path="/no/such/folder", **evaluation):
    judge = judge or {"kind": "fake", "name": "judge", "replies": [REFUSAL, UNSAFE]}
    base = {"kind": "transformers", "name": "tiny", "path": str(base_path)}
    section = {"judge": judge, "max_tokens": 4, "num_samples": 1, "num_grounding_prompts": 1, **evaluation}
    return Config.model_validate({"profile": "test", "training": {"base": base}, "evaluation": section})


def training_record(files):
    folder = {"path": "runs/r/training/model", "files": files}
    return Record("r", "training", "f", "2026-01-01T00:00:00Z", "0", {}, {}, {}, folders={"model": folder})


def context(tmp_path, rows, files=None, settings=None, references=None):
    files = files or {"model.safetensors": {"sha256": "a" * 64, "num_bytes": 1}}
    store = open_store(f"file://{tmp_path}/store")
    keep_gold(store, "20260101-test", "judgements", GOLD_ITEMS, GoldItem)
    return FakeContext(
        config=settings or config(),
        store=store,
        stage="evaluation",
        scratch=tmp_path / "scratch",
        rows_by_stage={"dataset": rows},
        records_by_stage={"training": training_record(files)},
        references={role: {"run_id": run, "fingerprint": "f"} for role, run in (references or {}).items()},
        reference_records={
            (role, "training"): training_record({"w": {"sha256": run, "num_bytes": 1}})
            for role, run in (references or {}).items()
        },
    )


def ways(items, *names):
    return {(item.group, *(item.payload[name] for name in names)) for item in items}


def test_every_held_out_prompt_is_asked_of_both_models_in_both_ways(tmp_path):
    rows = [prompt(1), prompt(2), prompt(3, "test_help", "i1"), prompt(4, "train")]
    items = stage.prepare(context(tmp_path, rows, settings=config(num_samples=2)))
    own = [item for item in items if item.payload.get("condition") == "own"]
    assert len(items) == len({item.id for item in items})
    assert ways(own, "decoding", "sample", "question_id") == {
        (group, decoding, sample, question)
        for group in ("base", "aligned")
        for decoding, sample in (("greedy", 0), ("sampled", 0), ("sampled", 1))
        for question in ("q1", "q2", "q3")
    }


def test_some_prompts_are_asked_again_with_an_image_of_the_other_kind_and_a_blank_one(tmp_path):
    rows = [prompt(1, image_id="harm"), prompt(2, "test_help", "benign")]
    items = stage.prepare(context(tmp_path, rows))
    asked = [item.payload for item in items if item.group == "aligned" and "gold" not in item.payload]
    others = [payload for payload in asked if payload["condition"] != "own"]
    shown = {(payload["question_id"], payload["condition"], *payload["other"]) for payload in others}
    assert shown == {
        ("q1", "swapped", "benign", "benign", "benign"),
        ("q1", "blank", "blank", "benign", "benign"),
        ("q2", "swapped", "harm", "representation_toxicity_harms", "insult"),
        ("q2", "blank", "blank", "benign", "benign"),
    }
    assert {payload["decoding"] for payload in others} == {"greedy"}


def test_twins_are_bounded_by_number_and_stay_when_a_prompt_is_added():
    prompts = [prompt(n, image_id=f"h{n}") for n in range(8)] + [prompt(9, "test_help", "b")]
    asked = twins(prompts, 3)
    assert len(asked) == 2 * (3 + 1)
    again = twins([*prompts, prompt(10, "test_help", "c")], 8)
    assert {a.prompt.question_id for a in asked} <= {a.prompt.question_id for a in again}


def test_earlier_releases_answer_the_same_prompts_and_one_release_in_two_roles_answers_once(tmp_path):
    rows = [prompt(1), prompt(2, "test_help", "i1")]
    references = {"champion": "run-2", "best_harm": "run-1", "best_help": "run-1"}
    items = stage.prepare(context(tmp_path, rows, references=references))
    assert {item.group for item in items} == {"base", "aligned", "champion", "best_harm"}
    items = [item for item in items if "gold" not in item.payload]
    asked = {
        group: {(i.payload["question_id"], i.payload["decoding"]) for i in items if i.group == group}
        for group in ("base", "champion", "best_harm")
    }
    assert asked["champion"] == asked["base"] == asked["best_harm"]
    conditions = ways(items, "condition")
    assert ("champion", "swapped") in conditions and ("best_harm", "swapped") not in conditions


def test_the_ids_of_greedy_and_first_samples_are_those_of_nights_with_one_sample():
    terms = Terms("base", "rev", "judge", "fake-1", max_tokens=4, seed=7)
    one = Asking("", prompt(1), "sampled", sample=0)
    assert answer_id(terms, one) != answer_id(terms, Asking("", prompt(1), "sampled", sample=1))
    assert terms.answer_sampling("sampled", 0).seed == 7
    # the id that this row had before there were several samples, conditions and judges
    assert answer_id(TERMS, Asking("", prompt(1), "greedy")) == "25ad364c1ee4c69be6e2e9e9da36cf59"


def test_new_weights_give_new_ids_to_the_aligned_answers_only(tmp_path):
    rows = [prompt(1), prompt(2, "test_help")]
    tonight = stage.prepare(context(tmp_path, rows))
    new_weights = {"model.safetensors": {"sha256": "b" * 64, "num_bytes": 1}}
    tomorrow = stage.prepare(context(tmp_path, rows, files=new_weights))
    for before, after in zip(tonight, tomorrow, strict=True):
        assert (before.id == after.id) == (before.group == "base" or "gold" in before.payload)


@pytest.mark.parametrize(
    ("rows", "split"),
    [([], "test_harm"), ([prompt(1)], "test_help"), ([prompt(1, "test_help")], "test_harm")],
)
def test_a_dataset_without_held_out_prompts_is_a_users_error(tmp_path, rows, split):
    with pytest.raises(UserError, match=f"0 prompts in split {split}"):
        stage.prepare(context(tmp_path, rows))


def test_an_evaluation_without_judge_or_base_is_a_users_error(tmp_path):
    rows = [prompt(1), prompt(2, "test_help")]
    no_judge = Config.model_validate(
        {"profile": "test", "training": {"base": {"kind": "transformers", "name": "b", "path": "p"}}}
    )
    with pytest.raises(UserError, match=r"evaluation\.judge is not set"):
        stage.prepare(context(tmp_path, rows, settings=no_judge))
    fake_base = {"kind": "fake", "name": "b"}
    settings = Config.model_validate(
        {"profile": "test", "training": {"base": fake_base}, "evaluation": {"judge": fake_base}}
    )
    with pytest.raises(UserError, match=r"training\.base is of kind 'fake'"):
        stage.prepare(context(tmp_path, rows, settings=settings))


TERMS = Terms("base", "rev", "judge", "fake-1", max_tokens=4, seed=0)


def asking(row, terms=TERMS):
    return Asking(answer_id(terms, Asking("", row, "greedy")), row, "greedy")


def judged(model_spec, judge_spec, num_prompts=30):
    rows = [prompt(number) for number in range(num_prompts)]
    askings = [asking(row) for row in rows]
    specs = config(judge=judge_spec).evaluation.judge, config(judge=model_spec).evaluation.judge
    with open_model(specs[1], "rev") as model, open_model(specs[0], "fake-1") as judge:
        return list(judged_answers(askings, {"i0": b"png"}, TERMS, model=model, judge=judge))


def test_a_model_that_fails_gives_error_rows_without_labels():
    rows = judged(
        {"kind": "fake", "name": "m", "error_share": 1},
        {"kind": "fake", "name": "judge", "replies": [REFUSAL]},
    )
    assert len(rows) == 30
    assert {(row.outcome, row.is_unsafe, row.raw_reply) for row in rows} == {("error", None, None)}
    assert all(row.error.startswith("model: ") for row in rows)


def test_a_judge_that_fails_or_babbles_gives_rows_that_say_so():
    judge = {"kind": "fake", "name": "judge", "replies": [REFUSAL], "error_share": 0.3, "garbage_share": 0.3}
    rows = judged({"kind": "fake", "name": "m", "replies": ["sorry"]}, judge)
    assert len(rows) == 30
    assert {row.outcome for row in rows} == {"ok", "error", "unparsable"}
    assert all((row.is_refusal is True) == (row.outcome == "ok") for row in rows)
    assert all(row.raw_reply for row in rows if row.outcome == "unparsable")
    assert all(row.text == "sorry" for row in rows)


class Backwards:
    """A judge that calls the answer "sure" unsafe and streams its verdicts in reverse order."""

    name, revision = "backwards", "1"

    def answer(self, requests):
        for request in reversed(list(requests)):
            yield Answer(request.id, UNSAFE if request.facts["response"] == "sure" else REFUSAL, "ok")


def test_verdicts_are_matched_to_answers_by_id_and_not_by_position():
    rows = [prompt(number) for number in range(12)]
    askings = [asking(row) for row in rows]
    spec = config(judge={"kind": "fake", "name": "m", "replies": ["sure", "sorry"]}).evaluation.judge
    with open_model(spec, "1") as model:
        answers = list(judged_answers(askings, {"i0": b"png"}, TERMS, model=model, judge=Backwards()))
    assert {row.text for row in answers} == {"sure", "sorry"}
    assert all(row.is_unsafe == (row.text == "sure") for row in answers)


@pytest.mark.slow
def test_a_real_model_and_its_changed_copy_are_answered_judged_and_scored(tmp_path):
    from PIL import Image
    from tests.tiny_llava import build_tiny_llava

    base = build_tiny_llava(tmp_path / "base", seed=0)
    ctx = context(tmp_path, [], settings=config(base_path=base))
    keep_gold(ctx.store, ctx.run_id, "judgements", [], GoldItem)
    files = ctx.store.upload(build_tiny_llava(tmp_path / "aligned", seed=1), "runs/r/training/model")
    picture = io.BytesIO()
    Image.new("RGB", (32, 32), (200, 30, 30)).save(picture, "PNG")
    image_id = ctx.store.put_blob(picture.getvalue())
    other = io.BytesIO()
    Image.new("RGB", (32, 32), (30, 30, 200)).save(other, "PNG")
    other_id = ctx.store.put_blob(other.getvalue())
    ctx.rows_by_stage = {
        "dataset": [
            prompt(1, image_id=image_id),
            prompt(2, image_id=image_id),
            prompt(3, "test_help", other_id),
            prompt(4, "train", image_id),
        ]
    }
    ctx.records_by_stage = {"training": training_record(files)}

    answers = work_rows(stage, ctx, stage.prepare(ctx), chunk_size=2)
    sealed = seal_rows(stage, ctx, answers)
    assert sealed.counts == {
        "answers": 20,
        "harm_prompts": 2,
        "benign_prompts": 1,
        "unparsable": 0,
        "errors": 0,
        "gold": 0,
    }
    assert {answer.outcome for answer in answers} == {"ok"}
    own = [a for a in answers if a.condition == "own"]
    greedy = {(a.model, a.question_id): a.text for a in own if a.decoding == "greedy"}
    assert any(greedy["base", question] != greedy["aligned", question] for question in ("q1", "q2", "q3"))
    unsafe = next(score for score in sealed.rows if score.id == "held_out_harm/greedy/change/all/unsafe_rate")
    assert unsafe.n == 2
    assert any(score.id == "grounding/greedy/aligned/all/grounding_score" for score in sealed.rows)
    assert sealed.measures["decision_number"] == 1 and sealed.measures["num_missing_comparisons"] == 0
    assert 0 <= sealed.measures["text_rule_balanced_accuracy"] <= 1
    assert measure_columns("evaluation", sealed.measures)  # every measure is declared
    assert json.dumps(sealed.details)


def test_the_judge_sees_the_image_that_was_shown_and_its_class():
    class Watching:
        name, revision = "watching", "1"

        def __init__(self, reply):
            self.reply, self.seen = reply, []

        def answer(self, requests):
            for request in requests:
                self.seen.append((request.image_id, request.facts["class3"], request.image))
                yield Answer(request.id, self.reply, "ok")

    rows = [prompt(1, image_id="h"), prompt(2, "test_help", "b")]
    swapped = [a for a in twins(rows, 1) if a.condition == "swapped" and a.prompt.split == "test_help"]
    model, judge = Watching("sure"), Watching(UNSAFE)
    images = {"h": b"harm", "b": b"benign"}
    (row,) = judged_answers(swapped, images, TERMS, model=model, judge=judge)
    assert model.seen == judge.seen == [("h", "insult", b"harm")]
    assert (row.question_id, row.image_id, row.class3, row.condition) == ("q2", "h", "insult", "swapped")
    assert row.benchmark == "held_out_benign"


def test_a_second_judge_reads_the_same_answers_and_its_verdict_stands_beside_the_first():
    from spavl.config import FakeModel

    terms = Terms("base", "rev", "judge", "fake-1", 4, 0, "second", "fake-2")
    rows = [prompt(number) for number in range(4)]
    askings = [asking(row, terms) for row in rows]
    assert {a.id for a in askings} & {asking(row).id for row in rows} == set()
    fakes = [
        FakeModel(kind="fake", name="m", replies=("sure",)),
        FakeModel(kind="fake", name="judge", replies=(REFUSAL,)),
        FakeModel(kind="fake", name="second", replies=(UNSAFE,)),
    ]
    with (
        open_model(fakes[0], "1") as model,
        open_model(fakes[1], "1") as judge,
        open_model(fakes[2], "2") as other,
    ):
        found = list(
            judged_answers(askings, {"i0": b"png"}, terms, model=model, judge=judge, second_judge=other)
        )
    assert {(row.is_unsafe, row.second_is_unsafe) for row in found} == {(False, True)}
    assert {(row.second_judge, row.second_judge_revision, row.second_outcome) for row in found} == {
        ("second", "fake-2", "ok")
    }


def test_a_comparison_that_got_no_verdict_is_counted_as_missing(tmp_path):
    from dataclasses import replace

    rows = [prompt(1, image_id="h"), prompt(2, "test_help", "b"), prompt(3, "train")]
    ctx = context(tmp_path, rows, references={"champion": "run-1"})
    spec = config(judge={"kind": "fake", "name": "m", "replies": ["sure"]}).evaluation.judge
    answers = []
    for role in ("base", "aligned", "champion"):
        items = [i for i in stage.prepare(ctx) if i.group == role and "gold" not in i.payload]
        asked = [stage._asking(item, {row.question_id: row for row in rows}, 0) for item in items]
        terms = replace(TERMS, role=role)
        with open_model(spec, "1") as model:
            judge = Backwards()
            images = {"h": b"harm", "b": b"benign"}
            answers += judged_answers(asked, images, terms, model=model, judge=judge)
    silent = [
        replace(a, outcome="unparsable", is_unsafe=None, is_refusal=None, helpfulness=None)
        if a.model == "champion"
        else a
        for a in answers
    ]
    assert seal_rows(stage, ctx, answers).measures["num_missing_comparisons"] == 0
    # unsafe and help, greedy and sampled
    assert seal_rows(stage, ctx, silent).measures["num_missing_comparisons"] == 4


def test_gold_items_are_asked_among_the_aligned_answers_under_new_ids_every_night(tmp_path):
    rows = [prompt(number, image_id=f"h{number}") for number in range(6)] + [prompt(9, "test_help", "b")]
    ctx = context(tmp_path, rows)
    items = stage.prepare(ctx)
    gold = [item for item in items if "gold" in item.payload]
    assert {item.group for item in gold} == {"aligned"} and len(gold) == 4
    aligned = [item for item in items if item.group == "aligned"]
    places = [number for number, item in enumerate(aligned) if "gold" in item.payload]
    steps = [after - before for before, after in itertools.pairwise(places)]
    assert max(steps) - min(steps) <= 1 and places[0] > 0 and places[-1] < len(aligned) - 1
    keep_gold(ctx.store, "20260102-test", "judgements", GOLD_ITEMS, GoldItem)
    tomorrow = dataclasses.replace(ctx, run_id="20260102-test")
    again = {item.id for item in stage.prepare(tomorrow) if "gold" in item.payload}
    assert again & {item.id for item in gold} == set()


class Reading:
    """A judge by words: "sure" is unsafe, everything else a refusal; it keeps the ids that it saw, per call."""

    name, revision = "reading", "1"

    def __init__(self, calls_unsafe=("sure",)):
        self.calls_unsafe, self.seen = calls_unsafe, []

    def answer(self, requests):
        self.seen.append([])
        for request in requests:
            self.seen[-1].append(request.id)
            is_unsafe = request.facts["response"] in self.calls_unsafe
            yield Answer(request.id, UNSAFE if is_unsafe else REFUSAL, "ok")


def night(tmp_path, judge, second=None):
    """A context and the judged answers of base and aligned, with gold items among the latter."""
    rows = [prompt(number, image_id=f"h{number}") for number in range(6)]
    rows += [prompt(9, "test_help", "b"), prompt(10, "train")]
    section = {"second_judge": {"kind": "fake", "name": "second"}} if second else {}
    ctx = context(tmp_path, rows, settings=config(**section))
    spec = config(judge={"kind": "fake", "name": "m", "replies": ["sorry"]}).evaluation.judge
    prompts, answers = {row.question_id: row for row in rows}, []
    for role in ("base", "aligned"):
        terms = stage._terms(ctx, role)
        items = [item for item in stage.prepare(ctx) if item.group == role]
        gold = stage.gold_askings(ctx, terms) if role == "aligned" else {}
        asked = [stage._asking(item, prompts, 0) for item in items if item.id not in gold]
        images = dict.fromkeys([*(row.image_id for row in rows), "g"], b"png")
        with open_model(spec, "1") as model:
            answers += judged_answers(
                asked, images, terms, model=model, judge=judge, second_judge=second, gold=list(gold.values())
            )
    return ctx, answers


def test_the_trial_says_how_often_the_judge_was_right_and_corrects_the_rates(tmp_path):
    sealed = seal_rows(stage, *night(tmp_path, Reading()))
    assert sealed.counts["gold"] == 4 and len(sealed.side_tables["gold"]) == 4
    assert sealed.side_tables["second_gold"] == []
    measures = sealed.measures
    assert (measures["gold_sensitivity"], measures["gold_specificity"]) == (1, 1)
    assert measures["aligned_unsafe_rate_corrected"] == 0
    assert 0 < measures["aligned_unsafe_rate_corrected__high"] <= 1
    assert not any(score.model == "gold" or score.benchmark == "gold" for score in sealed.rows)
    assert measure_columns("evaluation", measures)


def test_a_judge_that_calls_everything_safe_fails_its_trial(tmp_path):
    measures = seal_rows(stage, *night(tmp_path, Reading(calls_unsafe=()))).measures
    assert (measures["gold_sensitivity"], measures["gold_specificity"]) == (0, 1)
    assert measures["aligned_unsafe_rate_corrected"] is None  # such a judge says no more than a coin


def test_each_of_two_judges_has_its_own_trial(tmp_path):
    sealed = seal_rows(stage, *night(tmp_path, Reading(), second=Reading(calls_unsafe=())))
    assert sealed.measures["gold_sensitivity"] == 1 and sealed.measures["second_gold_sensitivity"] == 0
    assert len(sealed.side_tables["second_gold"]) == 4
    # unsafe if either says so: together they miss nothing
    assert sealed.measures["aligned_unsafe_rate_corrected"] == 0


def test_the_judge_sees_gold_items_and_other_answers_in_one_order_of_ids(tmp_path):
    judge = Reading()
    ctx, _ = night(tmp_path, judge)
    gold = stage.gold_askings(ctx, stage._terms(ctx, "aligned")).keys()
    of_base, of_aligned = judge.seen
    assert of_aligned == sorted(of_aligned)
    assert gold <= set(of_aligned) and not gold & set(of_base)
