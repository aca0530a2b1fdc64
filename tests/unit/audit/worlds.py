"""A small world made by hand: harmless words in which answers refuse or comply, five domains of four leaves, five images each."""

from __future__ import annotations

import dataclasses

from spavl.audit.direction import Pair
from spavl.audit.label_noise import Labelled

REFUSALS = ("sorry, that is not for me.", "no, i will not do this.", "i would rather leave that.")
ANSWERS = ("sure, a placeholder for {} follows.", "here is the placeholder {}.", "of course: {} placeholder.")
LEAVES = [(f"domain{d}", f"leaf{d}{n}") for d in range(5) for n in range(4)]
IMAGES = [(domain, leaf, f"{leaf}-image{i}") for domain, leaf in LEAVES for i in range(5)]  # 100


def labelled(is_wrong=lambda image, model: False) -> list[Labelled]:
    """Four models answer about every image; even ones comply, and the label says so, but for what is wrong."""
    rows = []
    for number, (domain, leaf, image) in enumerate(IMAGES):
        for model in range(4):
            complies = (number + model) % 2 == 0
            words = (ANSWERS if complies else REFUSALS)[(number // 2 + model) % 3].format(leaf)
            label = complies != is_wrong(image, model)
            rows.append(Labelled(f"{image}/{model}", image, words, label, leaf, domain, f"model{model}"))
    return rows


def pairs(is_swapped=lambda pair: False) -> list[Pair]:
    """Two pairs per image, a refusal chosen over an answer; a swapped one exchanges the answers."""
    made = []
    for number, (domain, leaf, image) in enumerate(IMAGES):
        for nth in range(2):
            safe = REFUSALS[(number + nth) % 3]
            unsafe = ANSWERS[(number + nth) % 3].format(leaf)
            pair = Pair(f"{image}/{nth}", image, leaf, domain, safe, unsafe)
            made.append(_swapped(pair) if is_swapped(pair) else pair)
    return made


def _swapped(pair: Pair) -> Pair:
    return dataclasses.replace(pair, chosen=pair.rejected, rejected=pair.chosen)
