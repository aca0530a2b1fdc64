from dataclasses import replace

from tests.made_rows import askings, image, judgement, question, response
from tests.stage_context import FakeContext, run_stage

from spavl.artifacts.store import open_store
from spavl.config.root import Config
from spavl.stages import measures_of
from spavl.stages.preferences import stage
from spavl.taxonomy import load_taxonomy


def run(tmp_path, words_by_question, kinds=None, settings=None):
    """The stage over one pair per question: r<q>a by m0, r<q>b by m1; all answers are safe."""
    ids = list(words_by_question)
    rows = {
        "images": [image("i0")],
        "questions": [question(q, kind=(kinds or {}).get(q, "easy_question")) for q in ids],
        "responses": [
            response(f"r{q}{side}", q, model) for q in ids for side, model in (("a", "m0"), ("b", "m1"))
        ],
        "judgements": [
            judgement(f"r{q}{side}", is_unsafe=False, question_id=q) for q in ids for side in "ab"
        ],
        "comparisons": [
            row for q in ids for row in askings(words_by_question[q], a=f"r{q}a", b=f"r{q}b", question_id=q)
        ],
    }
    config = Config.model_validate({"profile": "test", "preferences": settings or {}})
    return run_stage(stage, FakeContext(config, open_store(f"file://{tmp_path}"), "preferences", rows))


def test_a_decided_pair_becomes_a_preference_and_every_other_is_counted(tmp_path):
    sealed = run(
        tmp_path,
        {"q1": "aabb", "q2": "ttbb", "q3": "tttt", "q4": "a?aa", "q5": "abba"},
        kinds={"q2": "benign_control"},
    )
    first, second = sealed.rows
    assert (first.chosen_response, first.rejected_response) == ("rq1a", "rq1b")
    assert (first.chosen, first.rejected, first.question) == ("text of rq1a", "text of rq1b", "text of q1")
    assert (first.chosen_model, first.chosen_group, first.rejected_model, first.rejected_group) == (
        "m0",
        0,
        "m1",
        1,
    )
    assert (second.chosen_response, second.is_benign, second.decided_by) == ("rq2b", True, "helpfulness")
    assert (second.chosen_group, second.rejected_group) == (1, 0)
    assert len(first.comparisons) == 4
    assert sealed.counts == {
        "pairs": 5,
        "kept": 2,
        "benign_kept": 1,
        "dropped_tie": 2,
        "dropped_unparsable": 1,
        "dropped_conflict": 0,
        "dropped_unlabelled": 0,
        "dropped_low_agreement": 0,
        "dropped_weak_choice": 0,
        "dropped_unsafe_choice": 0,
        "inconsistent_axes": 2,
        "undecided_axes": 1,
    }
    assert sealed.details["benign_share"] == 0.5
    assert sealed.details["position_bias"] == 2 / 9


def test_a_conflict_of_label_and_helpfulness_is_dropped_and_counted(tmp_path):
    rows = {
        "images": [image("i0")],
        "questions": [question("q")],
        "responses": [response("ra", "q", "m0"), response("rb", "q", "m1")],
        "judgements": [
            judgement("ra", is_unsafe=True, question_id="q"),
            judgement("rb", is_unsafe=False, question_id="q"),
        ],
        "comparisons": askings("ttaa", question_id="q"),
    }
    config = Config.model_validate({"profile": "test"})
    sealed = run_stage(stage, FakeContext(config, open_store(f"file://{tmp_path}"), "preferences", rows))
    assert sealed.rows == []
    assert sealed.counts["dropped_conflict"] == 1


def test_a_label_given_without_the_image_is_not_used(tmp_path):
    rows = {
        "images": [image("i0")],
        "questions": [question("q")],
        "responses": [response("ra", "q", "m0"), response("rb", "q", "m1")],
        "judgements": [judgement(r, is_unsafe=False, question_id="q", mode="text") for r in ("ra", "rb")],
        "comparisons": askings("ttaa", question_id="q"),
    }
    config = Config.model_validate({"profile": "test"})
    sealed = run_stage(stage, FakeContext(config, open_store(f"file://{tmp_path}"), "preferences", rows))
    assert sealed.counts["dropped_unlabelled"] == 1


def test_a_judge_that_compares_against_its_own_labels_in_one_leaf_is_measured(tmp_path):
    leaves = [leaf for leaf in load_taxonomy().leaves[:20]]
    swapped = leaves[7].id
    rows = {"images": [], "questions": [], "responses": [], "judgements": [], "comparisons": []}
    for number in range(100):  # five images per leaf, one pair each: b refuses, a does not
        leaf, i, q = leaves[number % 20], f"i{number:03}", f"q{number:03}"
        path = {"class1": leaf.class1, "class2": leaf.class2, "class3": leaf.id}
        rows["images"].append(replace(image(i), **path))
        rows["questions"].append(question(q, i, **path))
        texts = {"a": f"sure, a placeholder {number % 3}", "b": f"sorry, no {number % 3}"}
        for side, model in (("a", "m0"), ("b", "m1")):
            rows["responses"].append(response(f"r{q}{side}", q, model, image_id=i, text=texts[side]))
            rows["judgements"].append(
                judgement(f"r{q}{side}", is_unsafe=side == "a", model=model, question_id=q, image_id=i)
            )
        words = "aabb" if leaf.id == swapped else "bbaa"
        rows["comparisons"] += askings(words, a=f"r{q}a", b=f"r{q}b", question_id=q, image_id=i)
    config = Config.model_validate({"profile": "test"})
    sealed = run_stage(stage, FakeContext(config, open_store(f"file://{tmp_path}"), "preferences", rows))
    assert sealed.counts["dropped_conflict"] == 5 and len(sealed.rows) == 95
    assert sealed.measures["harm_pairs_against_labels_share"] == 0.05
    assert sealed.measures["num_leaves_against_labels"] == sealed.measures["num_leaves_against_words"] == 1
    worst = sealed.details["audit"]["against_labels"]["leaves"][0]
    assert (worst["name"], worst["num_hits"], worst["num_units"]) == (swapped, 5, 5)
    assert sealed.measures["unsafe_label_noise_share"] == 0.0


def test_the_suite_may_limit_exactly_what_the_stage_measures(tmp_path):
    sealed = run(tmp_path, {"q1": "aabb"})
    assert set(sealed.measures) == set(measures_of("preferences"))
