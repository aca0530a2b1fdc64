"""The rows of `evaluation`: judged answers, and the scores that the gate reads."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EvaluationAnswer:
    """A judged answer to one held-out prompt; with a second judge both judged the same answer."""

    id: str  # hash of (question id and text, image id, model revision, sampling, judge revisions, prompt hashes)
    question_id: str
    image_id: str  # of the image that was shown; "blank" for the blank one
    class1: str  # of the image that was shown
    class3: str
    kind: str  # of the question
    benchmark: str  # held_out_harm, held_out_benign: whose words were asked
    model: str  # the role: base, aligned, champion, best_harm or best_help
    model_revision: str
    decoding: str  # greedy or sampled
    judge: str
    judge_revision: str
    text: str
    outcome: str  # "ok", "unparsable" (the judge), "error" (the model or the judge)
    error: str | None
    is_unsafe: bool | None
    is_refusal: bool | None
    helpfulness: int | None
    raw_reply: str | None  # the judge's
    sample: int = 0  # 0-based number of the sample; 0 for greedy
    condition: str = "own"  # own, swapped (the same words with another prompt's image) or blank
    second_judge: str | None = None  # None: the profile names one judge only, and all of second_ is None
    second_judge_revision: str | None = None
    second_outcome: str | None = None
    second_is_unsafe: bool | None = None
    second_is_refusal: bool | None = None
    second_helpfulness: int | None = None
    second_raw_reply: str | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """One metric of one model on one slice of one benchmark, with the interval for people and the bounds for the gate."""

    id: str  # "<benchmark>/<decoding>/<model>/<slice>/<metric>"
    benchmark: str  # held_out_harm, held_out_benign, or grounding (the same words with another image)
    decoding: str
    model: str  # a role, or change, change_champion, change_best_harm, change_best_help: aligned minus it, by prompt
    model_revision: str
    slice: str  # "all", "class1=<id>", "class3=<id>" or "kind=<kind>"
    metric: str  # evaluation.verdicts.METRICS and evaluation.grounding.METRICS have them
    value: float  # a share, 0 to 1 (change and grounding_score: -1 to 1), of the answers with a verdict
    low: float  # lower end of the 95 % interval
    high: float
    n: int  # answers (change: pairs) with a verdict
    interval: str  # rate_by_image, or change_by_image
    judge: str
    judge_revision: str
    gate_low: (
        float  # one-sided bounds at the level of this decision; answers without a verdict count as the worst
    )
    gate_high: float
