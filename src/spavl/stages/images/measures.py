"""What `images` measures over its whole table, for its suite to limit (`spavl.validation.measures`)."""

from __future__ import annotations

from spavl.audit.measures import FLOOD_MEASURES, psi

MEASURES = {
    **FLOOD_MEASURES,
    "largest_leaf_share": "harm images of the commonest leaf, as a share of all harm images",
    "num_missing_classes": "domains and leaves that the former version had and this one lacks; dataset.may_miss excepts",
    "num_missing_sources": "sources that the former version had and this one lacks; dataset.may_miss excepts",
    "largest_lost_share_of_class": "of the class that lost most, the share of its former images that are gone or of another class",
    "relabelled_share": "images of both versions whose leaf is another one now",
    **psi("class1", "class3", "source"),
}
