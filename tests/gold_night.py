"""Images and questions of one made night, in every domain of the taxonomy: what gold items are put to."""

from __future__ import annotations

import dataclasses

from tests.made_rows import image, question

from spavl.stages.images.rows import Image
from spavl.stages.questions.rows import Question
from spavl.taxonomy import load_taxonomy

DOMAINS = load_taxonomy().domains
LEAVES = {leaf.class1: leaf for leaf in load_taxonomy().leaves}


def night(
    num_per_domain: int = 6, num_benign: int = 9, caption: str | None = "a drawing of a red circle"
) -> tuple[list[Image], list[Question]]:
    """Images and questions: two questions an image, one class per domain."""
    images, questions = [], []
    for domain in (*DOMAINS, "benign"):
        leaf = LEAVES.get(domain)
        named = (domain, leaf.class2, leaf.id) if leaf else ("benign",) * 3
        classes = dict(zip(("class1", "class2", "class3"), named, strict=True))
        for n in range(num_per_domain if leaf else num_benign):
            id = f"{domain}-{n}"
            images.append(dataclasses.replace(image(id), caption=caption, **classes))
            kind = "hard_question" if leaf else "benign_control"
            questions += [question(f"{id}-q{k}", id, kind=kind, **classes) for k in range(2)]
    return images, questions
