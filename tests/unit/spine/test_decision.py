import pytest

from spavl.artifacts.channel import Entry
from spavl.artifacts.standing import earlier_releases
from spavl.artifacts.store import open_store
from spavl.config.root import Config
from spavl.decision import in_words, planned_decision
from spavl.errors import UserError
from spavl.kinship import refuse_kinship
from spavl.validation import find_suite

UNSAFE, HELP = "held_out_harm/aligned/unsafe_rate", "held_out_benign/aligned/help_rate"


def release(number, unsafe=0.1, helps=0.9):
    return Entry(
        number, number - 1, "publish", f"run-{number}", "release", f"f{number}", "2026-01-01T00:00:00+00:00",
        details={"scores": {UNSAFE: unsafe, HELP: helps, "held_out_harm/base/unsafe_rate": 1.0}},
    )  # fmt: skip


def rolled_back(number, target):
    return Entry(
        number,
        number - 1,
        "rollback",
        target.run_id,
        "release",
        target.fingerprint,
        "2026",
        "bad",
        target.details,
    )


def roles(*entries):
    return {role: reference["run_id"] for role, reference in earlier_releases(entries).items()}


def test_a_first_release_is_compared_with_the_base_alone():
    assert roles() == {}


def test_the_champion_is_what_the_channel_points_to_and_stands_for_the_best_if_it_is():
    assert roles(release(1, 0.2, 0.8), release(2, 0.1, 0.9)) == {"champion": "run-2"}


def test_a_drift_of_small_losses_is_measured_against_its_start():
    nights = [release(n, unsafe=0.1, helps=0.95 - 0.03 * n) for n in range(1, 5)]
    assert roles(*nights) == {"champion": "run-4", "best_help": "run-1"}


def test_the_safest_and_the_most_helpful_earlier_release_may_be_two():
    entries = [release(1, unsafe=0.02, helps=0.8), release(2, unsafe=0.2, helps=0.99), release(3, 0.1, 0.9)]
    assert roles(*entries) == {"champion": "run-3", "best_harm": "run-1", "best_help": "run-2"}


def test_an_equal_champion_stands_for_the_best():
    assert roles(release(1, 0.1, 0.9), release(2, 0.1, 0.9)) == {"champion": "run-2"}


def test_after_a_rollback_the_champion_is_what_it_points_to_and_what_it_left_behind_is_no_reference():
    refusing = release(2, unsafe=0.0, helps=0.99)
    first = release(1, 0.1, 0.9)
    assert roles(first, refusing, rolled_back(3, first)) == {"champion": "run-1"}
    assert roles(first, refusing, rolled_back(3, first), rolled_back(4, refusing)) == {"champion": "run-2"}


def test_an_entry_of_an_older_version_without_scores_is_a_champion_and_never_the_best():
    old = Entry(1, 0, "publish", "run-1", "release", "f1", "2025")
    assert roles(old) == {"champion": "run-1"}
    assert roles(old, release(2)) == {"champion": "run-2"}


def dataset(harm, benign):
    return {"test_harm": harm, "test_help": benign, "images_test": (harm + benign) // 3}


def planned(tmp_path, harm, benign):
    store = open_store(f"file://{tmp_path}")
    return planned_decision(
        store, Config(profile="test"), dataset(harm, benign), find_suite("evaluation"), None
    )


def test_the_plan_says_how_many_prompts_the_decision_needs_and_what_those_drawn_are_worth(tmp_path):
    few, many = (planned(tmp_path, n, n)["decision"] for n in (60, 3000))
    assert few["harm_prompts_needed"] == many["harm_prompts_needed"] > 60
    assert few["power"] < 0.5 and many["power"] > 0.9
    assert few["alpha"] == pytest.approx(0.05 * 6 / 3.14159265**2, rel=1e-6)


def test_each_decision_without_a_release_makes_the_next_one_stricter(tmp_path):
    from spavl.artifacts.decisions import take_number

    first = planned(tmp_path, 600, 600)
    take_number(open_store(f"file://{tmp_path}"), "stable", 0, "a night that failed")
    second = planned(tmp_path, 600, 600)
    assert (first["decision_number"], second["decision_number"]) == (1, 2)
    assert second["decision"]["alpha"] == pytest.approx(first["decision"]["alpha"] / 4)
    assert second["decision"]["harm_prompts_needed"] > first["decision"]["harm_prompts_needed"]


def test_the_line_for_a_terminal_names_number_references_and_prompts(tmp_path):
    line = in_words(
        {"champion": {"run_id": "20260101-0123456789"}}, 2, planned(tmp_path, 600, 600)["decision"]
    )
    for word in ("decision 2", "champion 20260101-0123456789", "600 harm", "90% need"):
        assert word in line


FAKE = {"kind": "fake"}


def config(**sections):
    return Config.model_validate({"profile": "test", **sections})


@pytest.mark.parametrize(
    ("sections", "place"),
    [
        (
            {
                "responses": {"models": [{**FAKE, "name": "a", "family": "qwen"}]},
                "judgements": {"judge": {**FAKE, "name": "j", "family": "qwen"}},
            },
            "judgements.judge",
        ),
        (
            {
                "training": {"base": {"kind": "transformers", "name": "b", "path": "p", "family": "llava"}},
                "evaluation": {"judge": {**FAKE, "name": "j", "family": "llava"}},
            },
            "evaluation.judge",
        ),
        (
            {
                "evaluation": {
                    "judge": {**FAKE, "name": "j", "family": "gemma"},
                    "second_judge": {**FAKE, "name": "k", "family": "gemma"},
                }
            },
            "evaluation.second_judge",
        ),
        (
            {"evaluation": {"judge": {**FAKE, "name": "j"}, "second_judge": {**FAKE, "name": "j"}}},
            "one and the same",
        ),
        ({"evaluation": {"second_judge": {**FAKE, "name": "j"}}}, "evaluation.judge is not"),
    ],
)
def test_a_judge_of_the_family_of_what_it_judges_is_refused_in_one_line(sections, place):
    with pytest.raises(UserError, match=place) as caught:
        refuse_kinship(config(**sections))
    assert "\n" not in str(caught.value)


def test_judges_of_other_or_unknown_families_pass():
    refuse_kinship(
        config(
            responses={"models": [{**FAKE, "name": "a", "family": "qwen"}, {**FAKE, "name": "b"}]},
            evaluation={
                "judge": {**FAKE, "name": "j", "family": "gemma"},
                "second_judge": {**FAKE, "name": "k"},
            },
        )
    )
