"""Aligns a model on a dataset version: (reward →) training → evaluation (the gate) beside benchmarks → release."""

from airflow.sdk import Param, dag

from spavl.airflow.wiring import DEFAULT_ARGS, NAME, OVERRIDES, PREFERENCE_DATASET, PROFILE, stage_tasks

DOC = """
### A model aligned on the newest dataset version, gated and reversible

Woken by the asset `preference_dataset`, or from the form. `plan` takes the dataset channel's head at its start, or the version
that the form names; a version that is already aligned with the same recipe is a **skip with the reason**, not a second run.

- **reward** trains the reward model that PPO follows; with DPO it is a visible skip.
- **training** prefers chosen over rejected answers (DPO), or raises the reward of the model's own answers (PPO); killed, it goes
  on from its last checkpoint.
- **evaluation** asks base and aligned model the held-out prompts. Its suite, `expectations/evaluation.yaml`, is **the gate**: where
  it fails, the run fails, nothing is published and the channel still points to the former release.
- **benchmarks** puts the Inspect tasks of the profile to both models, at the same time: attacks, over-refusal, capability. Its logs
  open with `inspect view`; its suite, `expectations/benchmarks.yaml`, must pass too.
- **release / approve** asks a person in Airflow's form, where the profile says so (`release.approval`); otherwise it is a visible
  skip. A rejection fails the run and names who and why.
- **release / seal** publishes the checkpoint to the channel and announces `aligned_checkpoint`. `rollback_release` undoes it.
"""

PARAMS = {
    "dataset_version": Param(
        None,
        type=["null", "string"],
        pattern=r"^[0-9]{8}-[0-9a-f]{10}$",
        title="Dataset version",
        description="Run that made the dataset version, YYYYMMDD-<10 hex digits>; empty takes the channel's head.",
    ),
    "method": Param(
        None,
        type=["null", "string"],
        enum=[None, "dpo", "ppo"],
        title="Method",
        description="How preferences become weights; empty takes the profile's.",
    ),
    "base_model": Param(
        None,
        type=["null", "string"],
        minLength=1,
        title="Base model",
        description="Folder or hub id of the model to align; empty takes the profile's.",
    ),
    "channel": Param(
        None,
        type=["null", "string"],
        pattern=NAME,
        title="Release channel",
        description="Channel the release is published to; empty takes the profile's.",
    ),
    "profile": PROFILE,
    "overrides": OVERRIDES,
}


@dag(
    dag_id="align_model",
    description="DPO or PPO on a dataset version, evaluated, gated and released.",
    doc_md=DOC,
    schedule=[PREFERENCE_DATASET],
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params=PARAMS,
    tags=["spavl", "model"],
)
def align_model():
    stage_tasks("align_model")


align_model()
