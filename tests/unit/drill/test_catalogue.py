"""The catalogue: names, families, what is touched, and the settings that a poison turns into."""

from __future__ import annotations

import json

import pytest

from spavl.config.root import Config
from spavl.drill.catalogue import catalogue, chosen
from spavl.drill.changes import Model, Setting, Weights, first_stage, overrides
from spavl.drill.honest import honest_poison
from spavl.drill.impossible import Impossible
from spavl.drill.poison import FAMILIES
from spavl.errors import UserError
from spavl.inference.poisons import POISONS

CONFIG = {
    "judgements": {"judge": {"kind": "demo_rules", "name": "demo-rules"}},
    "responses": {
        "models": [{"kind": "fake", "name": "bold"}, {"kind": "fake", "name": "wary"}],
    },
    "training": {"base": {"kind": "transformers", "name": "bold", "path": "/models/bold"}},
}


def test_the_catalogue_has_more_than_forty_poisons_with_names_of_their_own() -> None:
    names = [poison.name for poison in catalogue()]
    assert len(names) == len(set(names)) >= 40
    assert {poison.family for poison in catalogue()} == set(FAMILIES)
    assert all(poison.says.endswith(".") and poison.changes for poison in catalogue())


def test_every_model_poison_is_a_word_that_the_seam_knows() -> None:
    words = {
        change.terms["poison"]
        for poison in catalogue()
        for change in poison.changes
        if isinstance(change, Model)
    }
    assert words <= POISONS.keys()


def test_every_poison_of_the_catalogue_gives_settings_that_the_profile_takes() -> None:
    from spavl.profiles import load_config

    config = load_config("demo").model_dump(mode="json")
    config["released"] = config["training"]["base"]
    for poison in catalogue():
        made = load_config("demo", overrides(poison.changes, config, night=2))
        assert isinstance(made, Config)


def test_a_poison_starts_at_the_first_stage_that_it_touches() -> None:
    changes = [Model("aligned", {"poison": "echoes"}), Model("judgements.judge", {"poison": "safe"})]
    assert first_stage(changes) == "judgements"
    assert first_stage([Setting("reuse.max_runs=0"), Weights("base")]) == "training"
    assert honest_poison(3).first_stage == "images"


def test_a_judge_is_wrapped_under_another_name_and_an_answerer_keeps_its_own() -> None:
    made = overrides([Model("judgements.judge", {"poison": "safe"})], CONFIG)
    assert made == [
        'judgements.judge={"kind": "poisoned", "name": "poisoned-judgements", '
        '"model": {"kind": "demo_rules", "name": "demo-rules"}, "poison": "safe"}'
    ]
    (text,) = overrides([Model("responses.models", {"poison": "echoes"}, only="1")], CONFIG)
    models = json.loads(text.partition("=")[2])
    assert [(spec["kind"], spec["name"]) for spec in models] == [("fake", "bold"), ("poisoned", "wary")]


def test_a_drift_grows_by_the_night_and_the_champion_is_one_night_behind() -> None:
    changes = [Model("aligned", {"poison": "echoes"}, per_night=0.03), Model("champion", {"poison": "echoes"}, per_night=0.03, lag=1)]  # fmt: skip
    shares = [json.loads(overrides(changes, CONFIG, night)[0].partition("=")[2]) for night in (1, 3)]
    assert shares[0] == {"aligned": {"poison": "echoes", "share": 0.03}}
    assert {role: terms["share"] for role, terms in shares[1].items()} == {"aligned": 0.09, "champion": 0.06}


def test_a_setting_may_name_a_model_of_the_night() -> None:
    (made,) = overrides([Setting("training.base=@wary")], CONFIG)
    assert json.loads(made.partition("=")[2]) == {"kind": "fake", "name": "wary"}
    with pytest.raises(Impossible, match="no model 'timid'"):
        overrides([Setting("training.base=@timid")], CONFIG)


def test_a_poison_of_the_first_night_is_the_same_change_before_anything_was_published() -> None:
    later, first = chosen(["labels-permuted", "labels-permuted-first-night"])
    assert (later.is_first_night, first.is_first_night) == (False, True)
    assert later.changes is first.changes and first.says.endswith(", on the first night.")


def test_poisons_are_chosen_by_name_family_and_price() -> None:
    assert [poison.name for poison in chosen(["pairs-leaf"])] == ["pairs-leaf"]
    assert {poison.family for poison in chosen(families=["pairs"])} == {"pairs"}
    cheap = chosen(only_cheap=True)
    assert "candidate-is-base" in {poison.name for poison in cheap}
    assert not {"training-does-nothing", "labels-permuted"} & {poison.name for poison in cheap}
    with pytest.raises(UserError, match="no poison 'pears'"):
        chosen(["pears"])
