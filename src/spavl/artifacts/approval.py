"""What a person decided about a release: `runs/<run id>/approval.json`, created once.

A decision is about one evaluation, named by its fingerprint, so it never covers figures that the person has not seen. The same
decision again is success; another one is refused: whoever has changed their mind starts a new run, or rolls the channel back.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

from spavl.artifacts.record import Record, read_record
from spavl.artifacts.store import Store
from spavl.errors import CheckFailed, UserError

APPROVED, REJECTED = "approved", "rejected"
MIN_REASON = 3  # characters


@dataclass(frozen=True)
class Approval:
    """One decision."""

    run_id: str
    decision: str  # approved or rejected
    by: str  # Airflow's user, or the name that the command was told
    reason: str
    decided_at: str  # UTC, ISO 8601
    evaluation: str  # fingerprint of the evaluation that it is about

    def to_json(self) -> bytes:
        return json.dumps(dataclasses.asdict(self), indent=1, sort_keys=True, ensure_ascii=False).encode()

    @property
    def in_words(self) -> str:
        return f"{self.by} {self.decision} it on {self.decided_at[:10]}: {self.reason}"


def read_approval(store: Store, run_id: str) -> Approval | None:
    """The decision about a run, or None if nobody has decided."""
    try:
        return Approval(**json.loads(store.read(approval_path(run_id))))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{store.url_of(approval_path(run_id))} is damaged: {error}.", next_step="Start a new run."
        ) from error


def decide(
    store: Store,
    run_id: str,
    *,
    is_approved: bool,
    by: str,
    reason: str,
    decided_at: str,
    approvers: tuple[str, ...] = (),
) -> Approval:
    """Write the decision, or return the same one that is there already.

    Raises UserError for a run whose gate has not passed or that is released already, a name that is not among `approvers` (if
    there are any), a missing reason, and a decision that contradicts the one that is there.
    """
    _check_words(by, reason, approvers)
    evaluation = _passed_evaluation(store, run_id)
    decision = APPROVED if is_approved else REJECTED
    made = Approval(run_id, decision, by, reason.strip(), decided_at, evaluation.fingerprint)
    found = read_approval(store, run_id)
    if found is None and read_record(store, run_id, "release"):
        raise UserError(
            f"run {run_id} is released already.", next_step="`spavl rollback` points the channel back."
        )
    if found is None and store.create(approval_path(run_id), made.to_json()):
        return made
    found = found or read_approval(store, run_id)
    assert found is not None, "created by another process a moment ago"
    if (found.decision, found.evaluation) != (made.decision, made.evaluation):
        raise UserError(
            f"run {run_id} is decided already: {found.in_words}.",
            next_step="A decision stays. Start a new run, or roll the channel back.",
        )
    return found


def require_approval(store: Store, evaluation: Record, *, required: bool) -> Approval | None:
    """The approval of a release, None if the profile asks for none.

    Raises UserError if nobody has decided about this evaluation, CheckFailed if the release was rejected.
    """
    found = read_approval(store, evaluation.run_id)
    if found and found.decision == REJECTED:
        raise CheckFailed(
            f"the release of run {evaluation.run_id} is rejected: {found.in_words}.",
            next_step="Nothing was published. Mend the reason and start a new run.",
        )
    if not required:
        return found
    if found is None or found.evaluation != evaluation.fingerprint:
        raise UserError(
            f"run {evaluation.run_id} waits for a person: release.approval.required is on and nobody has decided.",
            next_step=f"Decide in Airflow's form, or by `spavl approve --run-id {evaluation.run_id} --approve --reason …`; then run `spavl seal release --run-id {evaluation.run_id}`.",
        )
    return found


def approval_path(run_id: str) -> str:
    return f"runs/{run_id}/approval.json"


def _check_words(by: str, reason: str, approvers: tuple[str, ...]) -> None:
    if not by.strip():
        raise UserError("a decision needs the name of who decides.", next_step="Give --by NAME.")
    if approvers and by not in approvers:
        raise UserError(
            f"{by!r} may not decide about releases.",
            next_step=f"release.approval.approvers names {', '.join(approvers)}.",
        )
    if len(reason.strip()) < MIN_REASON:
        raise UserError(
            f"a decision needs a reason of at least {MIN_REASON} characters, not {reason!r}.",
            next_step="Clear the task to be asked again, or use `spavl approve`.",
        )


def _passed_evaluation(store: Store, run_id: str) -> Record:
    evaluation = read_record(store, run_id, "evaluation")
    if evaluation is None or evaluation.check.get("passed") is not True:
        raise UserError(
            f"the gate of run {run_id} has not passed, so there is nothing to decide.",
            next_step=f"`spavl status --run-id {run_id}` shows how far it is.",
        )
    return evaluation
