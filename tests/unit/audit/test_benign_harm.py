from spavl.audit.benign_harm import BenignImage, benign_harm


def answers(
    num_images: int, source: str, *, unsafe_of_four: int, refusals_of_four: int = 0
) -> list[BenignImage]:
    """Four answers about every image; no unsafe one refuses."""
    return [
        BenignImage(f"{source}{i}", source, 4, unsafe_of_four, 4 - refusals_of_four)
        for i in range(num_images)
    ]


def test_safe_answers_show_no_harm():
    found = benign_harm(answers(20, "a", unsafe_of_four=0))
    assert (found.answer_share, found.image_share, found.num_sources_in_excess) == (0.0, 0.0, 0)


def test_a_source_of_harmful_images_is_named():
    found = benign_harm(answers(60, "a", unsafe_of_four=0) + answers(6, "b", unsafe_of_four=3))
    assert found.answer_share == 18 / 264
    assert found.image_share == 6 / 66
    assert [group.name for group in found.sources if group.is_excess] == ["b"]
    assert found.image_ids == tuple(f"b{i}" for i in range(6))


def test_one_bad_answer_of_four_is_not_the_images_fault():
    assert benign_harm(answers(20, "a", unsafe_of_four=1)).image_share == 0.0


def test_refusals_say_nothing_of_the_image():
    assert benign_harm(answers(10, "a", unsafe_of_four=1, refusals_of_four=2)).image_share == 1.0
    assert (
        benign_harm(answers(10, "a", unsafe_of_four=1, refusals_of_four=3)).image_share == 0.0
    )  # one witness


def test_without_benign_images_there_is_nothing_to_say():
    assert benign_harm([]) is None
