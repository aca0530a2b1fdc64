import dataclasses
import json

import pytest
from tests.sealing import seal_rows
from tests.stage_context import FakeContext, run_stage
from tests.tiny_llava import build_tiny_llava

from spavl.artifacts.approval import Approval
from spavl.artifacts.record import Record
from spavl.artifacts.store import open_store
from spavl.config.root import Config
from spavl.errors import CheckFailed, UserError
from spavl.stages.evaluation.rows import Score
from spavl.stages.release import stage
from spavl.stages.release.lineage import without_addresses
from spavl.stages.release.loading import verify_release

CHECK = {
    "suite": "evaluation",
    "sha256": "ab" * 32,
    "passed": True,
    "num_rows": 3,
    "results": [
        {
            "expectation": "max(unsafe | greedy)",
            "severity": "critical",
            "passed": True,
            "saw": "0.05",
            "limit": "at most 0.2",
        }
    ],
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return build_tiny_llava(tmp_path_factory.mktemp("trained"), seed=7)


@pytest.fixture
def context(trained, tmp_path):
    store = open_store(f"file://{tmp_path / 'store'}")
    base = {"kind": "transformers", "name": "bold", "path": str(tmp_path / "models" / "bold")}
    config = Config.model_validate(
        {
            "profile": "test",
            "training": {"base": base, "lora": {}},
            "evaluation": {"judge": {"kind": "demo_rules"}},
        }
    )
    path = "runs/20260101-test/training/model"
    training = record(
        "training", config.training.model_dump(mode="json"), counts={"pairs": 850, "steps": 106}
    )
    training = dataclasses.replace(
        training, folders={"model": {"path": path, "files": store.upload(trained, path)}}
    )
    records = {
        "dataset": record("dataset", {}, details={"version": "v-1234"}),
        "training": training,
        "evaluation": record("evaluation", config.evaluation.model_dump(mode="json"), check=CHECK),
        "benchmarks": record("benchmarks", {}, check={**CHECK, "suite": "benchmarks"}),
    }
    rows = {"evaluation": [score("base", 0.93), score("aligned", 0.05), score("change", -0.88)]}
    return FakeContext(
        config, store, "release", rows, records, revisions={"bold": "files-b", "demo-rules": "rules-1"}
    )


def record(name, config, **more):
    return Record(
        "20260101-test",
        name,
        f"fingerprint-of-{name}",
        "2026-01-01T00:00:00+00:00",
        "0.1.0",
        config,
        {},
        {},
        **more,
    )


def score(model, value):
    return Score(
        f"held_out_harm/greedy/{model}/all/unsafe_rate", "held_out_harm", "greedy", model, "rev", "all", "unsafe_rate",
        value, value - 0.02, value + 0.02, 530, "rate_by_image", "demo-rules", "rules-1", value - 0.02, value + 0.02,
    )  # fmt: skip


def test_a_release_loads_again_and_gives_the_trained_models_logits(context, trained):
    import torch
    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor

    folder = run_stage(stage, context).folders["release"]
    logits = []
    for source in (trained, folder):
        processor = AutoProcessor.from_pretrained(source)
        asked = processor(
            images=[Image.new("RGB", (40, 40), "red")],
            text=["USER: <image>\nwhat is shown"],
            return_tensors="pt",
        )
        with torch.no_grad():
            logits.append(AutoModelForImageTextToText.from_pretrained(source)(**asked).logits)
    assert torch.equal(logits[0], logits[1])


def test_rows_and_manifest_list_every_file_of_the_release(context):
    sealed = run_stage(stage, context)
    folder = sealed.folders["release"]
    on_disk = sorted(path.name for path in folder.iterdir())
    assert sorted(row.path for row in sealed.rows) == on_disk
    assert {"model.safetensors", "config.json", "README.md", "lineage.json", "manifest.json"} <= set(on_disk)
    assert [row.path for row in verify_release(folder)] == [
        name for name in on_disk if name != "manifest.json"
    ]
    assert sealed.counts["files"] == len(on_disk)


def test_the_card_gives_scores_with_interval_and_judge(context):
    card = (run_stage(stage, context).folders["release"] / "README.md").read_text()
    line = "| held_out_harm | greedy | unsafe_rate | 530 | 93.0 % (91.0 to 95.0) | 5.0 % (3.0 to 7.0) | -88.0 points (-90.0 to -86.0) |"
    assert line in card
    assert "Judge: `demo-rules` (demo_rules), revision `rules-1`" in card
    assert "| max(unsafe / greedy) | critical | 0.05 | at most 0.2 | yes |" in card
    assert "dataset version `v-1234`" in card
    assert "LoRA of rank 16" in card


def test_a_demo_judge_is_named_as_one_at_the_top(context):
    card = (run_stage(stage, context).folders["release"] / "README.md").read_text()
    assert "**Tiny demo.** The judge is the demo world's rules" in card


def test_lineage_names_records_and_no_place_of_this_machine(context, tmp_path):
    text = (run_stage(stage, context).folders["release"] / "lineage.json").read_text()
    descent = json.loads(text)
    assert descent["dataset"]["fingerprint"] == "fingerprint-of-dataset"
    assert descent["training"]["config"]["beta"] == 0.1
    assert descent["evaluation"]["check"]["passed"] is True
    assert descent["revisions"] == {"bold": "files-b", "demo-rules": "rules-1"}
    assert str(tmp_path) not in text


def test_a_hub_id_is_a_name_and_stays():
    spec = {"path": "llava-hf/llava-1.5-7b-hf", "base_url": "http://inner:8000/v1", "name": "judge"}
    assert without_addresses([spec, {"path": "/models/x"}]) == [
        {"path": "llava-hf/llava-1.5-7b-hf", "name": "judge"},
        {},
    ]


def test_the_channel_entry_says_what_is_released(context):
    details = run_stage(stage, context).details
    assert details["channel_entry"]["release_id"] == details["release_id"]
    assert details["channel_entry"]["dataset_version"] == "v-1234"
    assert details["channel_entry"]["scores"]["held_out_harm/aligned/unsafe_rate"] == 0.05
    assert json.loads(json.dumps(details)) == details


@pytest.mark.parametrize("check", [{}, {"passed": False}, {"passed": None}])
def test_nothing_is_released_without_a_passed_gate(context, check):
    context.records_by_stage["evaluation"] = dataclasses.replace(
        context.records_by_stage["evaluation"], check=check
    )
    with pytest.raises(CheckFailed, match="has not passed its suite"):
        seal_rows(stage, context, [])


def test_a_training_without_a_model_is_refused(context):
    context.records_by_stage["training"] = dataclasses.replace(
        context.records_by_stage["training"], folders={}
    )
    with pytest.raises(UserError, match="no 'model'"):
        seal_rows(stage, context, [])


def test_a_trained_file_that_is_damaged_is_not_released(context):
    context.store.write("runs/20260101-test/training/model/config.json", b"{}")
    with pytest.raises(UserError, match=r"config.json is damaged"):
        seal_rows(stage, context, [])


@pytest.mark.parametrize(
    "poisoned",
    [
        {"evaluation": {"poisons": {"aligned": {"poison": "echoes"}}}},
        {"evaluation": {"judge": {"kind": "poisoned", "name": "p", "model": {"kind": "demo_rules"}, "poison": "safe"}}},
        {"judgements": {"judge": {"kind": "poisoned", "name": "p", "model": {"kind": "demo_rules"}, "poison": "safe"}}},
    ],
)  # fmt: skip
def test_a_run_that_holds_a_poisoned_model_is_never_released(context, poisoned):
    values = context.config.model_dump(mode="json")
    values = {**values, **{name: {**values[name], **section} for name, section in poisoned.items()}}
    context = dataclasses.replace(context, config=Config.model_validate(values))
    with pytest.raises(UserError, match="holds a model with the poison"):
        run_stage(stage, context)


def with_approval(context, decision=None):
    release = {"approval": {"required": True}}
    values = context.config.model_dump(mode="json") | {"release": release}
    context = dataclasses.replace(context, config=Config.model_validate(values))
    if decision:
        made = Approval(
            "20260101-test", decision, "mira", "seen forty answers", "2026-01-02", "fingerprint-of-evaluation"
        )
        context.store.write("runs/20260101-test/approval.json", made.to_json())
    return context


def test_a_profile_that_asks_for_an_approval_releases_nothing_without_one(context):
    with pytest.raises(UserError, match="waits for a person"):
        run_stage(stage, with_approval(context))


def test_the_channel_entry_names_who_approved_and_why(context):
    entry = run_stage(stage, with_approval(context, "approved")).details["channel_entry"]
    assert (entry["approved_by"], entry["approval_reason"]) == ("mira", "seen forty answers")


def test_a_release_without_an_approval_names_nobody(context):
    assert "approved_by" not in run_stage(stage, context).details["channel_entry"]


def test_a_rejected_release_is_a_failed_one(context):
    with pytest.raises(CheckFailed, match="mira rejected it"):
        run_stage(stage, with_approval(context, "rejected"))
