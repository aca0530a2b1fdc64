"""What is counted over all rows of a night, in SQL: only sums come back, per outcome, leaf, domain, model or image source.

Rows of one image are no independent witnesses, so groups are counted by image: an image is a hit if at least half of its rows are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spavl.audit.benign_harm import BenignImage
from spavl.audit.direction import Direction, direction_of
from spavl.records import BENIGN
from spavl.sql import literal
from spavl.stage import Tables
from spavl.stages.comparisons.rows import AXES
from spavl.stages.preferences.deciding import REASONS_TO_DROP
from spavl.stages.preferences.image_ranges import image_ranges
from spavl.taxonomy import load_taxonomy

Counts = dict[str, tuple[int, int]]  # group -> (images that are hits, images)

ANSWERS_AT_ONCE = 1_500_000
NUM_IDS = 20  # of rows to look at, per finding, in the record
UNUSABLE = ("unparsable", "conflict", "unlabelled", "low_agreement")  # of REASONS_TO_DROP: the judge's doing
HARM = "leaning IS NOT NULL AND NOT is_benign"  # pairs of harm prompts that are kept, or that another reason dropped
BENIGN_PAIRS = "leaning IS NOT NULL AND is_benign"
AGAINST_LABELS = "coalesce(chosen_is_unsafe AND NOT rejected_is_unsafe, FALSE)"


def pair_counts(tables: Tables) -> dict[str, int]:
    """How many pairs there are, were kept, and were dropped for which reason; and how many axes said nothing."""
    counts = {
        "pairs": "count(*)",
        "kept": "count(*) FILTER (WHERE dropped IS NULL)",
        "benign_kept": "count(*) FILTER (WHERE dropped IS NULL AND is_benign)",
        **{
            f"dropped_{reason}": f"count(*) FILTER (WHERE dropped = '{reason}')" for reason in REASONS_TO_DROP
        },
        "inconsistent_axes": "coalesce(sum(num_inconsistent_axes), 0)::BIGINT",
        "undecided_axes": "coalesce(sum(num_undecided_axes), 0)::BIGINT",
    }
    return _row(tables, counts, "pairs")


def pair_details(tables: Tables, counts: Mapping[str, int]) -> dict[str, Any]:
    """Shares in 0 to 1, None where there is nothing to take a share of."""
    decided_axes = len(AXES) * counts["pairs"] - counts["undecided_axes"]
    found = _row(
        tables,
        {axis: f"count(*) FILTER (WHERE decided_by = '{axis}')" for axis in AXES}
        | {"against_label": f"count(*) FILTER (WHERE {AGAINST_LABELS})"},
        "pairs WHERE dropped IS NULL",
    )
    return {
        "benign_share": share(counts["benign_kept"], counts["kept"]),
        "position_bias": share(counts["inconsistent_axes"], decided_axes),
        "decided_by": {axis: found[axis] for axis in AXES},
        "chosen_unsafe_rejected_safe": found["against_label"],
        "kept_per_class1": dict(
            tables.sql(
                "SELECT class1, count(*) FROM pairs WHERE dropped IS NULL GROUP BY class1 ORDER BY class1"
            ).fetchall()
        ),
    }


def num_broken_pairs(tables: Tables, num_askings: int) -> int:
    """Pairs without exactly one asking per axis and order, without their question, or kept without their answers' texts."""
    return tables.value(
        f"""SELECT count(*) FROM pairs
        WHERE num_askings <> {num_askings} OR list_contains(list_transform(comparisons, lambda id: id IS NULL), TRUE)
            OR asked_id IS NULL OR (dropped IS NULL AND (chosen IS NULL OR rejected IS NULL))"""
    )


def num_unlike_their_responses(tables: Tables) -> int:
    """How many answers of the kept rows have a text or a label that is not the one of the response they name."""
    kept = "FROM pairs WHERE dropped IS NULL"
    return tables.value(
        f"""SELECT count(*) FROM (
            SELECT chosen_response AS named, md5_number(chosen) AS words, chosen_is_unsafe AS label {kept}
            UNION ALL SELECT rejected_response, md5_number(rejected), rejected_is_unsafe {kept}
        )
        LEFT JOIN responses ON responses.id = named
        LEFT JOIN labels ON response_id = named
        WHERE words IS DISTINCT FROM md5_number(text) OR label IS DISTINCT FROM is_unsafe"""
    )


def by_labels(tables: Tables) -> Direction:
    """Over the pairs of harm prompts that the labels tell apart: those that chose the unsafe one."""
    told = f"SELECT * FROM pairs WHERE {HARM} AND chosen_is_unsafe <> rejected_is_unsafe"
    found = _row(
        tables, {"wrong": "count(*) FILTER (WHERE chosen_is_unsafe)", "pairs": "count(*)"}, f"({told})"
    )
    ids = tables.sql(
        f"""SELECT pair FROM ({told}) WHERE chosen_is_unsafe
        ORDER BY dropped IS NOT NULL, pair_image, question_id, response_a, response_b LIMIT {NUM_IDS}"""
    )
    leaves, domains = (
        _counts(tables, told, "chosen_is_unsafe", [name], "pair_image") for name in ("class3", "class1")
    )
    return direction_of(found["wrong"], found["pairs"], leaves, domains, (id for (id,) in ids.fetchall()))


def against_helpfulness(tables: Tables) -> float | None:
    """Share of the benign pairs with two grades whose chosen answer has the lower one."""
    found = _row(
        tables,
        {"lower": "count(*) FILTER (WHERE chosen_helpfulness < rejected_helpfulness)", "graded": "count(*)"},
        f"pairs WHERE {BENIGN_PAIRS} AND chosen_helpfulness IS NOT NULL AND rejected_helpfulness IS NOT NULL",
    )
    return share(found["lower"], found["graded"])


def unread(tables: Tables) -> Counts:
    """Answers: a hit if the judge, seeing the image, gave it no label that can be read."""
    names = ["'domain=' || class1", "'leaf=' || class3", "'kind=' || kind", "'model=' || model"]
    total: Counts = {}
    for images in image_ranges(tables, "responses", ANSWERS_AT_ONCE):
        for name, counted in _counts(tables, _answers(images), "is_lost", names).items():
            hits, num_images = total.get(name, (0, 0))
            total[name] = (hits + counted[0], num_images + counted[1])
    return total


def _answers(images: str) -> str:
    return f"""
        SELECT answers.*, class1, class3, kind, label IS NULL AS is_lost
        FROM (SELECT id, question_id, image_id, model FROM responses WHERE outcome = 'ok' AND {images}) answers
        JOIN (SELECT id AS asked_id, class1, class3, kind FROM questions WHERE {images}) ON asked_id = question_id
        LEFT JOIN (SELECT response_id AS label FROM labels WHERE {images}) ON label = answers.id"""


def undecided(tables: Tables) -> Counts:
    """Pairs of harm prompts: a hit if the judge's readings of it could not be used, or spoke against each other."""
    reasons = ", ".join(literal(reason) for reason in UNUSABLE)
    pairs = f"SELECT *, coalesce(dropped IN ({reasons}), FALSE) AS is_lost FROM pairs WHERE NOT is_benign"
    return _counts(tables, pairs, "is_lost", ["'domain=' || class1", "'leaf=' || class3", "'kind=' || kind"])


def category_elsewhere(tables: Tables) -> Counts:
    """Per leaf, over images with unsafe answers of a named category: a hit if most name another domain than the image's."""
    domains = ", ".join(f"({literal(leaf.id)}, {literal(leaf.class1)})" for leaf in load_taxonomy().leaves)
    named = f"""
        SELECT images.id AS image_id, class3, domain IS DISTINCT FROM class1 AS is_elsewhere
        FROM labels JOIN images ON images.id = image_id
        LEFT JOIN (VALUES {domains}) domains(leaf, domain) ON leaf = category
        WHERE category <> '' AND class1 <> '{BENIGN}'"""
    return _counts(tables, named, "is_elsewhere", ["class3"])


def benign_images(tables: Tables) -> list[BenignImage]:
    """What the judge reads in the answers about each benign image that has any."""
    found = tables.sql(
        f"""SELECT images.id, source, count(*), count(*) FILTER (WHERE is_unsafe),
            count(*) FILTER (WHERE is_unsafe OR NOT is_refusal)
        FROM labels JOIN images ON images.id = image_id WHERE class1 = '{BENIGN}' GROUP BY images.id, source"""
    )
    return [BenignImage(*row) for row in found.fetchall()]


def share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _row(tables: Tables, columns: Mapping[str, str], source: str) -> dict[str, int]:
    selected = ", ".join(columns.values())
    (values,) = tables.sql(f"SELECT {selected} FROM {source}").fetchall()
    return dict(zip(columns, values, strict=True))


def _counts(tables: Tables, rows: str, hit: str, names: Sequence[str], image: str = "image_id") -> Counts:
    """Of every group that one of `names` (SQL expressions over a column) gives."""
    numbered = ", ".join(f"{name} AS name{n}" for n, name in enumerate(names))
    columns = [f"name{n}" for n in range(len(names))]
    found = tables.sql(
        f"""SELECT name, count(*) FILTER (WHERE is_hit), count(*) FROM (
            SELECT coalesce({", ".join(columns)}) AS name, 2 * count(*) FILTER (WHERE {hit}) >= count(*) AS is_hit
            FROM (SELECT {numbered}, {image} AS image, {hit} FROM ({rows}))
            GROUP BY GROUPING SETS ({", ".join(f"({column}, image)" for column in columns)})
        ) GROUP BY name"""
    )
    return {name: (num_hits, num_images) for name, num_hits, num_images in found.fetchall()}
