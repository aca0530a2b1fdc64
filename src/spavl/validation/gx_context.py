"""Great Expectations, kept to itself: in memory, no analytics, no progress bars, no docs site of its own."""

from __future__ import annotations

import logging
import os
from typing import Any


def ephemeral_context() -> Any:
    """A fresh context that sends nothing and prints nothing."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx
    from great_expectations.data_context.types.base import DataContextConfig, InMemoryStoreBackendDefaults

    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    # get_context's own default makes, logs and forgets a temporary folder for a docs site that nobody builds
    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        progress_bars={"globally": False},
    )
    return gx.get_context(project_config=config, mode="ephemeral")
