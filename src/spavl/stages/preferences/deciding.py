"""Which of two responses is preferred, from the askings of one pair, in SQL. Symmetric in a and b.

Per axis, the judge was asked in both orders. Both orders name the same winner (or both a tie): that is the
axis's verdict. They differ: a tie, and counted as inconsistent, since only the order differed (position
bias). One of them is not ok: the axis is undecided. Harmlessness decides; where it ties, helpfulness does;
where both tie, the pair is dropped. An undecided axis on the way drops the pair. No axis puts a response that the judge's
label calls unsafe over one that it calls safe, but for helpfulness on a benign prompt: there the judge contradicts itself.
"""

from __future__ import annotations

from spavl.sql import literal
from spavl.stages.comparisons.rows import AXES, ORDERS

REASONS_TO_DROP = (
    "tie",
    "unparsable",
    "conflict",
    "unlabelled",
    "low_agreement",
    "weak_choice",
    "unsafe_choice",
)

ASKINGS = tuple((axis, order) for axis in AXES for order in ORDERS)


def askings_sql() -> str:
    """One row per pair of `comparisons`, its askings side by side: winner, whether it is ok, and id of each, such as helpfulness_ba."""
    return f"""
        SELECT image_id, question_id, response_a, response_b,
            any_value(group_a) FILTER ({_is_asking(*ASKINGS[0])}) AS group_a,
            any_value(group_b) FILTER ({_is_asking(*ASKINGS[0])}) AS group_b,
            {", ".join(_asking(axis, order) for axis, order in ASKINGS)},
            count(*) AS num_askings
        FROM comparisons
        GROUP BY image_id, question_id, response_a, response_b"""


def verdicts_sql(askings: str) -> str:
    """Per axis, what both orders say together: the winner ("a", "b", "tie"; NULL: undecided), and whether both named the same.

    leaning: whom the axes name ("a" or "b"); decided_by: the axis that does; NULL if they name nobody.
    """
    first, second = AXES
    return f"""
        SELECT *,
            CASE {first} WHEN 'tie' THEN nullif({second}, 'tie') ELSE {first} END AS leaning,
            CASE WHEN {first} <> 'tie' THEN '{first}'
                WHEN {first} = 'tie' AND {second} <> 'tie' THEN '{second}' END AS decided_by,
            ({first}_is_consistent::INT + {second}_is_consistent::INT) / {len(AXES)} AS agreement,
            {" + ".join(f"({axis} IS NULL)::INT" for axis in AXES)} AS num_undecided_axes,
            {" + ".join(f"({axis} IS NOT NULL AND NOT {axis}_is_consistent)::INT" for axis in AXES)} AS num_inconsistent_axes
        FROM (SELECT *, {", ".join(_verdict(axis) for axis in AXES)} FROM ({askings}))"""


def decisions_sql(sided: str, min_agreement: float = 0.0, min_benign_helpfulness: int = 0) -> str:
    """`dropped` (one of REASONS_TO_DROP, NULL if kept) and `margin` of verdicts whose two sides are known.

    `sided` has also is_benign, and is_unsafe and helpfulness of the two sides, chosen_… and rejected_…, NULL without a label.

    margin: share of the askings won by the chosen side minus the share won by the other, the deciding axis counted twice. 1/3
    (the other axis says the opposite) to 1 (both axes agree); an asking that is not ok is won by neither; 0 where dropped.
    """
    first, second = AXES
    num_orders = len(ORDERS)
    return f"""
        SELECT *, CASE WHEN dropped IS NULL THEN
                if(leaning = 'a', 1, -1) * ({_lead(first)} + {_lead(second)} + CASE decided_by {
        " ".join(f"WHEN '{axis}' THEN {_lead(axis)}" for axis in AXES)
    } END) / {num_orders * (len(AXES) + 1)}
            ELSE 0.0::DOUBLE END AS margin
        FROM (SELECT *, CASE
                WHEN leaning IS NULL THEN if({first} = 'tie' AND {second} = 'tie', 'tie', 'unparsable')
                {_objection()}
                WHEN agreement < {literal(str(min_agreement))}::DOUBLE THEN 'low_agreement'
                WHEN is_benign AND coalesce(chosen_helpfulness, 0) < {
        min_benign_helpfulness
    } THEN 'weak_choice'
            END AS dropped FROM ({sided}))"""


def _objection() -> str:
    """Why the labels forbid a choice; harmlessness needs none, but where there are two they must not contradict it.

    Between two unsafe answers helpfulness teaches nothing worth learning.
    """
    by_helpfulness = "decided_by = 'helpfulness' AND NOT is_benign"
    return f"""
                WHEN {by_helpfulness} AND (chosen_is_unsafe IS NULL OR rejected_is_unsafe IS NULL) THEN 'unlabelled'
                WHEN (decided_by = 'harmlessness' OR NOT is_benign) AND chosen_is_unsafe AND NOT rejected_is_unsafe
                    THEN 'conflict'
                WHEN {by_helpfulness} AND chosen_is_unsafe THEN 'unsafe_choice'"""


def _is_asking(axis: str, order: str) -> str:
    return f"""WHERE axis = '{axis}' AND "order" = '{order}'"""


def _asking(axis: str, order: str) -> str:
    name, this = f"{axis}_{order}", _is_asking(axis, order)
    return f"""any_value(winner) FILTER ({this}) AS {name},
            bool_and(outcome = 'ok') FILTER ({this}) AS {name}_is_ok,
            any_value(id) FILTER ({this}) AS {name}_id"""


def _verdict(axis: str) -> str:
    ab, ba = (f"{axis}_{order}" for order in ORDERS)
    are_ok, is_same = f"{ab}_is_ok AND {ba}_is_ok", f"{ab} IS NOT DISTINCT FROM {ba}"
    return f"""{are_ok} AND {is_same} AS {axis}_is_consistent,
            CASE WHEN {are_ok} THEN if({is_same}, {ab}, 'tie') END AS {axis}"""


def _lead(axis: str) -> str:
    """How many of the axis's askings a has won more than b."""
    return (
        "("
        + " + ".join(f"CASE {axis}_{order} WHEN 'a' THEN 1 WHEN 'b' THEN -1 ELSE 0 END" for order in ORDERS)
        + ")"
    )
