"""A gold set is refused, in one line, wherever it contradicts itself."""

import pytest
from tests.made_rows import png

from spavl.errors import UserError
from spavl.judging.behaviours import BEHAVIOURS
from spavl.judging.gold_formats import write_csv
from spavl.judging.gold_set import SHIPPED, GoldRow, check_gold_set, check_rows, load_gold_set, read_gold_set
from spavl.stages.judgements.config import GoldConfig

LABELS = {
    "known_refusal": (False, True, None),
    "known_unsafe": (True, False, None),
    "refusal_then_complies": (True, False, None),
    "speaks_to_judge": (True, False, None),
    "garbage": (False, False, False),
    "helpful_benign": (False, False, True),
    "over_refusal": (False, True, False),
}


def row(id="i1", behaviour="known_refusal", **more):
    values = dict(zip(("is_unsafe", "is_refusal", "helpful"), LABELS[behaviour], strict=True))
    return GoldRow(**{"id": id, "behaviour": behaviour, "response": f"words of {id}", **values, **more})


def whole_set(**more):
    return [row(f"{name}-1", name, **more) for name in BEHAVIOURS]


def written(folder, rows):
    path = folder / "gold.csv"
    path.write_bytes(write_csv(rows))
    return str(path)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_set_has_every_behaviour_and_contradicts_nothing(name):
    found = read_gold_set(name)
    assert {each.behaviour for each in found.rows} == set(BEHAVIOURS)
    check_gold_set(GoldConfig(set=name))


@pytest.mark.parametrize("language", ["en", "de", "es", "fr", "zh"])
def test_the_placeholder_set_has_every_behaviour_in_every_language(language):
    found = load_gold_set(GoldConfig(languages=(language,)))
    assert {each.behaviour for each in found.rows} == set(BEHAVIOURS)
    assert {each.language for each in found.rows} == {language}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_answer_that_complies_with_harm_holds_a_placeholder_and_no_content(name):
    words = ("PLACEHOLDER", "PLATZHALTER", "MARCADOR", "SUBSTITUT", "占位")
    unsafe = [each for each in read_gold_set(name).rows if each.is_unsafe]
    assert unsafe
    assert all(any(word in each.response for word in words) for each in unsafe)


def test_a_csv_is_read_as_it_was_written(tmp_path):
    rows = [*whole_set(), row("own", "known_unsafe", class3="theft", question='"a", b?', language="de")]
    assert list(read_gold_set(written(tmp_path, rows)).rows) == rows


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "has no items"),
        ([row("a"), row("a", response="other")], "id that is empty or there twice"),
        ([row("")], "id that is empty or there twice"),
        ([row("a", is_unsafe=True)], "'a' is known_refusal and says is_unsafe: yes"),
        ([row("a", is_refusal=False)], "'a' is known_refusal and says is_refusal: no"),
        ([row("a", "helpful_benign", helpful=False)], "says helpful: no"),
        ([row("a", class3="benign")], "'a' is known_refusal and of class 'benign'"),
        ([row("a", "over_refusal", class3="theft")], "'a' is over_refusal and of class 'theft'"),
        ([row("a", class3="no_such_leaf")], "'no_such_leaf' is not a leaf id"),
        ([row("a", response="")], "has no response"),
        ([row("a", response="shows {picture}")], "braces that mean nothing"),
        ([row("a", response="shows {")], "braces that mean nothing"),
        ([row("a", image="a.png")], "has an image and no question"),
        ([row("a", question="what?")], "a question of its own and no class3"),
        ([row("a", "garbage", question="what?")], "a question of its own and no class3"),
        (
            [
                row("a", "known_unsafe", response="same", question="q", class3="theft"),
                row("b", "garbage", response="same", question="q", class3="theft"),
            ],
            "'b' has the question, response and image of item 'a' and other labels",
        ),
        (
            [row("a", "known_unsafe", response="same"), row("b", "known_refusal", response="same")],
            "'b' has the question, response and image of item 'a' and other labels",
        ),
    ],
)
def test_a_contradiction_is_one_line_with_a_remedy(rows, message):
    with pytest.raises(UserError, match=message) as caught:
        check_rows(rows, "made.csv")
    assert caught.value.next_step and "\n" not in str(caught.value)


def test_an_unknown_behaviour_is_refused():
    unknown = GoldRow("a", "sarcasm", "words", False, False, None)
    with pytest.raises(UserError, match="behaviour 'sarcasm'"):
        check_rows([unknown], "made.csv")


def test_the_same_words_may_decline_a_harmful_and_a_harmless_request():
    rows = [row("a", "known_refusal", response="no."), row("b", "over_refusal", response="no.")]
    assert len(check_rows(rows, "made.csv")) == 2


def test_a_free_label_is_no_contradiction():
    assert check_rows([row("a", "known_unsafe", is_refusal=None)], "made.csv")[0].is_refusal is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,behaviour\na,b\n", "lacks 'helpful'"),
        ("id,behaviour,response,is_unsafe,is_refusal,helpful,colour\n", "has 'colour'"),
        (
            "id,behaviour,response,is_unsafe,is_refusal,helpful\na,known_refusal,no\n",
            "row 2 has another number",
        ),
        ("id,behaviour,response,is_unsafe,is_refusal,helpful\na,known_refusal,no,maybe,yes,\n", "is 'maybe'"),
        (
            "id,behaviour,response,is_unsafe,is_refusal,helpful\na,known_refusal,no,,yes,\n",
            "is_unsafe of item 'a' is ''",
        ),
        ('id,behaviour,response,is_unsafe,is_refusal,helpful\na,known_refusal,"no', "not a CSV"),
    ],
)
def test_a_csv_in_another_layout_is_one_line(tmp_path, text, message):
    path = tmp_path / "gold.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_gold_set(str(path))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", "judgements.gold.set is 'nothing'"),
        ("missing.csv", "is not there"),
        ("https://example.org/gold.csv", "nothing is fetched from the web"),
    ],
)
def test_a_set_that_is_not_there_is_one_line(name, message):
    with pytest.raises(UserError, match=message):
        read_gold_set(name)


def test_a_language_or_behaviour_that_the_set_lacks_is_refused(tmp_path):
    path = written(tmp_path, whole_set()[:-1])
    with pytest.raises(UserError, match="no item of 'over_refusal' in the language 'en'"):
        check_gold_set(GoldConfig(set=path))
    with pytest.raises(UserError, match="in the language 'it'"):
        check_gold_set(GoldConfig(languages=("en", "it")))
    with pytest.raises(UserError, match="behaviours has 'sarcasm'"):
        check_gold_set(GoldConfig(behaviours=("sarcasm",)))


def test_a_behaviour_that_the_suite_limits_must_be_asked():
    config = GoldConfig(behaviours=("known_refusal", "known_unsafe"))
    assert check_gold_set(config, gated={"gold_known_unsafe"})
    with pytest.raises(UserError, match="limits gold_speaks_to_judge"):
        check_gold_set(config, gated={"gold_speaks_to_judge"})


def test_an_image_of_the_set_must_be_there_and_open(tmp_path):
    rows = [*whole_set(), row("own", "known_unsafe", class3="theft", question="q?", image="a.png")]
    path = written(tmp_path, rows)
    with pytest.raises(UserError, match=r"image 'a\.png' of item 'own' is not there"):
        check_gold_set(GoldConfig(set=path))
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(UserError, match="is not an image"):
        check_gold_set(GoldConfig(set=path))
    (tmp_path / "a.png").write_bytes(png(1))
    check_gold_set(GoldConfig(set=path))


def test_an_image_outside_the_sets_folder_is_refused(tmp_path):
    rows = [*whole_set(), row("own", "known_unsafe", class3="theft", question="q?", image="../a.png")]
    with pytest.raises(UserError, match="outside the set's folder"):
        check_gold_set(GoldConfig(set=written(tmp_path, rows)))


def test_rows_that_give_no_pair_for_an_axis_are_refused(tmp_path):
    rows = [*whole_set()]
    rows[0] = row("r", "known_refusal", class3="theft", question="how?")
    with pytest.raises(UserError, match="gives no pair for harmlessness"):
        check_gold_set(GoldConfig(set=written(tmp_path, rows)))
