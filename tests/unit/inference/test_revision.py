"""A model's revision follows its files, and only weights that are safe to load have one."""

from __future__ import annotations

from pathlib import Path

import pytest

from spavl.config import (
    DemoRulesModel,
    EndpointModel,
    FakeModel,
    PoisonedModel,
    TransformersModel,
    VllmModel,
)
from spavl.errors import UserError
from spavl.inference import BACKENDS, open_model, resolve_revision
from spavl.inference.poisons import POISONS


def model_folder(folder: Path, **files: bytes) -> Path:
    folder.mkdir()
    (folder / "config.json").write_bytes(b"{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "chat_template.jinja").write_bytes(b"{{ x }}")
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_bytes(content)
    return folder


def spec_of(path: Path | str, **changes: object) -> TransformersModel:
    return TransformersModel(kind="transformers", name="tiny", path=str(path), **changes)


def test_equal_files_have_an_equal_revision_wherever_they_lie(tmp_path: Path) -> None:
    here, there = model_folder(tmp_path / "here"), model_folder(tmp_path / "there", README__md=b"words")
    revision = resolve_revision(spec_of(here))
    assert revision == resolve_revision(spec_of(there))
    assert revision.startswith("files-") and len(revision) == 22


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "chat_template.jinja"])
def test_one_changed_byte_changes_the_revision(tmp_path: Path, name: str) -> None:
    folder = model_folder(tmp_path / "model")
    before = resolve_revision(spec_of(folder))
    (folder / name).write_bytes((folder / name).read_bytes() + b" ")
    assert resolve_revision(spec_of(folder)) != before


def test_bytes_moved_between_files_change_the_revision(tmp_path: Path) -> None:
    one = model_folder(tmp_path / "one", a__txt=b"xy", b__txt=b"z")
    other = model_folder(tmp_path / "other", a__txt=b"x", b__txt=b"yz")
    assert resolve_revision(spec_of(one)) != resolve_revision(spec_of(other))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.pth", "x.pkl"])
def test_pickle_weights_are_refused(tmp_path: Path, name: str) -> None:
    folder = model_folder(tmp_path / "model")
    (folder / name).write_bytes(b"\x80\x04")
    with pytest.raises(UserError, match=f"{name}.*pickle"):
        resolve_revision(spec_of(folder))


def test_a_folder_without_safetensors_is_refused(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"no \.safetensors file"):
        resolve_revision(spec_of(folder))


def test_a_folder_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no folder"):
        resolve_revision(spec_of(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="there is no folder"):
        resolve_revision(spec_of(model_folder(tmp_path / "model") / "config.json"))


def test_a_hub_id_needs_a_pinned_revision() -> None:
    with pytest.raises(UserError, match="without a revision"):
        resolve_revision(spec_of("organisation/model"))
    assert resolve_revision(spec_of("organisation/model", revision="abc123")) == "abc123"


def test_other_kinds_say_their_revision() -> None:
    address = "http://127.0.0.1:1/v1"
    endpoint = EndpointModel(kind="endpoint", name="e", model="m", revision="2026-01", base_url=address)
    assert resolve_revision(endpoint) == "2026-01"
    assert resolve_revision(FakeModel(kind="fake", name="f", revision="fake-7")) == "fake-7"
    honest, poisoned = DemoRulesModel(kind="demo_rules"), DemoRulesModel(kind="demo_rules", flip_share=0.5)
    assert resolve_revision(honest) != resolve_revision(poisoned)


def test_every_kind_opens_with_its_name_and_revision(tmp_path: Path) -> None:
    specs = [
        EndpointModel(kind="endpoint", name="e", model="m", revision="1", base_url="http://127.0.0.1:1/v1"),
        VllmModel(kind="vllm", name="v", path="organisation/model", revision="1"),
        spec_of(model_folder(tmp_path / "model")),
        FakeModel(kind="fake", name="f"),
        DemoRulesModel(kind="demo_rules"),
        PoisonedModel(
            kind="poisoned", name="p", model=DemoRulesModel(kind="demo_rules"), poison=min(POISONS)
        ),
    ]
    assert [spec.kind for spec in specs] == list(BACKENDS)
    for spec in specs:
        model = open_model(spec, "some-revision")
        assert (model.name, model.revision) == (spec.name, "some-revision")


@pytest.mark.parametrize("path", ["organisation/model", "s3://bucket/model", "/models/mine"])
def test_a_served_model_has_the_revision_it_was_pinned_to(path: str) -> None:
    assert resolve_revision(VllmModel(kind="vllm", name="v", path=path, revision="c0ffee")) == "c0ffee"


def test_a_served_model_must_lie_where_its_pod_can_fetch_it() -> None:
    with pytest.raises(UserError, match="neither a hub id nor a folder's address"):
        resolve_revision(VllmModel(kind="vllm", name="v", path="some/where/here", revision="1"))


def test_a_folder_that_changed_after_the_plan_is_refused(tmp_path: Path) -> None:
    spec = spec_of(model_folder(tmp_path / "model"))
    revision = resolve_revision(spec)
    (tmp_path / "model" / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(UserError, match=f"the plan says {revision}"), open_model(spec, revision):
        pass
