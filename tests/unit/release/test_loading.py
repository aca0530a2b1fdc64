import hashlib

import pytest

from spavl.errors import UserError
from spavl.stages.release.loading import verify_release, write_manifest


@pytest.fixture
def release(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "config.json").write_bytes(b"{}")
    (tmp_path / "inner" / "model.safetensors").write_bytes(b"weights")
    write_manifest(tmp_path)
    return tmp_path


def test_each_file_has_its_sha256_and_size(release):
    rows = {row.path: (row.sha256, row.num_bytes) for row in verify_release(release)}
    assert rows == {
        "config.json": (hashlib.sha256(b"{}").hexdigest(), 2),
        "inner/model.safetensors": (hashlib.sha256(b"weights").hexdigest(), 7),
    }


def test_a_changed_file_is_noticed(release):
    (release / "inner" / "model.safetensors").write_bytes(b"WEIGHTS")
    with pytest.raises(UserError, match=r"'inner/model.safetensors' has sha256"):
        verify_release(release)


def test_a_missing_file_is_noticed(release):
    (release / "config.json").unlink()
    with pytest.raises(UserError, match=r"'config.json' is missing"):
        verify_release(release)


def test_a_file_that_nobody_listed_is_noticed(release):
    (release / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(UserError, match=r"'pytorch_model.bin' is not in the manifest"):
        verify_release(release)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"files"'])
def test_a_broken_manifest_is_the_users_matter(release, content):
    (release / "manifest.json").write_bytes(content)
    with pytest.raises(UserError, match=r"manifest.json cannot be read"):
        verify_release(release)


def test_a_folder_without_manifest_is_no_release(tmp_path):
    with pytest.raises(UserError, match=r"manifest.json is missing"):
        verify_release(tmp_path)
