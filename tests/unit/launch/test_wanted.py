"""The same work wants the same object, however often and wherever it is asked for."""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.cluster_plan import UNITS, cluster_plan

from spavl.launch.wanted import spec_hash, wanted

NOW, LATER = "2026-01-01T00:00:00+00:00", "2026-01-01T00:01:00+00:00"


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: "-".join(map(str, unit)))
def test_tries_differ_in_name_generation_owner_and_time_only(unit: tuple) -> None:
    want = wanted(cluster_plan(), *unit)
    first, second = want.named(1, "try-1", NOW), want.named(2, "try-2", LATER)
    assert first["metadata"]["name"] == f"{want.base_name}-1"
    assert second["metadata"]["name"] == f"{want.base_name}-2"
    assert first["metadata"]["annotations"]["spavl.dev/spec-hash"] == want.spec_hash
    for made, generation, owner, seen_at in ((first, "1", "try-1", NOW), (second, "2", "try-2", LATER)):
        del made["metadata"]["name"]
        annotations = made["metadata"]["annotations"]
        assert annotations.pop("spavl.dev/generation") == generation
        assert annotations.pop("spavl.dev/owner") == owner
        assert annotations.pop("spavl.dev/seen-at") == seen_at
    assert first == second == want.manifest


def test_naming_an_object_leaves_what_is_wanted_as_it_was() -> None:
    want = wanted(cluster_plan(), "images", "seal")
    before = copy.deepcopy(want.manifest)
    want.named(1, "try-1", NOW)["spec"]["template"]["spec"]["containers"].clear()
    assert want.manifest == before


def test_a_hash_is_the_same_in_another_process() -> None:
    code = "from tests.cluster_plan import cluster_plan\nfrom spavl.launch.wanted import wanted\nprint(wanted(cluster_plan(), 'responses', 'work', 'served', 3).spec_hash)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7", "PYTHONPATH": ":".join(filter(None, sys.path))})  # fmt: skip
    assert told.stdout.strip() == wanted(cluster_plan(), "responses", "work", "served", 3).spec_hash


@pytest.mark.parametrize(
    "launch",
    [
        {"inference": {"cpu": "2"}},
        {"inference": {"tolerations": [{"key": "gpu"}]}},
        {"inference": {"queue": "nightly"}},
        {"env": {"SPAVL_STORE": "s3://bucket/other"}},
        {"images": {"data": "registry.test/data:2"}},
        {"num_retries": 0},
        {"timeout_s": 3600},
        {"secrets": ["s3"]},
        {"namespace": "other"},
    ],
    ids=str,
)
def test_another_spec_is_another_hash_under_the_same_base_name(launch: dict[str, Any]) -> None:
    unit = ("judgements", "work", "judge", 4)
    before, after = wanted(cluster_plan(), *unit), wanted(cluster_plan(launch), *unit)
    assert before.base_name == after.base_name and before.spec_hash != after.spec_hash


leaves = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.text(max_size=3), inner, max_size=3) | st.lists(inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None, max_examples=40)
@given(st.dictionaries(st.text(max_size=3), leaves, max_size=4))
def test_the_order_of_keys_is_nothing_and_any_value_is_something(spec: dict[str, Any]) -> None:
    manifest = {"kind": "Job", "spec": spec}
    assert spec_hash(dict(reversed(manifest.items()))) == spec_hash(manifest)
    assert spec_hash({**manifest, "spec": {**spec, "added": 1}}) != spec_hash(manifest)


def test_a_wanted_tells_what_to_watch() -> None:
    job = wanted(cluster_plan({"inference": {"queue": "nightly"}}), "judgements", "work", "judge", 4)
    assert (job.kind, job.namespace, job.num_shards, job.container, job.queue) == ("Job", "spavl", 4, "spavl", "nightly")  # fmt: skip
    train = wanted(cluster_plan({"trainjob": {}, "namespace": "nights"}), "training", "work", "dpo")
    assert (train.kind, train.namespace, train.num_shards, train.container, train.queue) == ("TrainJob", "nights", 1, "node", None)  # fmt: skip


def test_only_the_work_of_a_training_is_a_trainjob() -> None:
    plan = cluster_plan({"trainjob": {}})
    assert wanted(plan, "training", "prepare").kind == wanted(plan, "training", "seal").kind == "Job"
    assert wanted(plan, "judgements", "work", "judge").kind == "Job"


def test_a_training_of_several_shards_is_a_bug() -> None:
    with pytest.raises(ValueError, match="one shard"):
        wanted(cluster_plan(), "training", "work", "dpo", 2)
