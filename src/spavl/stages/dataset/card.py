"""The dataset card: Hugging Face front matter, counts, provenance and what is simplified. Counts and ids,
never texts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import yaml

from spavl.config import ModelSpec
from spavl.config.root import Config
from spavl.stage import Tables
from spavl.stages.comparisons.rows import AXES
from spavl.stages.dataset.published import PREFIXES
from spavl.stages.dataset.rows import SPLITS, ImageSplit

HUB_LICENCES = {"mit", "apache-2.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc0-1.0", "odc-by"}
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_STAND_INS = {
    "demo_rules": "the demo world's rules, not a model: they read the class of a drawn picture and the words of "
    "an answer, and say nothing about real images or real harm",
    "fake": "a fake for tests and drills: its replies mean nothing",
    "poisoned": "a model whose answers a drill has poisoned: what it made must not be used",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """What the card's tables show, counted."""

    num_rows: Mapping[str, int]  # by split
    num_images: Mapping[str, int]  # by image split
    classes: Sequence[Mapping[str, Any]]  # class1, class2, class3, and rows per split
    decided_by: Mapping[str, int]  # axis -> pairs
    licences: Sequence[tuple[tuple[str, str], int]]  # ((source, licence), images)


def shown(tables: Tables, splits: Sequence[ImageSplit], num_rows: Mapping[str, int]) -> Shown:
    """Counted over the views `dataset_rows` and `images`."""
    decided = dict(tables.sql("SELECT decided_by, count(*) FROM dataset_rows GROUP BY 1").fetchall())
    licences = tables.sql("SELECT source, licence, count(*) FROM images GROUP BY 1, 2 ORDER BY 1, 2")
    return Shown(
        num_rows=num_rows,
        num_images=Counter(row.split for row in splits if row.is_present),
        classes=class_counts(tables),
        decided_by={axis: decided.get(axis, 0) for axis in AXES},
        licences=[((source, licence), number) for source, licence, number in licences.fetchall()],
    )


def class_counts(tables: Tables) -> list[dict[str, Any]]:
    """Rows per class3 and split, sorted by class."""
    names = ("class1", "class2", "class3")
    each = ", ".join(f"count(*) FILTER (split = '{split}')" for split in SPLITS)
    found = tables.sql(f"SELECT {', '.join(names)}, {each} FROM dataset_rows GROUP BY 1, 2, 3 ORDER BY 1, 2, 3")  # fmt: skip
    return [dict(zip((*names, *SPLITS), row, strict=True)) for row in found.fetchall()]


def front_matter(of: Shown) -> str:
    """The card's YAML: licence, size, and the configs by which `load_dataset(folder)` finds the splits."""
    spoken = sorted({licence for (_, licence), _ in of.licences})
    is_known = len(spoken) == 1 and spoken[0].lower() in HUB_LICENCES
    licence = (
        {"license": spoken[0].lower()} if is_known else {"license": "other", "license_name": "see-below"}
    )
    size = next((word for limit, word in _SIZES if sum(of.num_rows.values()) < limit), "n>1M")
    content = {
        **licence,
        "pretty_name": "spavl safety preferences",
        "task_categories": ["image-text-to-text"],
        "tags": ["preference", "dpo", "safety", "vision-language"],
        "size_categories": [size],
        "configs": [
            {"config_name": "default", "default": True, "data_files": _files("train", "validation")},
            {"config_name": "test", "data_files": _files("test_harm", "test_help")},
        ],
    }
    return yaml.safe_dump(content, sort_keys=False)


def card(
    version: str,
    of: Shown,
    config: Config,
    revisions: Mapping[str, str],
    counts: Mapping[str, int],
    measures: Mapping[str, float | None],
) -> str:
    """The whole README.md of a version; `revisions` holds the pinned revision of every model by name."""
    import jinja2

    template = (resources.files("spavl.stages.dataset") / "card.md.j2").read_text("utf-8")
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(
        front_matter=front_matter(of),
        version=version,
        splits=SPLITS,
        num_rows=of.num_rows,
        num_images=of.num_images,
        classes=of.classes,
        decided_by=of.decided_by,
        licences=of.licences,
        models=[_model(spec, revisions) for spec in config.responses.models],
        roles=[_model(spec, revisions, role) for role, spec in _roles(config) if spec],
        stand_ins=stand_ins(config),
        config=config,
        counts=counts,
        measures={name: _percent(value) for name, value in measures.items()},
    )


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.1%}"


def stand_ins(config: Config) -> list[str]:
    """One sentence per role that no real model fills."""
    roles = [
        *_roles(config),
        *((f"answering model `{spec.name}`", spec) for spec in config.responses.models),
    ]
    return [
        f"The {role} is {_STAND_INS[spec.kind]}."
        for role, spec in roles
        if spec is not None and spec.kind in _STAND_INS
    ]


def _roles(config: Config) -> list[tuple[str, ModelSpec | None]]:
    return [
        ("question writer", config.questions.generator),
        ("judge of single answers", config.judgements.judge),
        ("judge of pairs", config.comparisons.judge),
    ]


def _model(spec: ModelSpec, revisions: Mapping[str, str], role: str = "answering model") -> dict[str, str]:
    return {"role": role, "name": spec.name, "kind": spec.kind, "revision": revisions[spec.name]}


def _files(*splits: str) -> list[dict[str, str]]:
    return [
        {"split": split.removeprefix("test_"), "path": f"{PREFIXES[split]}-*.parquet"} for split in splits
    ]
