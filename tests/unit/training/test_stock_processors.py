"""DPO on folders whose processors also read videos: those classes need torchvision, which the training image has."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from tests.sealing import seal_rows
from tests.tiny_vlms import build
from tests.toy_training import toy_context, train

from spavl.inference.request import Request, Sampling
from spavl.stages.training import stage

NEEDS = {
    "qwen2_5_vl": ("torchvision",),
    "qwen3_vl": ("torchvision",),
    "smolvlm": ("torchvision", "num2words"),
}


def stock_processor(name: str, processor: Any) -> Any:
    """The architecture's own processor class around the same image processor and tokenizer."""
    import transformers

    parts = {"image_processor": processor.image_processor, "tokenizer": processor.tokenizer}
    parts["chat_template"] = processor.chat_template
    if name == "smolvlm":
        video = transformers.SmolVLMVideoProcessor()
        return transformers.SmolVLMProcessor(**parts, video_processor=video, image_seq_len=4)
    made = {"qwen2_5_vl": transformers.Qwen2_5_VLProcessor, "qwen3_vl": transformers.Qwen3VLProcessor}[name]
    video_class = {
        "qwen2_5_vl": transformers.Qwen2VLVideoProcessor,
        "qwen3_vl": transformers.Qwen3VLVideoProcessor,
    }
    return made(**parts, video_processor=video_class[name](patch_size=4))


def folder_of(name: str, folder: Path) -> Path:
    for module in NEEDS[name]:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{name}'s processor needs {module}: pip install 'spavl[vision]'")
    tiny = build(name)
    tiny.model.save_pretrained(folder)
    stock_processor(name, tiny.processor).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", NEEDS)
def test_dpo_trains_a_folder_with_the_stock_processor_in_shared_trees(name: str, tmp_path: Path) -> None:
    context = toy_context(tmp_path, folder_of(name, tmp_path / "base"), num_per_image=2, num_epochs=1)
    sealed = seal_rows(stage, context, train(context))
    assert sealed.counts["pairs"] == 14
    assert sealed.details["layout"] == "shared prefix"
    losses = [row.value for row in sealed.rows if row.name == "loss"]
    assert losses and all(0 < loss < 50 for loss in losses)


@pytest.mark.parametrize("name", NEEDS)
def test_a_folder_with_the_stock_processor_answers(name: str, tmp_path: Path) -> None:
    from spavl.config import TransformersModel
    from spavl.inference import open_model, resolve_revision

    folder = folder_of(name, tmp_path / "base")
    spec = TransformersModel(kind="transformers", name="tiny", path=str(folder), device="cpu")
    context = toy_context(tmp_path, folder)
    image_id = context.rows("dataset")[0].image_id
    picture = context.store.get_blob(image_id)
    asked = Request("one", "what is it?", picture, image_id, sampling=Sampling(max_tokens=4))
    with open_model(spec, resolve_revision(spec)) as model:
        (answer,) = model.answer([asked])
    assert answer.outcome == "ok"
