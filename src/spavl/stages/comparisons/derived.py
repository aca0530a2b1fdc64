"""The columns that a suite may use beside a comparison's own: their words, and their SQL over `rows`."""

from __future__ import annotations

from collections.abc import Mapping

from spavl.stages.comparisons.rows import ORDERS

COLUMNS = {
    "groups_differ": "the two models are of different safety groups",
    "responses_differ": "a and b are two responses",
    "orders_agree": "both orders named the same winner, or both a tie; missing unless both were answered",
    "orders_agree_decided": "the same, missing too if both orders said tie: two ties are no agreement about a winner",
    "is_tie": "the winner is a tie; missing unless outcome is ok",
    "first_shown_wins": "the response shown first won; missing for ties and failed askings",
}
_SAID = "CASE WHEN outcome = 'ok' THEN winner END"
_IS_DECIDED = "(outcome = 'ok' AND winner IN ('a', 'b'))"
_ASKINGS = "(PARTITION BY response_a, response_b, axis)"
_BOTH_ORDERS = f"count({_SAID}) OVER {_ASKINGS} = {len(ORDERS)}"
_SAME = f"min({_SAID}) OVER {_ASKINGS} = max({_SAID}) OVER {_ASKINGS}"
_NAMES_A_WINNER = f"coalesce(bool_or({_IS_DECIDED}) OVER {_ASKINGS}, false)"


def sql(counts: Mapping[str, int]) -> dict[str, str]:
    """Column -> expression."""
    return {
        "groups_differ": "group_a <> group_b",
        "responses_differ": "response_a <> response_b",
        "orders_agree": f"CASE WHEN {_BOTH_ORDERS} THEN {_SAME} END",
        "orders_agree_decided": f"CASE WHEN {_BOTH_ORDERS} AND {_NAMES_A_WINNER} THEN {_SAME} END",
        "is_tie": "CASE WHEN outcome = 'ok' THEN coalesce(winner = 'tie', false) END",
        "first_shown_wins": f"""CASE WHEN {_IS_DECIDED} THEN winner = "order"[1] END""",
    }
