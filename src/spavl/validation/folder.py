"""Where the suites lie. They live once, in `expectations/` at the repository root, because the safety team edits them there."""

from __future__ import annotations

import os
from pathlib import Path

from spavl.errors import UserError


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


def find_suite(stage: str) -> str:
    """The text of a stage's suite; raises UserError where there is no such file or it is not UTF-8."""
    path = suites_folder() / f"{stage}.yaml"
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        there = ", ".join(sorted(found.stem for found in path.parent.glob("*.yaml"))) or "none"
        raise UserError(
            f"stage {stage!r} has no suite {path}.", next_step=f"Suites there: {there}."
        ) from None
    except UnicodeDecodeError as error:
        raise UserError(f"the suite {path} is not UTF-8 text (byte {error.start}).") from error
