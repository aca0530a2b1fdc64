"""The dataset card: Hugging Face front matter, counts, provenance and what is simplified. Counts and ids,
never texts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import Any

import yaml

from spavl.config import Config, ModelSpec
from spavl.dataset.published import FILES
from spavl.dataset.splitting import ImageSplit
from spavl.records import AXES, SPLITS, DatasetRow, Image

HUB_LICENCES = {"mit", "apache-2.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc0-1.0", "odc-by"}
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_STAND_INS = {
    "demo_rules": "the demo world's rules, not a model: they read the class of a drawn picture and the words of "
    "an answer, and say nothing about real images or real harm",
    "fake": "a fake for tests and drills: its replies mean nothing",
    "poisoned": "a model whose answers a drill has poisoned: what it made must not be used",
}


def front_matter(rows: Sequence[DatasetRow], licences: Iterable[str]) -> str:
    """The card's YAML: licence, size, and the configs by which `load_dataset(folder)` finds the splits."""
    spoken = sorted(set(licences))
    is_known = len(spoken) == 1 and spoken[0].lower() in HUB_LICENCES
    licence = (
        {"license": spoken[0].lower()} if is_known else {"license": "other", "license_name": "see-below"}
    )
    size = next((word for limit, word in _SIZES if len(rows) < limit), "n>1M")
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
    rows: Sequence[DatasetRow],
    splits: Sequence[ImageSplit],
    images: Mapping[str, Image],
    config: Config,
    revisions: Mapping[str, str],
    counts: Mapping[str, int],
    measures: Mapping[str, float | None],
) -> str:
    """The whole README.md of a version; `revisions` holds the pinned revision of every model by name."""
    import jinja2

    used = [images[row.id] for row in splits if row.is_present]
    template = (resources.files("spavl.dataset") / "card.md.j2").read_text("utf-8")
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(
        front_matter=front_matter(rows, (image.licence for image in used)),
        version=version,
        splits=SPLITS,
        num_rows=Counter(row.split for row in rows),
        num_images=Counter(row.split for row in splits if row.is_present),
        classes=class_counts(rows),
        decided_by={axis: sum(row.decided_by == axis for row in rows) for axis in AXES},
        licences=sorted(Counter((image.source, image.licence) for image in used).items()),
        models=[_model(spec, revisions) for spec in config.responses.models],
        roles=[_model(spec, revisions, role) for role, spec in _roles(config) if spec],
        stand_ins=stand_ins(config),
        config=config,
        counts=counts,
        measures={name: _percent(value) for name, value in measures.items()},
    )


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.1%}"


def class_counts(rows: Sequence[DatasetRow]) -> list[dict[str, Any]]:
    """Rows per class3 and split, sorted by class."""
    found = Counter((row.class1, row.class2, row.class3, row.split) for row in rows)
    classes = sorted({key[:3] for key in found})
    return [
        {"class1": names[0], "class2": names[1], "class3": names[2]}
        | {split: found[(*names, split)] for split in SPLITS}
        for names in classes
    ]


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
    return [{"split": split.removeprefix("test_"), "path": FILES[split]} for split in splits]
