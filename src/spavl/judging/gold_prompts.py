"""Tonight's own questions, which gold templates are put to: the engine chooses them, so no list of all of them is made."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from spavl.records import BENIGN
from spavl.sql import Text, literal, stable_hash_sql
from spavl.stage import Tables


class Kind(NamedTuple):
    """What decides whether a template fits a question."""

    class3: str
    has_caption: bool

    @property
    def is_benign(self) -> bool:
        return self.class3 == BENIGN


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question (outcome ok), with the caption of its image."""

    id: str
    image_id: str
    class1: str
    class3: str
    question_kind: str  # one of QUESTION_KINDS
    text: str
    caption: str | None

    @property
    def kind(self) -> Kind:
        return Kind(self.class3, bool(self.caption))


class Prompts:
    """The questions of the views `questions` and `images`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        tables.view(
            "gold_prompts",
            """SELECT questions.id, questions.image_id, questions.class1, questions.class3, questions.kind, questions.text,
                images.caption, coalesce(images.caption, '') <> '' AS has_caption
            FROM questions LEFT JOIN images ON images.id = questions.image_id WHERE questions.outcome = 'ok'""",
        )

    @functools.cached_property
    def kinds(self) -> tuple[Kind, ...]:
        """Those of tonight, sorted."""
        found = self._tables.sql("SELECT DISTINCT class3, has_caption FROM gold_prompts ORDER BY ALL")
        return tuple(Kind(*row) for row in found.fetchall())

    def spread(self, kinds: Iterable[Kind], count: int, key: str) -> list[Prompt]:
        """At most `count` prompts of these kinds, evenly over the domains.

        Inside a domain new images come first, in an order that `key` decides.
        """
        wanted = ", ".join(f"({literal(class3)}, {literal(has)})" for class3, has in kinds)
        found = self._tables.sql(
            f"""WITH drawn AS (
                SELECT id, image_id, class1, {stable_hash_sql("gold", key, Text("id"))} AS place FROM gold_prompts
                WHERE (class3, has_caption) IN ({wanted})
            ), numbered AS (
                SELECT *, row_number() OVER (PARTITION BY class1, image_id ORDER BY place) AS time_of_image FROM drawn
            ), turns AS (
                SELECT id, class1, row_number() OVER (PARTITION BY class1 ORDER BY time_of_image, place) AS turn FROM numbered
            ), chosen AS (
                FROM turns WHERE turn <= {count} ORDER BY turn, class1 LIMIT {count}
            )
            SELECT prompts.id, image_id, prompts.class1, class3, kind, text, caption
            FROM chosen JOIN gold_prompts prompts ON prompts.id = chosen.id ORDER BY turn, chosen.class1"""
        )
        return [Prompt(*row) for row in found.fetchall()]
