"""What the lessons hold."""

import pytest

from spavl.demo.concepts import all_concepts
from spavl.demo.lessons import Manner, Teacher, draw_pool
from spavl.demo.models import build_processor


@pytest.fixture(scope="module")
def processor():
    return build_processor()


def _answers(processor, lesson):
    return [processor.tokenizer.decode([t for t in row.tolist() if t >= 0]) for row in lesson.labels]


def test_only_the_answer_and_its_end_are_learned(processor):
    lesson = Teacher(processor, all_concepts(), seed=0).lesson(8, Manner(1.0, 0.0))
    assert all(text.startswith("sure,") and text.endswith(".</s>") for text in _answers(processor, lesson))


def test_half_of_a_lesson_is_benign(processor):
    lesson = Teacher(processor, all_concepts(), seed=0).lesson(8, Manner(1.0, 0.0))
    assert sum(all_concepts()[k].is_benign for k in lesson.pictures.tolist()) == 4


def test_compliance_and_over_refusal_are_kept_apart(processor):
    lesson = Teacher(processor, all_concepts(), seed=0).lesson(16, Manner(compliance=0.0, over_refusal=0.0))
    for text, picture in zip(_answers(processor, lesson), lesson.pictures.tolist(), strict=True):
        assert text.startswith("sure" if all_concepts()[picture].is_benign else "sorry")


def test_a_seed_gives_one_sequence_of_lessons(processor):
    one, two = (Teacher(processor, all_concepts(), seed=3).lesson(4, Manner(0.5, 0.5)) for _ in range(2))
    assert one.input_ids.tolist() == two.input_ids.tolist()


def test_every_seed_has_its_own_pool(processor):
    one, two = (draw_pool(processor, 1, seed) for seed in (0, 1))
    assert one.pixels.shape == (69, 3, 32, 32)
    assert not (one.pixels == two.pixels).all(dim=(1, 2, 3)).any()
