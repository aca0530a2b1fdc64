"""Great Expectations, kept to itself: in memory, no analytics, no progress bars, no docs site of its own."""

from __future__ import annotations

import logging
from typing import Any

from spavl.validation.gx_import import great_expectations


def ephemeral_context() -> Any:
    """A fresh context that sends nothing and prints nothing."""
    gx = great_expectations()
    from great_expectations.data_context.types.base import DataContextConfig, InMemoryStoreBackendDefaults

    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    # get_context's own default makes, logs and forgets a temporary folder for a docs site that nobody builds
    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        progress_bars={"globally": False},
    )
    return gx.get_context(project_config=config, mode="ephemeral")


def frame_batches(stage: str) -> Any:
    """The definition of a batch that is a whole pandas frame, in a context of its own."""
    asset = ephemeral_context().data_sources.add_pandas("spavl").add_dataframe_asset(stage)
    return asset.add_batch_definition_whole_dataframe("table")
