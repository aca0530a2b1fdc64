import io
import json

import pytest
from tests.stage_context import FakeContext, work_rows

from spavl.artifacts.record import Record
from spavl.artifacts.store import open_store
from spavl.config import Config
from spavl.errors import UserError
from spavl.evaluation import stage
from spavl.evaluation.answering import Terms, answer_id, judged_answers
from spavl.inference import Answer, open_model
from spavl.records import DatasetRow

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


def config(judge=None, base_path="/no/such/folder", **evaluation):
    judge = judge or {"kind": "fake", "name": "judge", "replies": [REFUSAL, UNSAFE]}
    base = {"kind": "transformers", "name": "tiny", "path": str(base_path)}
    section = {"judge": judge, "max_tokens": 4, "num_bootstrap": 100, **evaluation}
    return Config.model_validate({"profile": "test", "training": {"base": base}, "evaluation": section})


def training_record(files):
    folder = {"path": "runs/r/training/model", "files": files}
    return Record("r", "training", "f", "2026-01-01T00:00:00Z", "0", {}, {}, {}, folders={"model": folder})


def context(tmp_path, rows, files=None, settings=None):
    files = files or {"model.safetensors": {"sha256": "a" * 64, "num_bytes": 1}}
    return FakeContext(
        config=settings or config(),
        store=open_store(f"file://{tmp_path}/store"),
        stage="evaluation",
        scratch=tmp_path / "scratch",
        rows_by_stage={"dataset": rows},
        records_by_stage={"training": training_record(files)},
    )


def test_every_held_out_prompt_is_asked_of_both_models_in_both_ways(tmp_path):
    rows = [prompt(1), prompt(2), prompt(3, "test_help"), prompt(4, "train")]
    items = stage.prepare(context(tmp_path, rows))
    asked = {(item.group, item.payload["decoding"], item.payload["question_id"]) for item in items}
    assert len(items) == len({item.id for item in items}) == 2 * 2 * 3
    assert asked == {
        (group, decoding, question)
        for group in ("base", "aligned")
        for decoding in ("greedy", "sampled")
        for question in ("q1", "q2", "q3")
    }


def test_new_weights_give_new_ids_to_the_aligned_answers_only(tmp_path):
    rows = [prompt(1), prompt(2, "test_help")]
    tonight = stage.prepare(context(tmp_path, rows))
    new_weights = {"model.safetensors": {"sha256": "b" * 64, "num_bytes": 1}}
    tomorrow = stage.prepare(context(tmp_path, rows, files=new_weights))
    for before, after in zip(tonight, tomorrow, strict=True):
        assert (before.id == after.id) == (before.group == "base")


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


def judged(model_spec, judge_spec, num_prompts=30):
    rows = [prompt(number) for number in range(num_prompts)]
    askings = [stage.Asking(answer_id(TERMS, row, "greedy"), row, "greedy") for row in rows]
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
    askings = [stage.Asking(answer_id(TERMS, row, "greedy"), row, "greedy") for row in rows]
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
    files = ctx.store.upload(build_tiny_llava(tmp_path / "aligned", seed=1), "runs/r/training/model")
    picture = io.BytesIO()
    Image.new("RGB", (32, 32), (200, 30, 30)).save(picture, "PNG")
    image_id = ctx.store.put_blob(picture.getvalue())
    ctx.rows_by_stage = {
        "dataset": [
            prompt(1, image_id=image_id),
            prompt(2, image_id=image_id),
            prompt(3, "test_help", image_id),
        ]
    }
    ctx.records_by_stage = {"training": training_record(files)}

    answers = work_rows(stage, ctx, stage.prepare(ctx), chunk_size=2)
    sealed = stage.seal(ctx, answers)
    assert sealed.counts == {
        "answers": 12,
        "harm_prompts": 2,
        "benign_prompts": 1,
        "unparsable": 0,
        "errors": 0,
    }
    assert {answer.outcome for answer in answers} == {"ok"}
    greedy = {(a.model, a.question_id): a.text for a in answers if a.decoding == "greedy"}
    assert any(greedy["base", question] != greedy["aligned", question] for question in ("q1", "q2", "q3"))
    unsafe = next(score for score in sealed.rows if score.id == "held_out_harm/greedy/change/all/unsafe_rate")
    assert unsafe.n == 2
    assert json.dumps(sealed.details)
