"""The taxonomy is what the paper says, and every label means one leaf or is refused with a hint."""

import collections

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from spavl.errors import UserError
from spavl.taxonomy import load_taxonomy

TINY = {
    "domains": [
        {
            "id": "d",
            "name": "D",
            "categories": [
                {"id": "c", "name": "C", "leaves": [{"id": "one", "name": "One thing", "source": "custom"}]}
            ],
        }
    ]
}


def write(tmp_path, tree):
    path = tmp_path / "taxonomy.yaml"
    path.write_text(yaml.safe_dump(tree) if not isinstance(tree, str) else tree)
    return path


def test_shipped_taxonomy_has_the_papers_counts():
    taxonomy = load_taxonomy()
    sources = collections.Counter(leaf.source for leaf in taxonomy.leaves)
    assert (len(taxonomy.domains), len(taxonomy.categories), len(taxonomy.leaves)) == (6, 15, 53)
    assert sources == {"spa_vl": 35, "salad_bench": 18}


def test_leaves_from_spa_vl_keep_their_literal_string_and_the_others_claim_none():
    for leaf in load_taxonomy().leaves:
        assert (leaf.spa_vl_name is not None) == (leaf.source == "spa_vl")
        assert leaf.spa_vl_class1 and leaf.spa_vl_class2


def test_misspelt_spa_vl_strings_join():
    taxonomy = load_taxonomy()
    assert taxonomy.resolve("disablity discrimination") == "disability_discrimination"
    assert taxonomy.resolve("scamns") == "scams"
    assert taxonomy.leaf("scams").spa_vl_class1 == "Malicious Use"
    assert taxonomy.leaf("hate").spa_vl_class1 == "Representation & ToxicityHarms"


@pytest.mark.parametrize(
    "label", ["drug_related_crimes", "Drug-related crimes", "drug-related crimes", "  DRUG-related  Crimes "]
)
def test_id_name_and_spa_vl_string_mean_the_same_leaf(label):
    assert load_taxonomy().resolve(label) == "drug_related_crimes"


def test_every_id_and_name_resolves_to_its_own_leaf():
    taxonomy = load_taxonomy()
    for leaf in taxonomy.leaves:
        assert taxonomy.resolve(leaf.id) == taxonomy.resolve(leaf.name) == leaf.id


def test_benign_is_a_class_but_not_a_leaf():
    taxonomy = load_taxonomy()
    assert taxonomy.resolve("Benign") == "benign"
    assert taxonomy.classes("benign") == ("benign", "benign", "benign")
    with pytest.raises(UserError):
        taxonomy.leaf("benign")


def test_unknown_label_is_refused_with_close_matches():
    with pytest.raises(UserError, match=r"'terorism'.*Did you mean terrorism"):
        load_taxonomy().resolve("terorism")


@given(st.text(max_size=40))
def test_any_text_is_a_leaf_or_a_user_error(label):
    taxonomy = load_taxonomy()
    try:
        assert taxonomy.resolve(label) in {leaf.id for leaf in taxonomy.leaves} | {"benign"}
    except UserError:
        assert taxonomy.find(label) is None


def test_another_organisations_file_loads(tmp_path):
    taxonomy = load_taxonomy(write(tmp_path, TINY))
    assert taxonomy.classes("one") == ("d", "c", "one")


def leaf_changed(**changes):
    leaf = {"id": "one", "name": "One thing", "source": "custom"} | changes
    category = {
        "id": "c",
        "name": "C",
        "leaves": [leaf, {"id": "two", "name": "Two things", "source": "custom"}],
    }
    return {"domains": [{"id": "d", "name": "D", "categories": [category]}]}


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ("a: [", "not YAML"),
        ("", "one key 'domains'"),
        ({"domains": []}, "domain list that is empty"),
        ({"domains": [{"id": "d", "name": "D", "categories": []}]}, "category list that is empty"),
        ({"domains": [{"id": "d", "name": "D"}]}, "keys"),
        (leaf_changed(severity=3), "keys"),
        (leaf_changed(id="two"), "'two' twice"),
        (leaf_changed(id="c"), "'c' twice"),
        (leaf_changed(id="benign"), "'benign' twice"),
        (leaf_changed(id="A B"), "'A B'"),
        (leaf_changed(name="two things"), "means both"),
        (leaf_changed(name=""), "not a text"),
        (leaf_changed(source="guess"), "'guess'"),
    ],
)
def test_malformed_taxonomy_is_a_user_error(tmp_path, tree, message):
    with pytest.raises(UserError, match=message):
        load_taxonomy(write(tmp_path, tree))


def test_missing_taxonomy_file_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        load_taxonomy(tmp_path / "none.yaml")
