"""Where the suites lie. They live once, in `expectations/` at the repository root, because the safety team edits them there."""

from __future__ import annotations

import os
from pathlib import Path

from spavl.errors import UserError
from spavl.stages import own_suite
from spavl.validation.suite import join_variant


def suites_folder() -> Path:
    """SPAVL_EXPECTATIONS where set, else `expectations/` of the checkout this package runs from, else of the working directory.

    Raises UserError where none of them is a folder; a set but wrong SPAVL_EXPECTATIONS is never passed over.
    """
    if chosen := os.environ.get("SPAVL_EXPECTATIONS"):
        candidates = [Path(chosen)]
    else:
        candidates = [Path(__file__).resolve().parents[3] / "expectations", Path("expectations").resolve()]
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise UserError(
        f"there is no folder of expectation suites at {' or '.join(map(str, dict.fromkeys(candidates)))}.",
        next_step="Set SPAVL_EXPECTATIONS to the folder `expectations` of the spavl repository.",
    )


def find_suite(stage: str, variant: str | None = None) -> str:
    """The text of a stage's suite, joined with the variant's if `expectations/<variant>/` has one for it.

    A stage whose suite is not in `expectations/` may bring one in its own folder. Raises UserError if there is no such file or folder, or it is not UTF-8.
    """
    folder = suites_folder()
    path = folder / f"{stage}.yaml"
    text = (None if path.exists() else own_suite(stage)) or _read(path, stage)
    if variant is None:
        return text
    if not (folder / variant).is_dir():
        raise UserError(
            f"the profile says expectations: {variant}, and {folder} has no such folder.",
            next_step="Make it, or leave `expectations` out.",
        )
    path = folder / variant / f"{stage}.yaml"
    return join_variant(text, _read(path, stage)) if path.is_file() else text


def _read(path: Path, stage: str) -> str:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        there = ", ".join(sorted(found.stem for found in path.parent.glob("*.yaml"))) or "none"
        raise UserError(
            f"stage {stage!r} has no suite {path}.", next_step=f"Suites there: {there}."
        ) from None
    except UnicodeDecodeError as error:
        raise UserError(f"the suite {path} is not UTF-8 text (byte {error.start}).") from error
