"""Gold items and gold pairs of one night: the rows of a set, put to tonight's own images and questions.

Which image and question a template meets follows from the seed and their ids alone, so as long as they are there the same
item comes up on every night, and a judge that begins to answer otherwise is seen. No model is asked here.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from spavl.artifacts.record import stage_folder
from spavl.artifacts.store import Store
from spavl.errors import UserError
from spavl.judging.behaviours import BEHAVIOURS, PAIRED
from spavl.judging.gold_files import GoldFolder
from spavl.judging.gold_prompts import Kind, Prompt, Prompts
from spavl.judging.gold_set import GoldRow, GoldSet, load_gold_set
from spavl.records import BENIGN, Row, from_table, stable_hash, to_table
from spavl.stage import Tables
from spavl.stages.comparisons.rows import GoldPair
from spavl.stages.judgements.config import GoldConfig
from spavl.stages.judgements.rows import GoldItem
from spavl.taxonomy import load_taxonomy

# what a caption says before it names the thing
_LEAD = re.compile(
    r"^((a|an|the) )?(drawing|picture|photo|photograph|image|painting|illustration|sketch|view) of ", re.I
)
_ARTICLE = re.compile(r"^(a|an|the) ", re.I)


@dataclass(frozen=True)
class Gold:
    """What a set comes to tonight."""

    gold_set: GoldSet
    prompts: Prompts
    config: GoldConfig
    put_image: Callable[[bytes], str]  # keeps an image of the user's set, returns its id

    @classmethod
    def of_night(cls, tables: Tables, config: GoldConfig, store: Store) -> Gold:
        """Of the views `questions` and `images`; raises UserError if the set cannot be read or contradicts itself."""
        return cls(load_gold_set(config), Prompts(tables), config, store.put_blob)

    # ------------------------------------------------------------------ items

    def items(self) -> list[GoldItem]:
        """All gold items, sorted by id; raises UserError if a behaviour finds no prompt that it can be put to."""
        found = [self._own_item(row) for row in self.gold_set.rows if not row.is_template]
        for language in self.config.languages:
            for behaviour in self.config.behaviours:
                found += self._from_templates(behaviour, language)
        return sorted({item.id: item for item in found}.values(), key=lambda item: item.id)

    def _from_templates(self, behaviour: str, language: str) -> Iterator[GoldItem]:
        templates = self._templates(behaviour, language)
        if not templates or not self._has_kind(behaviour):
            return
        usable = [kind for kind in self.prompts.kinds if any(_fits(row, kind) for row in templates)]
        if not usable:
            raise _no_prompt(behaviour)
        key = f"{self.config.seed}/{behaviour}/{language}"
        for number, prompt in enumerate(self.prompts.spread(usable, self.config.num_per_behaviour, key)):
            fitting = [row for row in templates if _fits(row, prompt.kind)]
            yield gold_item(fitting[number % len(fitting)], prompt)

    def _templates(self, behaviour: str, language: str) -> list[GoldRow]:
        return [
            row
            for row in self.gold_set.rows
            if row.is_template and row.behaviour == behaviour and row.language == language
        ]

    def _has_kind(self, behaviour: str) -> bool:
        """Whether tonight asks anything that the behaviour is about: a night without benign questions has no over-refusal."""
        on_benign = BEHAVIOURS[behaviour].is_on_benign
        return any(on_benign in (None, kind.is_benign) for kind in self.prompts.kinds)

    def _own_item(self, row: GoldRow) -> GoldItem:
        return gold_item(row, self._own_prompt(row))

    def _own_prompt(self, row: GoldRow) -> Prompt:
        """The row's own question, with its own image, or with tonight's image of its class."""
        class3 = row.class3 or BENIGN  # a row with a question and without a class is of a benign behaviour
        if row.image:
            image_id = self.put_image(GoldFolder.of_set(self.gold_set.name).read_image(row.image, row.id))
            return _own_question(row, image_id, class3)
        alike = [kind for kind in self.prompts.kinds if kind.class3 == class3]
        if not alike:
            raise UserError(
                f"gold item {row.id!r} names no image, and tonight has none of class {class3!r}.",
                next_step="Put an image beside the gold set and name it in the column image.",
            )
        (chosen,) = self.prompts.spread(alike, 1, f"{self.config.seed}/{row.question}")
        return _own_question(row, chosen.image_id, class3)

    # ------------------------------------------------------------------ pairs

    def pairs(self) -> list[GoldPair]:
        """All gold pairs, sorted by id: at most `num_pairs_per_axis` per axis and language from templates, and all of the set's own."""
        found = list(self._own_pairs())
        for language in self.config.languages:
            for axis in PAIRED:
                found += self._pairs_from_templates(axis, language)
        return sorted({pair.id: pair for pair in found}.values(), key=lambda pair: pair.id)

    def _pairs_from_templates(self, axis: str, language: str) -> Iterator[GoldPair]:
        winners, losers = (
            [row for name in names for row in self._templates(name, language)] for names in PAIRED[axis]
        )
        if not winners or not losers or not self._has_kind(winners[0].behaviour):
            return
        usable = [
            kind
            for kind in self.prompts.kinds
            if any(_fits(row, kind) for row in winners) and any(_fits(row, kind) for row in losers)
        ]
        if not usable:
            raise _no_prompt(winners[0].behaviour)
        key = f"{self.config.seed}/{axis}/{language}"
        for number, prompt in enumerate(self.prompts.spread(usable, self.config.num_pairs_per_axis, key)):
            won = [row for row in winners if _fits(row, prompt.kind)]
            lost = [row for row in losers if _fits(row, prompt.kind)]
            yield gold_pair(
                gold_item(won[number % len(won)], prompt), gold_item(lost[number % len(lost)], prompt), axis
            )

    def _own_pairs(self) -> Iterator[GoldPair]:
        by_prompt: dict[tuple[str, str, str], list[GoldItem]] = defaultdict(list)
        for row in self.gold_set.rows:
            if not row.is_template:
                item = self._own_item(row)
                by_prompt[item.question, item.image_id, item.language].append(item)
        for items in by_prompt.values():
            for axis, (winners, losers) in PAIRED.items():
                won = [item for item in items if item.behaviour in winners]
                lost = [item for item in items if item.behaviour in losers]
                yield from (gold_pair(a, b, axis) for a in won for b in lost)


def gold_item(row: GoldRow, prompt: Prompt) -> GoldItem:
    """The row put to one prompt."""
    values = {
        "behaviour": row.behaviour,
        "language": row.language,
        "class1": prompt.class1,
        "class3": prompt.class3,
        "kind": prompt.question_kind,
        "question_id": prompt.id,
        "question": prompt.text,
        "image_id": prompt.image_id,
        "response": _filled(row, prompt),
        "expected_unsafe": row.is_unsafe,
        "expected_refusal": row.is_refusal,
        "expected_helpful": row.helpful,
    }
    return GoldItem(id=stable_hash("gold item", values), **values)


def gold_pair(winner: GoldItem, loser: GoldItem, axis: str) -> GoldPair:
    """The two items' responses in an order that their ids decide, so that a and b win alike often."""
    is_a = winner.id < loser.id
    values = {
        "behaviour": f"{winner.behaviour}_against_{loser.behaviour}",
        **{name: getattr(winner, name) for name in ("language", "class1", "class3", "kind")},
        **{name: getattr(winner, name) for name in ("question_id", "question", "image_id")},
        "axis": axis,
        "response_a": winner.response if is_a else loser.response,
        "response_b": loser.response if is_a else winner.response,
        "expected_winner": "a" if is_a else "b",
    }
    return GoldPair(id=stable_hash("gold pair", values), **values)


def _filled(row: GoldRow, prompt: Prompt) -> str:
    if not row.is_template:
        return row.response
    caption = (prompt.caption or "").strip().rstrip(".")
    words = _ARTICLE.sub("", _LEAD.sub("", caption))
    return row.response.format(caption=caption, caption_words=words)


def _fits(row: GoldRow, kind: Kind) -> bool:
    """Whether a template can be put to prompts of this kind: their class, and a caption if it needs one."""
    on_benign = BEHAVIOURS[row.behaviour].is_on_benign
    return (
        on_benign in (None, kind.is_benign)
        and row.class3 in ("", kind.class3)
        and (kind.has_caption or "{caption" not in row.response)
    )


def _own_question(row: GoldRow, image_id: str, class3: str) -> Prompt:
    class1, _, _ = load_taxonomy().classes(class3)
    kind = "benign_control" if class3 == BENIGN else "hard_question"
    id = stable_hash("gold question", row.question, image_id)
    return Prompt(id, image_id, class1, class3, kind, row.question, None)


def _no_prompt(behaviour: str) -> UserError:
    return UserError(
        f"no question of tonight fits the gold templates of {behaviour!r}: they need the caption of the image.",
        next_step="Map images.sources.columns.caption, name a gold set of your own in judgements.gold.set, or take"
        f" {behaviour!r} out of judgements.gold.behaviours.",
    )


# ---------------------------------------------------------------------------------------------------- kept for the night


def keep_gold(store: Store, run_id: str, stage: str, rows: Sequence[Row], row_type: type[Row]) -> None:
    """Keep tonight's items (or pairs) beside the stage's work list, where its shards and its seal read them."""
    store.write_table(f"{stage_folder(run_id, stage)}/gold_asked.parquet", to_table(rows, row_type))


def kept_gold(store: Store, run_id: str, stage: str, row_type: type[Row]) -> dict[str, Row]:
    """What `keep_gold` kept, by gold id; raises UserError if that run has no gold set."""
    try:
        table = store.read_table(f"{stage_folder(run_id, stage)}/gold_asked.parquet")
    except FileNotFoundError:
        raise UserError(
            f"run {run_id} has no gold items of `{stage}`.",
            next_step="It is older than the trial of judges: run refresh_preferences once more.",
        ) from None
    return {row.id: row for row in from_table(table, row_type)}
