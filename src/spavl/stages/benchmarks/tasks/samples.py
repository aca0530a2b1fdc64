"""Samples of the shipped tasks: the prompt, what the judge is told, and the hashes by which the prompt is looked for in train."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessageUser, Content, ContentImage, ContentText

from spavl.records import BENIGN
from spavl.stages.benchmarks.layouts import LayoutRow
from spavl.stages.benchmarks.material import Material
from spavl.stages.benchmarks.wording import text_hash
from spavl.stages.dataset.rows import DatasetRow

CLUSTER, CONTENTS, JUDGED = "cluster", "contents", "judged"  # keys of a sample's metadata


def held_out_sample(
    material: Material, row: DatasetRow, *, text: str | None = None, image: bytes | None = None
) -> Sample:
    """A held-out prompt in another wording, or with another image; the judge is told the plain question and the plain image."""
    plain = material.read_image(row.image_id)
    asked = row.question if text is None else text
    contents = [] if text is None else [text_hash(text)]
    contents += [] if image is None else [hashlib.sha256(image).hexdigest()]
    judged = {"question": row.question, "image": material.kept(plain), "image_id": row.image_id, "class3": row.class3, "kind": row.kind}  # fmt: skip
    return Sample(
        id=row.question_id,
        input=[message(asked, material.kept(image or plain))],
        target="",
        metadata={CLUSTER: row.image_id, CONTENTS: contents, JUDGED: judged, "class1": row.class1},
    )


def layout_sample(
    material: Material, row: LayoutRow, *, benign: bool, classes: Mapping[str, str] | None = None
) -> Sample:
    """A prompt of a published benchmark. `classes` maps its categories to leaves of the taxonomy, which only a rule-based judge reads."""
    image = row.read_image() if row.read_image else None
    path = None if image is None else material.kept(image)
    contents = [text_hash(row.text)] if image is None else [hashlib.sha256(image).hexdigest()]
    class3 = BENIGN if benign else (classes or {}).get(row.category, row.category)
    kind = "benign_control" if benign else "hard_question"
    judged = {
        "question": row.question,
        "image": path,
        "image_id": contents[0],
        "class3": class3,
        "kind": kind,
    }
    return Sample(
        id=row.id,
        input=[message(row.text, path)],
        target=row.answer,
        metadata={CLUSTER: contents[0], CONTENTS: contents, JUDGED: judged, "category": row.category},
    )


def message(text: str, image: str | None, metadata: dict[str, Any] | None = None) -> ChatMessageUser:
    """One user turn: the image, if there is one, then the text."""
    shown: list[Content] = [] if image is None else [ContentImage(image=image)]
    return ChatMessageUser(content=[*shown, ContentText(text=text)], metadata=metadata)
