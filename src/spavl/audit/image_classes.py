"""Whether images have to do with the classes they are listed under: captions, and what models answer, against domains.

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

MAX_IMAGES = 5_000
MIN_IMAGES = 50
MIN_PER_CLASS = 5
FIRM = 0.7  # chance of another domain, from which on words contradict a class


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
    chances = _chances(ordered, folds_of(ids))
    is_issue = contradicted(listed, chances)
    return ClassNoise(
        skill=skill(listed, chances),
        share=sum(is_issue) / len(ordered),
        num_images=len(ordered),
        image_ids=tuple(id for id, issue in zip(ids, is_issue, strict=True) if issue),
    )


def relisted_share(former: Iterable[Described], now: Iterable[Described]) -> float | None:
    """How much larger the share of this night's images is whose words stood for another domain on the former night.

    -1 to 1: the share that a model of the former night contradicts firmly, less the share of its own night that it contradicts
    when cross-fitted. A domain that is new counts for nothing. None if either night has too few images.
    """
    then, ordered = _enough(former), _enough(now)
    domains = sorted({image.domain for image in then})
    ordered = [image for image in ordered if image.domain in domains]
    if min(len(then), len(ordered)) < MIN_IMAGES or len(domains) < 2:
        return None
    return _share_relisted(then, ordered, domains) - _share_firmly_wrong(
        then, domains, _chances(then, folds_of([image.image_id for image in then]))
    )


def _share_relisted(then: Sequence[Described], now: Sequence[Described], domains: Sequence[str]) -> float:
    import numpy as np

    is_now = np.array([False] * len(then) + [True] * len(now))
    return _share_firmly_wrong(now, domains, _chances([*then, *now], is_now)[is_now])


def _chances(images: Sequence[Described], folds: np.ndarray) -> np.ndarray:
    return cross_fitted([image.words for image in images], [image.domain for image in images], folds)


def _share_firmly_wrong(images: Sequence[Described], domains: Sequence[str], chances: np.ndarray) -> float:
    listed = [domains.index(image.domain) for image in images]
    is_wrong = (chances.max(axis=1) >= FIRM) & (chances.argmax(axis=1) != listed)
    return float(is_wrong.mean())


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
