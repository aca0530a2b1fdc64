"""Each step gets the image, the pod and the models that it needs, and nothing more."""

from __future__ import annotations

import pytest
from tests.cluster_plan import BASE, IMAGES, JUDGE, cluster_config, cluster_plan

from spavl.errors import UserError
from spavl.launch.needs import images_used, needs
from spavl.launch.wanted import wanted
from spavl.pipeline import DAGS, STAGES

PODS = {"cpu": {"cpu": "1"}, "inference": {"cpu": "2"}, "training": {"cpu": "3"}}


@pytest.mark.parametrize(
    ("stage", "group", "image", "cpu", "server"),
    [
        ("images", "drawings", "data", "1", None),
        ("questions", "writer", "data", "2", None),
        ("questions", "source", "data", "1", None),
        ("responses", "fake", "data", "2", None),
        ("responses", "local", "training", "2", None),
        ("responses", "served", "data", "2", "served"),
        ("judgements", "judge", "data", "2", "judge"),
        ("comparisons", "judge", "data", "2", "judge"),
        ("evaluation", "base", "training", "2", "judge"),
        ("evaluation", "aligned", "training", "2", "judge"),
        ("benchmarks", "base", "training", "2", "judge"),
        ("benchmarks", "aligned", "training", "2", "judge"),
        ("reward", "reward", "training", "3", None),
        ("training", "dpo", "training", "3", None),
    ],
)
def test_work_gets_its_image_its_pod_and_its_server(
    stage: str, group: str, image: str, cpu: str, server: str | None
) -> None:
    found = needs(cluster_config(PODS), stage, "work", group)
    assert (found.image, found.pod.cpu) == (IMAGES[image], cpu)
    assert (found.server.name if found.server else None) == server
    assert found.runs_model == (image == "training")


@pytest.mark.parametrize("step", ["prepare", "seal"])
@pytest.mark.parametrize("stage", [stage.name for stage in STAGES])
def test_tables_are_read_and_written_without_models(stage: str, step: str) -> None:
    found = needs(cluster_config(PODS), stage, step, None)
    image = (
        "training" if (stage, step) == ("benchmarks", "prepare") else "data"
    )  # it asks for packages' versions
    assert (found.image, found.pod.cpu, found.server, found.runs_model) == (IMAGES[image], "1", None, False)


def test_a_generator_that_vllm_serves_is_not_started_for_provided_questions() -> None:
    config = cluster_config(questions={"generator": {**JUDGE, "name": "writer"}})
    assert needs(config, "questions", "work", "writer").server is not None
    assert needs(config, "questions", "work", "source").server is None


def test_two_judges_that_vllm_would_serve_in_one_pod_are_refused() -> None:
    two = {"judge": JUDGE, "second_judge": {**JUDGE, "name": "other"}}
    with pytest.raises(UserError, match="two vLLM servers: judge and other"):
        needs(cluster_config(evaluation=two), "evaluation", "work", "aligned")
    elsewhere = {
        "kind": "endpoint",
        "name": "other",
        "model": "m",
        "revision": "1",
        "base_url": "http://s/v1",
    }
    found = needs(
        cluster_config(evaluation={**two, "second_judge": elsewhere}), "evaluation", "work", "aligned"
    )
    assert found.server is not None and found.server.name == "judge"


def test_a_plan_needs_only_the_images_of_its_stages() -> None:
    config = cluster_config({"images": {**IMAGES, "vllm": "registry.test/vllm@sha256:" + "a" * 64}})
    assert images_used(config, ("images", "preferences")) == {"registry.test/data:1": ""}
    assert images_used(config, DAGS["align_model"]) == {
        "registry.test/data:1": "",
        "registry.test/training:1": "",
        "registry.test/vllm@sha256:" + "a" * 64: "sha256:" + "a" * 64,
    }


def test_an_image_that_is_missing_is_named_with_the_remedy() -> None:
    config = cluster_config({"images": {"data": IMAGES["data"]}})
    with pytest.raises(UserError, match=r"launch.images.training is not set.*make images"):
        images_used(config, DAGS["align_model"])
    with pytest.raises(UserError, match=r"launch.images.data is not set"):
        needs(cluster_config({"images": {}}), "images", "seal", None)


def test_a_run_that_was_planned_for_a_laptop_has_no_objects() -> None:
    plan = cluster_plan()
    plan.config["launch"] = {"kind": "local"}
    with pytest.raises(UserError, match=r"launch.kind 'local'"):
        wanted(plan, "images", "seal")


def test_a_base_model_needs_no_image_where_nothing_is_evaluated() -> None:
    config = cluster_config({"images": {"data": IMAGES["data"]}}, training={"base": BASE}, responses={})
    assert set(images_used(config, DAGS["refresh_preferences"])) == {
        IMAGES["data"],
        config.launch.images.vllm,
    }
