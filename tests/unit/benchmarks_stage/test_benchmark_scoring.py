"""Results of samples become shares with intervals by cluster; the change is paired, and nothing is scored by default."""

import dataclasses

from spavl.stages.benchmarks.reading import SampleResult, from_json, to_json
from spavl.stages.benchmarks.rows import BenchmarkRun
from spavl.stages.benchmarks.scoring import in_train, score_runs


def run(model, hits, *, benchmark="b", family="attack", contents=(), metric="unsafe_rate"):
    results = [SampleResult(f"s{i}", f"image {i}", {metric: hit}, contents) for i, hit in enumerate(hits)]
    return BenchmarkRun(
        id=f"{benchmark}/{model}", benchmark=benchmark, family=family, task="spavl/b", model=model, model_revision=f"{model}-1", judge="j",
        judge_revision="1", log=f"logs/{model}.eval", num_samples=len(hits), num_errors=0, samples=to_json(results), outcome="ok",
    )  # fmt: skip


def scores(*runs):
    return {score.id: score for score in score_runs(runs)}


def test_results_come_back_from_json_as_they_were():
    result = SampleResult("s", "c", {"a": True, "b": None}, ("x",))
    assert from_json(to_json([result])) == [result]


def test_a_rate_is_the_share_of_hits_and_the_change_is_paired_by_sample():
    found = scores(run("base", [True, True, True, False]), run("aligned", [True, False, False, False]))
    assert found["b/base/unsafe_rate"].value == 0.75
    assert found["b/aligned/unsafe_rate"].value == 0.25
    change = found["b/change/unsafe_rate"]
    assert (change.value, change.n, change.model_revision) == (-0.5, 4, "base-1..aligned-1")
    assert change.low < -0.5 < change.high
    assert "b/change_from_champion/unsafe_rate" not in found


def test_a_sample_without_a_value_is_left_out_and_n_says_so():
    found = scores(run("base", [True, None, True]), run("aligned", [None, None, False]))
    assert (found["b/base/unsafe_rate"].n, found["b/aligned/unsafe_rate"].n) == (2, 1)
    assert (found["b/change/unsafe_rate"].n, found["b/change/unsafe_rate"].value) == (1, -1.0)
    assert "b/aligned/unsafe_rate" not in scores(run("aligned", [None, None]))


def test_the_champion_is_compared_beside_the_base():
    found = scores(
        run("base", [True] * 3), run("aligned", [False] * 3), run("champion", [True, False, False])
    )
    assert found["b/change_from_champion/unsafe_rate"].value == -1 / 3
    assert found["b/champion/unsafe_rate"].model_revision == "champion-1"


def test_samples_of_one_image_are_one_cluster():
    alone = run("aligned", [True, False] * 10)
    results = [dataclasses.replace(result, cluster=f"image {number // 10}") for number, result in enumerate(from_json(alone.samples))]  # fmt: skip
    together = dataclasses.replace(alone, samples=to_json(results))
    one, other = scores(alone)["b/aligned/unsafe_rate"], scores(together)["b/aligned/unsafe_rate"]
    assert one.value == other.value == 0.5
    assert other.high - other.low > one.high - one.low


def test_an_attack_whose_content_stands_in_train_is_found_and_a_capability_may_stand_there():
    attack = run("aligned", [True, False], contents=("known", "new"))
    skill = run("aligned", [True], benchmark="c", family="capability", contents=("known",))
    assert in_train([attack, skill], {"known"}) == {("b", "s0"), ("b", "s1")}
    assert in_train([attack], {"other"}) == set()
