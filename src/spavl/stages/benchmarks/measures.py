"""What `benchmarks` measures over its whole table, for its suite to limit (`spavl.validation.measures`)."""

from __future__ import annotations

MEASURES = {
    "num_benchmarks_missing": "benchmarks of the profile that lack a log or a scored sample for one of the models",
    "num_attack_prompts_in_train": "attacks whose wording or whose image stands in train",
}
