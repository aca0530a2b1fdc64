"""The section `preferences` of the config."""

from __future__ import annotations

from pydantic import Field

from spavl.config.base import StageSection


class PreferencesConfig(StageSection):
    min_agreement: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Pairs whose orders agree on a smaller share of axes are dropped and counted.",
    )
    min_benign_helpfulness: int = Field(
        0,
        ge=0,
        le=3,
        description="Benign pairs whose chosen answer the judge finds less helpful are dropped and counted.",
    )
