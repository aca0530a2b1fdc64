"""Whether images have to do with the classes they are listed under: captions, or what models answer, against domains.

The domain of an image (benign is one) is predicted from its words by a model that did not see it. If the classes were permuted
nothing can be predicted: the skill is 0. If some were, those are contradicted. Harm leaves listed as benign contradict nobody
on their own night; they contradict what the same words stood for on the former one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spavl.audit.label_noise import contradicted
from spavl.audit.words import cross_fitted, folds_of, sampled

if TYPE_CHECKING:
    import numpy as np

MAX_IMAGES = 10_000
MIN_IMAGES = 50
MIN_PER_CLASS = 5


@dataclass(frozen=True, slots=True)
class Described:
    """An image, the words about it, and the class it is listed under."""

    image_id: str
    words: str
    domain: str


@dataclass(frozen=True, slots=True)
class ClassNoise:
    """skill: 1 every domain is told from words, 0 as good as guessing; share: of images whose domain is contradicted."""

    skill: float
    share: float
    num_images: int
    image_ids: tuple[str, ...]  # whose domain is contradicted


def class_noise(images: Iterable[Described]) -> ClassNoise | None:
    """None if there are too few images, or fewer than two domains with enough of them."""
    ordered = _enough(images)
    domains = sorted({image.domain for image in ordered})
    if len(ordered) < MIN_IMAGES or len(domains) < 2:
        return None
    listed = [domains.index(image.domain) for image in ordered]
    ids = [image.image_id for image in ordered]
    chances = cross_fitted([image.words for image in ordered], [i.domain for i in ordered], folds_of(ids))
    is_issue = contradicted(listed, chances)
    return ClassNoise(
        skill=skill(listed, chances),
        share=sum(is_issue) / len(ordered),
        num_images=len(ordered),
        image_ids=tuple(id for id, issue in zip(ids, is_issue, strict=True) if issue),
    )


def relisted_share(former: Iterable[Described], now: Iterable[Described]) -> float | None:
    """Share of this night's images whose words stood for another domain on the former night.

    Predicted by a model of the former night's images alone; a domain that is new counts for nothing. None if either is too few.
    """
    import numpy as np

    then, ordered = _enough(former), _enough(now)
    domains = sorted({image.domain for image in then})
    ordered = [image for image in ordered if image.domain in domains]
    if min(len(then), len(ordered)) < MIN_IMAGES or len(domains) < 2:
        return None
    both = [*then, *ordered]
    is_now = np.array([False] * len(then) + [True] * len(ordered))
    chances = cross_fitted([image.words for image in both], [image.domain for image in both], is_now)
    listed = [domains.index(image.domain) for image in ordered]
    return sum(contradicted(listed, chances[is_now])) / len(ordered)


def skill(listed: Sequence[int], chances: np.ndarray) -> float:
    """Mean over the K classes of the share predicted rightly, rescaled: 0 at 1/K (guessing), 1 if all are right."""
    import numpy as np

    codes, predicted, num_classes = np.asarray(listed), chances.argmax(axis=1), chances.shape[1]
    recalls = [float(np.mean(predicted[codes == code] == code)) for code in range(num_classes)]
    return (sum(recalls) / num_classes - 1 / num_classes) / (1 - 1 / num_classes)


def _enough(images: Iterable[Described]) -> list[Described]:
    """By id, at most MAX_IMAGES by hash, without domains of fewer than MIN_PER_CLASS images."""
    ordered = sorted(images, key=lambda image: image.image_id)
    ordered = [ordered[place] for place in sampled([image.image_id for image in ordered], MAX_IMAGES)]
    counts: dict[str, int] = {}
    for image in ordered:
        counts[image.domain] = counts.get(image.domain, 0) + 1
    return [image for image in ordered if counts[image.domain] >= MIN_PER_CLASS]
