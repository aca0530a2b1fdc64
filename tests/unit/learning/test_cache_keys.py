"""Cache keys: the same on every machine, another one as soon as anything differs that could change a value."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from tests import tiny_vlms

from spavl.learning.cache_keys import code_version, feature_key, processor_fingerprint, reference_key

FEATURE: dict[str, Any] = {
    "base_revision": "r1",
    "processor": "p1",
    "image_sha256": "i1",
    "precision": "bfloat16",
    "attention": "sdpa",
    "code": "layout 1",
}
REFERENCE: dict[str, Any] = FEATURE | {
    "adapter_hash": "",
    "chat_template": "USER: {{ text }}",
    "input_ids": (5, 6, 7, 8),
    "num_prompt": 2,
}
OTHER: dict[str, Any] = {
    "base_revision": "r2",
    "processor": "p2",
    "image_sha256": "i2",
    "precision": "float32",
    "attention": "eager",
    "code": "layout 2",
    "adapter_hash": "a2",
    "chat_template": "USER: {{ text }} ",
    "input_ids": (5, 6, 7, 9),
    "num_prompt": 3,
}


@pytest.mark.parametrize("name", sorted(FEATURE))
def test_every_part_of_a_feature_key_counts(name: str) -> None:
    assert feature_key(**FEATURE) != feature_key(**FEATURE | {name: OTHER[name]})


@pytest.mark.parametrize("name", sorted(REFERENCE))
def test_every_part_of_a_reference_key_counts(name: str) -> None:
    assert reference_key(**REFERENCE) != reference_key(**REFERENCE | {name: OTHER[name]})


def test_keys_are_the_same_in_every_process() -> None:
    # written down once: a change here makes every kept value unreachable
    assert feature_key(**FEATURE) == "d43918cc3cd782cf0b3ca544d2f21760"
    assert reference_key(**REFERENCE) == "33e793dc99890382b805bc4b36ad5da2"


def test_token_ids_count_by_value_not_by_container() -> None:
    import numpy as np

    as_array = REFERENCE | {"input_ids": np.array([5, 6, 7, 8], dtype=np.int32)}
    assert reference_key(**as_array) == reference_key(**REFERENCE)


def test_features_and_references_never_share_a_key() -> None:
    assert feature_key(**FEATURE) != reference_key(**REFERENCE)


@pytest.mark.parametrize("name", ["llava_llama", "qwen2_vl", "idefics3", "smolvlm"])
def test_a_processor_has_the_same_fingerprint_when_made_again(name: str) -> None:
    first, second = (tiny_vlms.build(name).processor for _ in range(2))
    assert processor_fingerprint(first) == processor_fingerprint(second)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("image_mean", [0.5, 0.5, 0.5]),
        ("resample", 0),
        ("do_center_crop", False),
        ("size", {"shortest_edge": 33}),
    ],
)
def test_every_setting_of_the_images_counts_in_a_fingerprint(setting: str, value: Any) -> None:
    processor = tiny_vlms.build("llava_llama").processor
    other = copy.deepcopy(processor)
    setattr(other.image_processor, setting, value)
    assert processor_fingerprint(other) != processor_fingerprint(processor)


def test_the_backend_counts_in_a_fingerprint() -> None:
    processor = tiny_vlms.build("llava_llama").processor
    other = copy.deepcopy(processor)
    # both backends call themselves "CLIPImageProcessor" in their settings; only the class tells them apart
    other.image_processor.__class__ = type("CLIPImageProcessor", (type(processor.image_processor),), {})
    assert other.image_processor.to_dict() == processor.image_processor.to_dict()
    assert processor_fingerprint(other) != processor_fingerprint(processor)


def test_a_setting_of_the_processor_itself_counts_in_a_fingerprint() -> None:
    processor = tiny_vlms.build("idefics3").processor
    other = copy.deepcopy(processor)
    other.image_seq_len = 5
    assert processor_fingerprint(other) != processor_fingerprint(processor)


def test_the_code_version_names_the_layout_and_the_libraries() -> None:
    import torch
    import transformers

    assert torch.__version__ in code_version()
    assert transformers.__version__ in code_version()
    assert code_version().startswith("layout 1")
