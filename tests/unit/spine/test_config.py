"""A profile's mistake is one sentence that names the key, the value and what is allowed."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
import yaml

from spavl.config import Section
from spavl.config.root import Config
from spavl.errors import UserError
from spavl.profiles import load_config, shipped_profiles


def profile(tmp_path: Path, content: object) -> str:
    path = tmp_path / "mine.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return str(path)


@pytest.mark.parametrize("name", shipped_profiles())
def test_every_shipped_profile_loads(name: str) -> None:
    assert load_config(name).profile == name


def test_an_unknown_profile_names_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"no profile 'dmeo'.*demo"):
        load_config("dmeo")


def test_an_unknown_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"training.learning_rat is not a known key"):
        load_config(profile(tmp_path, {"training": {"learning_rat": 1}}))


def test_a_wrong_key_of_a_section_with_several_kinds_is_named_as_it_is_written(tmp_path: Path) -> None:
    launch = {"kind": "kubernetes", "imagse": {}}
    with pytest.raises(UserError, match=r": launch\.imagse is not a known key"):
        load_config(profile(tmp_path, {"launch": launch}))
    judge = {"kind": "vllm", "name": "judge", "path": "a/b", "revison": "1"}
    with pytest.raises(UserError, match=r": judgements\.judge\.revison is not a known key"):
        load_config(profile(tmp_path, {"judgements": {"judge": judge}}))
    with pytest.raises(UserError, match=r": judgements\.judge\.path: Field required"):
        load_config(profile(tmp_path, {"judgements": {"judge": {"kind": "vllm", "name": "judge"}}}))
    with pytest.raises(UserError, match=r": launch\.num_threads: "):
        load_config(profile(tmp_path, {"launch": {"num_threads": 0}}))


def test_a_value_out_of_range_is_shown(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"training.beta: Input should be greater than 0 \(seen: -1"):
        load_config(profile(tmp_path, {"training": {"beta": -1}}))


def test_broken_yaml_names_the_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is not YAML \(line 3\)"):
        load_config(profile(tmp_path, "training:\n  beta: [1,\n  }\n"))


def test_set_wins_over_the_profile_and_reaches_into_lists(tmp_path: Path) -> None:
    path = profile(
        tmp_path,
        {
            "training": {"beta": 0.2},
            "responses": {"models": [{"kind": "fake", "name": "a"}, {"kind": "fake", "name": "b"}]},
        },
    )
    config = load_config(path, ["training.beta=0.3", "responses.models.1.name=c", "dataset.test_share=0.5"])
    assert (config.training.beta, config.responses.models[1].name, config.dataset.test_share) == (
        0.3,
        "c",
        0.5,
    )


@pytest.mark.parametrize(
    "override", ["training.beta", "=1", "responses.models.7.name=x", "training.beta.deep=1", "nonsense.key=1"]
)
def test_a_malformed_override_is_refused(tmp_path: Path, override: str) -> None:
    path = profile(
        tmp_path, {"training": {"beta": 0.2}, "responses": {"models": [{"kind": "fake", "name": "a"}]}}
    )
    with pytest.raises(UserError):
        load_config(path, [override])


def test_two_models_with_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"responses\.models: .*the name 'a' is there twice"):
        load_config(
            profile(
                tmp_path,
                {"responses": {"models": [{"kind": "fake", "name": "a"}, {"kind": "fake", "name": "a"}]}},
            )
        )


def test_home_is_the_only_variable(tmp_path: Path, spavl_home: Path) -> None:
    path = profile(
        tmp_path,
        {"training": {"base": {"kind": "transformers", "name": "bold", "path": "${SPAVL_HOME}/m/${USER}"}}},
    )
    assert load_config(path).training.base.path == f"{spavl_home}/m/${{USER}}"


CLUSTER = {"kind": "kubernetes", "images": {"data": "registry.test/data:1"}}


@pytest.mark.parametrize(
    ("launch", "words"),
    [
        ({"images": {"data": "registry.test/data:latest"}}, "a tag other than latest"),
        ({"images": {"data": "registry.test:5000/data"}}, "a tag other than latest"),
        ({"cpu": {"cpu": "2", "cpu_limit": "500m"}}, "cpu_limit 500m is less than cpu 2"),
        ({"cpu": {"memory": "4 GB"}}, "launch.cpu.memory"),
        ({"cpu": {"tolerations": [{"key": "a", "value": "b"}]}}, "operator Exists has no value"),
        ({"cpu": {"tolerations": [{"operator": "Equal", "value": "b"}]}}, "needs a key"),
        ({"env": {"NOT A NAME": "x"}}, "launch.env"),
        ({"namespace": "Upper"}, "launch.namespace"),
    ],
    ids=str,
)
def test_what_kubernetes_would_refuse_is_refused_here(tmp_path: Path, launch: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        load_config(profile(tmp_path, {"launch": {**CLUSTER, **launch}}))


def test_pods_that_train_keep_their_defaults_where_others_are_set(tmp_path: Path) -> None:
    launch = load_config(profile(tmp_path, {"launch": {**CLUSTER, "training": {"num_gpus": 2}}})).launch
    assert (launch.training.memory, launch.training.grace_s, launch.num_training_processes) == (
        "16Gi",
        120,
        2,
    )
    assert (launch.cpu.memory, launch.cpu.grace_s) == ("4Gi", 60)


@pytest.mark.parametrize(
    "image", ["registry.test:5000/data:1.2", "data:1", "registry.test/a/b@sha256:" + "a" * 64, "x:latest@sha256:" + "a" * 64]
)  # fmt: skip
def test_an_image_has_a_tag_or_a_digest(tmp_path: Path, image: str) -> None:
    config = load_config(profile(tmp_path, {"launch": {**CLUSTER, "images": {"data": image}}}))
    assert config.launch.images.data == image


@pytest.mark.parametrize(
    "arg", ["--trust-remote-code", "--trust_remote_code", "--api-key=x", "--host", "--port=1"]
)
def test_a_server_runs_no_code_of_its_weights_and_holds_no_key(tmp_path: Path, arg: str) -> None:
    judge = {"kind": "vllm", "name": "judge", "path": "a/b", "revision": "1", "args": [arg]}
    with pytest.raises(UserError, match=f"'{arg.partition('=')[0]}' may not be among args"):
        load_config(profile(tmp_path, {"judgements": {"judge": judge}}))


def test_an_installation_fills_the_cluster_profile_in(tmp_path: Path) -> None:
    images = {"data": "registry.test/data:1", "training": "registry.test/training:1"}
    config = load_config(profile(tmp_path, {"extends": "cluster", "launch": {"images": images}}))
    assert config.launch.kind == "kubernetes" and config.launch.images.training == images["training"]
    assert config.launch.num_training_processes == 8 and config.training.loss == "sigmoid"


def sections_in(annotation: object) -> list[type]:
    """The sections that a field holds, inside unions and tuples too."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [section for part in get_args(annotation) for section in sections_in(part)]


def test_every_field_has_a_sentence() -> None:
    def undescribed(model: type[Section], where: str) -> list[str]:
        missing = []
        for name, field in model.model_fields.items():
            nested = sections_in(field.annotation)
            for section in nested:
                missing += undescribed(section, f"{where}{name}.")
            if not nested and not field.description and name != "kind":
                missing.append(where + name)
        return missing

    assert undescribed(Config, "") == []


def test_a_profile_says_only_what_differs_from_the_one_it_extends(tmp_path: Path) -> None:
    config = load_config(
        profile(tmp_path, {"extends": "demo", "training": {"beta": 0.3}, "images": {"sources": []}})
    )
    demo = load_config("demo")
    assert config.training == demo.training.model_copy(update={"beta": 0.3})
    assert config.images.sources == () and config.responses == demo.responses


def test_another_kind_of_model_replaces_the_old_one_whole(tmp_path: Path) -> None:
    config = load_config(
        profile(tmp_path, {"extends": "demo", "training": {"base": {"kind": "fake", "name": "x"}}})
    )
    assert config.training.base.kind == "fake" and config.training.base.name == "x"


def test_a_circle_of_profiles_is_refused(tmp_path: Path) -> None:
    path = profile(tmp_path, {"extends": str(tmp_path / "mine.yaml")})
    with pytest.raises(UserError, match="extends itself"):
        load_config(path)


@pytest.mark.parametrize("rate", [".inf", "1.0e+38", ".nan", "0"])
@pytest.mark.parametrize("section", ["reward", "training"])
def test_a_learning_rate_that_no_training_survives_is_refused(section: str, rate: str) -> None:
    with pytest.raises(UserError, match=f"{section}.learning_rate"):
        load_config("demo", [f"{section}.learning_rate={rate}"])
