"""Pickles and code of a model: refused, unless the profile names them; then hashed, and pickles read for weights alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.tiny_llava import build_tiny_llava
from tests.toy_pairs import toy_pairs

from spavl.artifacts.store import open_store
from spavl.config import TransformersModel
from spavl.errors import UserError
from spavl.inference import Request, Sampling, open_model, resolve_revision
from spavl.inference.files import allowed_by
from spavl.learning.base_model import base_folder, load_model
from spavl.learning.trainer import Hooks
from spavl.stages.training.config import TrainingConfig

PICKLE, CODE = "pytorch_model.bin", "modeling_own.py"
# a model that transformers does not know, whose code leaves a trace where it runs
SOURCE = """
from pathlib import Path
from transformers import LlavaConfig, LlavaForConditionalGeneration

Path({trace!r}).write_text("ran")

class OwnConfig(LlavaConfig):
    model_type = "own_llava"

class OwnModel(LlavaForConditionalGeneration):
    config_class = OwnConfig
"""


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return build_tiny_llava(tmp_path / "plain")


@pytest.fixture
def pickled(tmp_path: Path) -> Path:
    """The same model, its weights as torch saved them for years."""
    folder = build_tiny_llava(tmp_path / "pickled")
    torch.save(weights_of(folder), folder / PICKLE)
    (folder / "model.safetensors").unlink()
    return folder


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "trace"


@pytest.fixture
def with_code(tmp_path: Path, trace: Path) -> Path:
    folder = build_tiny_llava(tmp_path / "with-code")
    (folder / CODE).write_text(SOURCE.format(trace=str(trace)))
    keep_names_in_memory(folder)
    names = {"AutoConfig": "OwnConfig", "AutoModelForImageTextToText": "OwnModel"}
    auto_map = {kind: f"modeling_own.{name}" for kind, name in names.items()}
    change_config(folder, model_type="own_llava", auto_map=auto_map)
    return folder


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def keep_names_in_memory(folder: Path) -> None:
    """Save the weights under the names that they have in memory: files of LLaVA have others, of LLaVA alone."""
    from safetensors.torch import save_file
    from transformers import AutoModelForImageTextToText

    state = AutoModelForImageTextToText.from_pretrained(folder).state_dict()
    save_file(state, folder / "model.safetensors", {"format": "pt"})


def change_config(folder: Path, **values: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | values))


def spec_of(folder: Path, **allowed: tuple[str, ...]) -> TransformersModel:
    return TransformersModel(kind="transformers", name="tiny", path=str(folder), device="cpu", **allowed)


def answer(spec: TransformersModel) -> str | None:
    request = Request("r", "what is shown", None, sampling=Sampling(temperature=0.0, max_tokens=5))
    with open_model(spec, resolve_revision(spec)) as model:
        (only,) = model.answer([request])
    return only.text


class Runs:
    """Runs something when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self._trace = trace

    def __reduce__(self) -> tuple[Callable, tuple]:
        return Path.write_text, (self._trace, "ran")


def test_a_pickle_is_refused_with_the_setting_that_would_allow_it(pickled: Path) -> None:
    with pytest.raises(UserError, match=r"holds 'pytorch_model\.bin', a pickle") as refused:
        resolve_revision(spec_of(pickled))
    assert "`allow_pickles`" in refused.value.next_step
    with pytest.raises(UserError, match="a pickle"):
        resolve_revision(spec_of(pickled, allow_pickles=("other.bin",)))


def test_a_named_pickle_answers_as_the_safetensors_do(plain: Path, pickled: Path) -> None:
    assert answer(spec_of(pickled, allow_pickles=(PICKLE,))) == answer(spec_of(plain)) != ""


def test_a_named_pickle_is_part_of_the_revision(pickled: Path) -> None:
    spec = spec_of(pickled, allow_pickles=(PICKLE,))
    before = resolve_revision(spec)
    with open(pickled / PICKLE, "ab") as stream:
        stream.write(b"\0")
    assert resolve_revision(spec) != before
    with pytest.raises(UserError, match="this run was planned with"):
        base_folder(spec, before)


def test_naming_a_pickle_that_is_not_there_changes_no_revision(plain: Path) -> None:
    assert resolve_revision(spec_of(plain, allow_pickles=(PICKLE,))) == resolve_revision(spec_of(plain))


def test_where_there_are_safetensors_a_named_pickle_is_not_opened(plain: Path, trace: Path) -> None:
    torch.save({"w": Runs(trace)}, plain / PICKLE)
    expected = answer(spec_of(plain, allow_pickles=(PICKLE,)))
    (plain / PICKLE).unlink()
    assert answer(spec_of(plain)) == expected
    assert not trace.exists()


def test_a_named_pickle_that_holds_more_than_weights_runs_nothing(pickled: Path, trace: Path) -> None:
    torch.save({"w": Runs(trace)}, pickled / PICKLE)
    spec = spec_of(pickled, allow_pickles=(PICKLE,))
    with pytest.raises(UserError, match="cannot be loaded"):
        answer(spec)
    with pytest.raises(UserError, match="more than weights"):
        load_model(pickled, "float32", allowed=allowed_by(spec))
    assert not trace.exists()


def test_code_is_not_run_and_the_setting_is_named(with_code: Path, trace: Path) -> None:
    spec = spec_of(with_code)
    for load in (lambda: answer(spec), lambda: load_model(with_code, "float32")):
        with pytest.raises(UserError, match="code of its own, and running it is refused") as refused:
            load()
        assert "`allow_code`" in refused.value.next_step
    assert not trace.exists()


def test_named_code_is_run(with_code: Path, plain: Path, trace: Path) -> None:
    assert answer(spec_of(with_code, allow_code=(CODE,))) == answer(spec_of(plain))
    assert trace.exists()


def test_named_code_is_part_of_the_revision(with_code: Path) -> None:
    spec = spec_of(with_code, allow_code=(CODE,))
    before = resolve_revision(spec)
    with open(with_code / CODE, "a") as stream:
        stream.write("# changed")
    assert resolve_revision(spec) != before


@pytest.mark.parametrize("name", ["configuration_own.py", "inner/parts.py"])
def test_code_beside_the_named_is_refused(with_code: Path, name: str) -> None:
    (with_code / name).parent.mkdir(exist_ok=True)
    (with_code / name).write_text("")
    with pytest.raises(UserError, match=f"holds '{name}' beside the named code"):
        resolve_revision(spec_of(with_code, allow_code=(CODE,)))
    assert resolve_revision(spec_of(with_code, allow_code=(CODE, name)))


def test_code_that_is_named_and_missing_is_refused(plain: Path) -> None:
    with pytest.raises(UserError, match=f"holds no '{CODE}'"):
        resolve_revision(spec_of(plain, allow_code=(CODE,)))


def test_code_of_another_repository_is_refused(with_code: Path) -> None:
    change_config(
        with_code, auto_map={"AutoConfig": "somebody/else--modeling.C", "AutoTokenizer": [None, "x.Y"]}
    )
    with pytest.raises(UserError, match="another repository, 'somebody/else--"):
        resolve_revision(spec_of(with_code, allow_code=(CODE,)))


def test_a_hubs_files_are_looked_at_as_a_folders_are(
    pickled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "a" * 40
    snapshot = tmp_path / "hub" / "models--organisation--tiny" / "snapshots" / commit
    shutil.copytree(pickled, snapshot)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    named = spec_of(pickled, allow_pickles=(PICKLE,))
    spec = named.model_copy(update={"path": "organisation/tiny", "revision": commit})
    assert answer(spec) == answer(named)
    assert base_folder(spec, commit) == snapshot
    (snapshot / "more.bin").write_bytes(b"")
    assert base_folder(named.model_copy(update={"path": spec.path, "allow_pickles": ()}), commit) == snapshot
    for load in (lambda: answer(spec), lambda: base_folder(spec, commit)):
        with pytest.raises(UserError, match=r"holds 'more\.bin', a pickle"):
            load()


def test_what_is_trained_from_pickles_is_safetensors(pickled: Path, tmp_path: Path) -> None:
    model = aligned(spec_of(pickled, allow_pickles=(PICKLE,)), tmp_path)
    names = {path.name for path in model.iterdir()}
    assert "model.safetensors" in names
    assert not any(name.endswith((".bin", ".pt", ".py")) for name in names)


def test_what_is_trained_from_a_model_with_code_has_the_code_beside_it(
    with_code: Path, tmp_path: Path
) -> None:
    spec = spec_of(with_code, allow_code=(CODE,))
    model = aligned(spec, tmp_path)
    assert (model / CODE).read_bytes() == (with_code / CODE).read_bytes()
    assert answer(spec.model_copy(update={"path": str(model)})) is not None


def aligned(spec: TransformersModel, folder: Path) -> Path:
    """One step of DPO."""
    from spavl.stages.training.dpo import train_dpo
    from spavl.stages.training.made import Source

    settings = TrainingConfig(base=spec, num_epochs=1, global_batch_size=2, warmup_steps=0)
    source = Source(
        base_folder(spec, resolve_revision(spec)), "toy", open_store(f"file://{folder / 'store'}")
    )
    hooks = Hooks(lambda *_: None, lambda *_: None, lambda: False)
    made = train_dpo(toy_pairs(folder / "images", 2), [], source, settings, folder, None, hooks)
    assert made.model is not None
    return made.model
