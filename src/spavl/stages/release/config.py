"""The section `release` of the config."""

from __future__ import annotations

from pydantic import Field

from spavl.config.base import Name, Section, StageSection


class ApprovalConfig(Section):
    """A person's decision between gate and release."""

    required: bool = Field(
        False, description="Nothing is released before a person has approved it; a rejection fails the run."
    )
    approvers: tuple[str, ...] = Field(
        (), description="Airflow user names that may decide; empty: whoever may answer the DAG's requests."
    )
    timeout_h: float = Field(
        72.0, gt=0, le=24 * 30, description="Airflow's task waits this long, in hours; then the run fails."
    )


class ReleaseConfig(StageSection):
    channel: Name = Field("stable", description="Channel that a release is published to.")
    approval: ApprovalConfig = Field(default_factory=ApprovalConfig)
