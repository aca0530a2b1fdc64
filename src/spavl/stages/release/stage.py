"""Release: the trained model with its card, lineage and manifest, as one folder. Seal alone; the runner publishes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from spavl.artifacts.approval import Approval, require_approval
from spavl.artifacts.record import Record, read_record
from spavl.config import ModelSpec
from spavl.errors import CheckFailed, UserError
from spavl.inference.poisoned import poison_in
from spavl.pipeline import DAGS
from spavl.records import stable_hash
from spavl.stage import Answered, Sealed, StageContext
from spavl.stages.evaluation.rows import Score
from spavl.stages.release.card import card
from spavl.stages.release.lineage import lineage
from spavl.stages.release.loading import write_manifest
from spavl.stages.release.rows import ReleaseFile


def seal(context: StageContext, answered: Answered) -> Sealed:
    """The release's files; raises CheckFailed where the gate did not pass or a person rejected it, UserError where
    there is no model or the profile's approval is missing."""
    dataset, training, evaluation = (context.record(stage) for stage in ("dataset", "training", "evaluation"))
    for gate in (evaluation, context.record("benchmarks")):
        _require_gate(gate)
    _refuse_poison(context, dataset)
    approval = require_approval(context.store, evaluation, required=context.config.release.approval.required)
    base, judge = (
        _describe(context, context.config.training.base),
        _describe(context, context.config.evaluation.judge),
    )
    scores = context.rows("evaluation")
    folder = _fetch_model(context, training)
    text = card(base, judge, scores, dataset, training, evaluation, context.run_id)
    (folder / "README.md").write_text(text, "utf-8")
    revisions = {model["name"]: model["revision"] for model in (base, judge)}
    descent = lineage(context.run_id, dataset, training, evaluation, revisions)
    (folder / "lineage.json").write_text(json.dumps(descent, indent=1, sort_keys=True) + "\n", "utf-8")
    files = write_manifest(folder)
    details = _details(files, scores, dataset, evaluation, base, judge)
    details["channel_entry"] |= _approved(approval)
    counts = {"files": len(files), "bytes": sum(file.num_bytes for file in files)}
    return Sealed(files, counts, folders={"release": folder}, details=details)


def _require_gate(gate: Record) -> None:
    if gate.check.get("passed") is not True:
        raise CheckFailed(
            f"`{gate.stage}` of run {gate.run_id} has not passed its suite "
            f"(passed: {gate.check.get('passed')}); a release needs true.",
            next_step=f"Nothing was released. See the record of `{gate.stage}` for the failed expectation.",
        )


def _refuse_poison(context: StageContext, dataset: Record) -> None:
    """What `spavl drill` has poisoned is never published, whatever the gate says."""
    made = [read_record(context.store, dataset.run_id, stage) for stage in DAGS["refresh_preferences"]]
    configs = [context.config.model_dump(mode="json"), *(record.config for record in made if record)]
    if word := poison_in(configs):
        raise UserError(
            f"run {context.run_id} holds a model with the poison {word!r}: a drill, which is never released.",
            next_step="Take the poisoned model out of the profile and start a new run.",
        )


def _approved(approval: Approval | None) -> dict[str, str]:
    """What the channel entry says of a person's decision."""
    if approval is None:
        return {}
    return {
        "approved_by": approval.by,
        "approval_reason": approval.reason,
        "approved_at": approval.decided_at,
    }


def _fetch_model(context: StageContext, training: Record) -> Path:
    if "model" not in training.folders:
        raise UserError(
            f"training of run {training.run_id} has the folders {sorted(training.folders)} and no 'model'.",
            next_step="Start a new run of align_model.",
        )
    entry = training.folders["model"]
    return context.store.download(entry["path"], context.scratch / "release", entry["files"])


def _describe(context: StageContext, spec: ModelSpec | None) -> dict[str, str]:
    assert spec is not None, "training and evaluation have refused a config without base or judge"
    return {"name": spec.name, "kind": spec.kind, "revision": context.revision(spec.name)}


def _details(
    files: list[ReleaseFile],
    scores: list[Score],
    dataset: Record,
    evaluation: Record,
    base: dict[str, str],
    judge: dict[str, str],
) -> dict[str, Any]:
    """What the channel entry says: later decisions choose their best earlier release by these scores."""
    release_id = stable_hash({file.path: file.sha256 for file in files})[:12]
    greedy = [score for score in scores if score.slice == "all" and score.decoding == "greedy"]
    by_name = {f"{score.benchmark}/{score.model}/{score.metric}": score.value for score in greedy}
    summary = {
        "release_id": release_id,
        "dataset_version": dataset.details.get("version", dataset.fingerprint),
        "base": base,
        "judge": judge,
        "verdict": "pass" if evaluation.check["passed"] else "fail",
        "decision": evaluation.details.get("decision", {}),
        "references": evaluation.details.get("references", {}),
        "unsafe_change": by_name.get("held_out_harm/change/unsafe_rate"),
        "help_change": by_name.get("held_out_benign/change/help_rate"),
        "scores": by_name,
    }
    return {"release_id": release_id, "channel_entry": summary}
