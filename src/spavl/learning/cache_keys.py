"""Names under which image features and reference log-probabilities are kept: all that can change a value is in them.

A key that leaves something out gives yesterday's numbers for today's model without a word; one that has too much only
computes again. So whatever is in doubt is in the key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from spavl.records import stable_hash

LAYOUT = 1  # raised by whoever changes what this package computes, beyond rounding


def feature_key(
    *,
    base_revision: str,
    processor: str,
    image_sha256: str,
    precision: str,
    attention: str,
    code: str,
) -> str:
    """The key of one image's tower output; `processor` and `code` come from the two functions below.

    `precision` names the dtype of weights and autocast, `attention` the tower's attention implementation.
    """
    return stable_hash("features", base_revision, processor, image_sha256, precision, attention, code)


def reference_key(
    *,
    base_revision: str,
    adapter_hash: str,
    processor: str,
    chat_template: str,
    image_sha256: str,
    input_ids: Sequence[int],
    num_prompt: int,
    precision: str,
    attention: str,
    code: str,
) -> str:
    """The key of one answer's reference log-probability: `input_ids[num_prompt:]` after the rest, about this image.

    `adapter_hash` is empty where the reference is the base itself; `attention` is the language model's implementation.
    """
    return stable_hash(
        "reference",
        base_revision,
        adapter_hash,
        processor,
        hashlib.sha256(chat_template.encode()).hexdigest(),
        image_sha256,
        _hash_of_ids(input_ids),
        num_prompt,
        precision,
        attention,
        code,
    )


def processor_fingerprint(processor: Any) -> str:
    """32 hex digits over all settings of a processor's image side, its backend and the library that scales the images.

    The class is part of it: the PIL and the torchvision backend of one processor give different pixels.
    """
    import PIL
    import transformers

    images = processor.image_processor
    own = {
        name: value for name, value in vars(processor).items() if isinstance(value, str | int | float | bool)
    }
    own.pop("chat_template", None)  # the keys that depend on it name it themselves
    return stable_hash(
        type(processor).__name__,
        own,
        type(images).__name__,
        _plain(images.to_dict()),
        PIL.__version__,
        transformers.__version__,
    )


def code_version() -> str:
    """What computes: this package's layout and the libraries below it."""
    import torch
    import transformers

    return f"layout {LAYOUT}, torch {torch.__version__}, transformers {transformers.__version__}"


def _hash_of_ids(input_ids: Sequence[int]) -> str:
    import numpy as np

    return hashlib.sha256(np.asarray(input_ids, dtype="<i8").tobytes()).hexdigest()


def _plain(value: Any) -> Any:
    """JSON's own types in place of tuples, enumerations, size objects; anything unknown by its text."""
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [
            _plain(item) for item in (sorted(value, key=str) if isinstance(value, set | frozenset) else value)
        ]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
