"""The columns that a suite may use beside a release file's own; a release has some dozens of files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

RELEASE_FILES = ("config.json", "README.md", "manifest.json", "tokenizer.json")
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".npz")
COLUMNS = {
    "num_required_files_missing": f"how many of {', '.join(RELEASE_FILES)} are missing; the same in every row",
    "num_weight_files": "number of safetensors files; the same in every row",
    "is_pickle": f"the file's name ends in one of {', '.join(PICKLES)}: formats that may run code when loaded",
}


def derive(raw: pd.DataFrame, counts: Mapping[str, int]) -> dict[str, Any]:
    """COLUMNS of a table of ReleaseFile."""
    return {
        "num_required_files_missing": float(len(set(RELEASE_FILES) - set(raw["path"]))),
        "num_weight_files": float(raw["path"].str.endswith(".safetensors").sum()),
        "is_pickle": raw["path"].str.lower().str.endswith(PICKLES).astype("float64"),
    }
