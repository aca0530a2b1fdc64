"""What audits of more than one stage measure, in words."""

from __future__ import annotations

_BEYOND_CHANCE = "population stability index of the column that moved most since the former version, what two draws differ by taken off"

FLOOD_MEASURES = {  # of images; a group is of near duplicates
    "copies_share": "images that are near duplicates of another one, one of each group not counted",
    "largest_copies_share_harm": "copies in the largest group of harm images, one not counted, as a share of the harm images",
    "largest_copies_share_benign": "the same of benign images",
    "effective_images_harm": "as how many different images the harm images count: 1 / sum of the groups' squared shares",
    "effective_images_benign": "the same of benign images",
}


def psi(*columns: str) -> dict[str, str]:
    """The drift of these columns, and of the one that moved most."""
    text = "population stability index of {} against the former version; missing without one"
    return {f"psi_{column}": text.format(column) for column in columns} | {
        "psi_beyond_chance": _BEYOND_CHANCE
    }
