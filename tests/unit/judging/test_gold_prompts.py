"""Prompts chosen in SQL are those of the rule in plain Python: evenly over domains, new images first."""

from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.made_rows import image, question
from tests.made_tables import made_tables

from spavl.judging.gold_prompts import Kind, Prompts
from spavl.records import stable_hash

CAPTIONS = {"i0": "a moon", "i1": None, "i2": "", "i3": "a sun"}
QUESTIONS = st.lists(
    st.tuples(
        st.sampled_from([*CAPTIONS, "unknown"]),
        st.sampled_from(["d1", "d2", "d3"]),
        st.sampled_from(["l1", "l2"]),
    ),
    max_size=20,
)


def plain_spread(questions, kinds, count, key):
    """Ids of the chosen questions, in order."""
    wanted = [row for row in questions if (row.class3, bool(CAPTIONS.get(row.image_id))) in kinds]
    by_domain, times = defaultdict(list), defaultdict(int)
    for row in sorted(wanted, key=lambda row: stable_hash("gold", key, row.id)):
        by_domain[row.class1].append((times[row.class1, row.image_id], row))
        times[row.class1, row.image_id] += 1
    queues = [
        [row.id for _, row in sorted(by_domain[domain], key=lambda entry: entry[0])]
        for domain in sorted(by_domain)
    ]
    longest = max(map(len, queues), default=0)
    return [queue[turn] for turn in range(longest) for queue in queues if turn < len(queue)][:count]


@settings(deadline=None, max_examples=40)  # each example opens an engine
@given(QUESTIONS, st.integers(1, 8), st.sampled_from(["0/known_unsafe/en", "1/a 'quoted' key"]))
def test_the_choice_is_that_of_plain_python(found, count, key):
    questions = [
        question(f"q{number}", image_id, class1=class1, class3=class3)
        for number, (image_id, class1, class3) in enumerate(found)
    ]
    images = [image(id, caption=caption) for id, caption in CAPTIONS.items()]
    prompts = Prompts(made_tables(images=images, questions=questions))
    expected_kinds = {(row.class3, bool(CAPTIONS.get(row.image_id))) for row in questions}
    assert set(prompts.kinds) == expected_kinds
    kinds = [Kind("l1", True), Kind("l1", False), Kind("l2", False)]
    chosen = prompts.spread(kinds, count, key)
    assert [prompt.id for prompt in chosen] == plain_spread(questions, kinds, count, key)
    assert all(prompt.caption == CAPTIONS.get(prompt.image_id) for prompt in chosen)
