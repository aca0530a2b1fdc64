"""The forms refuse what the command line would refuse, before a run exists."""

import copy

import pytest

BAD = [
    ("align_model", "method", "ppo2"),
    ("align_model", "dataset_version", "latest"),
    ("align_model", "dataset_version", "20261123-../../etc"),
    ("align_model", "channel", "Stable/../x"),
    ("align_model", "base_model", ""),
    ("align_model", "overrides", ["no equals sign"]),
    ("align_model", "overrides", "training.beta=0.1"),
    ("refresh_preferences", "profile", ""),
    ("refresh_preferences", "overrides", ["--flag=1"]),
    ("rollback_release", "to", 0),
    ("rollback_release", "to", "two"),
    ("rollback_release", "channel", "a b"),
    ("rollback_release", "reason", "x"),
]
GOOD = [
    ("align_model", "dataset_version", "20261123-0123456789"),
    ("align_model", "channel", "candidate"),
    ("align_model", "overrides", ["training.beta=0.2", "reuse.max_runs=0"]),
    ("refresh_preferences", "profile", "cluster"),
    ("rollback_release", "to", 3),
    ("rollback_release", "reason", "helps less than the former one"),
]


def validated(bag, dag_id: str, name: str, value: object) -> object:
    params = copy.deepcopy(bag.dags[dag_id].params)
    params[name] = value
    return params.get_param(name).resolve()


@pytest.mark.parametrize(("dag_id", "name", "value"), BAD)
def test_a_form_refuses(bag, dag_id, name, value):
    from airflow.sdk.exceptions import ParamValidationError

    with pytest.raises(ParamValidationError):
        validated(bag, dag_id, name, value)


@pytest.mark.parametrize(("dag_id", "name", "value"), GOOD)
def test_a_form_takes(bag, dag_id, name, value):
    assert validated(bag, dag_id, name, value) == value


def test_scheduled_dags_have_a_default_for_every_field(bag):
    for dag_id in ("refresh_preferences", "align_model"):
        assert bag.dags[dag_id].params.validate()


def test_a_rollback_needs_a_reason(bag):
    from airflow.sdk.exceptions import ParamValidationError

    with pytest.raises(ParamValidationError):
        bag.dags["rollback_release"].params.validate()
