"""The nightly refresh: images → questions → responses → judgements → comparisons → preferences → dataset version."""

from airflow.sdk import dag

from spavl.airflow.wiring import DEFAULT_ARGS, OVERRIDES, PROFILE, stage_tasks

DOC = """
### A fresh preference dataset, every night

Reads the image sources of the profile and publishes one new **dataset version** in SPA-VL's layout. Answers that an earlier
night already has are reused, so a night computes only what is new.

- **plan** fixes everything the run reads: channel heads, config, suites, model revisions. Nothing later reads "the latest".
- Each stage is `prepare` → `work` (one mapped task per model) → `seal`, which checks the rows with `expectations/<stage>.yaml`
  and records them. *A failed check publishes nothing, is not retried, and says which expectation, the value and the limit.*
- **dataset / seal** announces the asset `preference_dataset`, which wakes `align_model`.
- The tabs **Report** and **Data Docs** of a run show what was made and how it was checked.

A task that was killed goes on where it was: clear it, or let it retry. Past nights are refused, because their inputs are
today's: trigger a new run instead.
"""


@dag(
    dag_id="refresh_preferences",
    description="Images to a validated, versioned preference dataset, incrementally.",
    doc_md=DOC,
    schedule="@daily",
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params={"profile": PROFILE, "overrides": OVERRIDES},
    tags=["spavl", "data"],
)
def refresh_preferences():
    stage_tasks("refresh_preferences")


refresh_preferences()
