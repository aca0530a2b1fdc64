"""The reference model's log-probability of every answer, kept in the store and computed once for all nights.

DPO compares the policy with the model that it started from, and that model never changes; so its numbers are kept under a
key of everything that decides them (`cache_keys.py`) and only new answers are computed. What is kept is read back as the
same bytes. Each writer makes a file of its own under `references/`, whole or not at all.
"""

from __future__ import annotations

import hashlib
import io
import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from spavl.artifacts.store import Store
from spavl.records import stable_hash

FOLDER = "references"
log = logging.getLogger("spavl")


@dataclass(frozen=True)
class Terms:
    """What, besides the tokens, decides a reference log-probability."""

    base_revision: str
    adapter_hash: str
    processor: str  # fingerprint
    chat_template: str
    precision: str
    attention: str
    code: str

    @property
    def name(self) -> str:
        """32 hex digits: the folder of these terms."""
        return stable_hash("reference terms", asdict(self))


class ReferenceCache:
    """Key -> log-probability (float32, summed over the answer's tokens, natural logarithm) under one set of terms."""

    def __init__(self, store: Store, terms: Terms) -> None:
        self._store = store
        self._folder = f"{FOLDER}/{terms.name}"
        self._known: dict[str, float] | None = None

    def read(self) -> Mapping[str, float]:
        """All that is kept."""
        if self._known is None:
            self._known = {}
            for name in self._store.names(self._folder):
                self._known |= self._read_file(f"{self._folder}/{name}")
        return self._known

    def add(self, computed: Mapping[str, float]) -> None:
        """Keep more; a key that is there already keeps its value. Of several ranks, one adds."""
        new = {key: value for key, value in computed.items() if key not in self.read()}
        if new:
            self._write(new)
        self._known = {**new, **self.read()}

    def _read_file(self, path: str) -> dict[str, float]:
        """What is sound in one file; what is not counts as never computed, so that it is computed again."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            content = self._store.read(path)
        except FileNotFoundError:
            return {}  # removed since it was listed
        try:
            table = pq.read_table(io.BytesIO(content))
            pairs = list(zip(table["key"].to_pylist(), table["logp"].to_pylist(), strict=True))
        except (pa.ArrowException, OSError, KeyError) as error:
            log.warning(
                "%s is damaged (%s): its log-probabilities count as missing", path, type(error).__name__
            )
            return {}
        sound = {key: logp for key, logp in pairs if logp is not None and math.isfinite(logp)}
        if len(sound) < len(pairs):
            log.warning(
                "%s: %d log-probabilities are no numbers and count as missing", path, len(pairs) - len(sound)
            )
        return sound

    def _write(self, new: Mapping[str, float]) -> None:
        import pyarrow as pa

        keys = sorted(new)
        values = pa.array([new[key] for key in keys], pa.float32())
        name = hashlib.sha256("\n".join(keys).encode()).hexdigest()[:32]
        self._store.write_table(
            f"{self._folder}/{name}.parquet", pa.table({"key": pa.array(keys, pa.string()), "logp": values})
        )
