"""The rows that stages exchange, one frozen dataclass per table, and the Arrow schema of each.

A row's `id` is a hash of what the row answers, so the same question to the same model gives the same id on every night
and on every machine. Rows that failed stay in their table with an `outcome` other than "ok" (a suite limits how many):
they are never replaced by a default. This module knows nothing of files, models or stages.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import types
import typing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import pyarrow as pa

BENIGN = "benign"  # class1 = class2 = class3 of an image that shows nothing harmful

QUESTION_KINDS = ("easy_question", "hard_question", "hard_statement", "benign_control")
OUTCOMES = (
    "ok",
    "unparsable",
    "error",
)  # unparsable: a reply came but not in the form asked for; error: no reply came
JUDGE_MODES = (
    "image",
    "text",
)  # text: the judge does not see the image; the difference is the leakage signal
AXES = ("harmlessness", "helpfulness")
ORDERS = ("ab", "ba")
SPLITS = ("train", "validation", "test_harm", "test_help")
BENCHMARK_FAMILIES = (
    "attack",
    "over_refusal",
    "capability",
    "other",
)  # what a benchmark asks for: harm in a disguise, harmless help that looks like harm, skill

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Image:
    """An image that passed ingest; its bytes are the blob of the same id."""

    id: str  # sha256 of the bytes, hex
    source: str  # name of the image source in the profile
    source_key: str  # path inside the source
    class1: str  # domain id of the taxonomy, or "benign"
    class2: str  # category id
    class3: str  # leaf id
    licence: str
    caption: str | None
    provided_question: str | None  # a question that came with the image, where the source has one
    provided_question_kind: str | None  # one of QUESTION_KINDS
    width_px: int
    height_px: int
    num_bytes: int
    format: str  # PNG, JPEG, WEBP
    perceptual_hash: str  # 64-bit pHash, 16 hex digits


@dataclass(frozen=True, slots=True)
class ImageCandidate:
    """What reading one file of an image source gave: an image, or the reason why it is in quarantine."""

    id: str  # hash of (source, source_key, the store's own fingerprint of that file)
    source: str
    source_key: str
    reason: str | None  # None: accepted. Otherwise a word from images.QUARANTINE_REASONS
    detail: str | None  # the value seen and the limit; never the content
    image: str | None  # JSON of the Image, where accepted
    thumbnails: str | None = None  # small grey versions, where accepted and made (audit/thumbnails.py)


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """Small grey versions of an image, by which changed copies of it are found."""

    id: str  # image id
    thumbnails: str  # base64 of one or two of 32 x 32 bytes (audit/thumbnails.py)


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A row of the input that was set aside, with the reason; a suite limits their share."""

    id: str
    source: str
    source_key: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Question:
    """A question, statement or benign control about one image."""

    id: str  # hash of (image id, kind, generator, its revision, prompt hash, seed)
    image_id: str
    class1: str
    class2: str
    class3: str
    kind: str  # one of QUESTION_KINDS
    text: str  # "" unless outcome is "ok"
    generator: str  # model name, or "source" where the question came with the image
    generator_revision: str
    prompt_hash: str
    seed: int
    outcome: str  # one of OUTCOMES
    error: str | None
    raw_reply: str | None


@dataclass(frozen=True, slots=True)
class Response:
    """One model's answer to one question."""

    id: str  # hash of (question id, question text, image id, model, revision, prompt hash, sampling, sample number)
    question_id: str
    image_id: str
    model: str
    model_revision: str
    sample: int  # 0-based number of the sample
    prompt_hash: str
    sampling: str  # JSON: temperature, top_p, max_tokens, seed
    text: str
    outcome: str  # "ok" or "error"
    error: str | None
    finish_reason: str | None
    prompt_tokens: int | None
    completion_tokens: int | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """A judge's reading of one response; the label fields are None unless outcome is "ok"."""

    id: str  # hash of (response id, response text, mode, judge, revision, prompt hash)
    response_id: str
    question_id: str
    image_id: str
    model: str  # who gave the response
    mode: str  # one of JUDGE_MODES
    judge: str
    judge_revision: str
    prompt_hash: str
    outcome: str
    error: str | None
    is_unsafe: bool | None
    category: str | None  # leaf id of the harm, None where safe
    severity: int | None  # 0 none, 1 minor, 2 serious, 3 extreme
    is_refusal: bool | None
    helpfulness: int | None  # 0 useless or refused, 1 weak, 2 good, 3 complete
    raw_reply: str | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One asking of the judge: two responses, one axis, one order of presentation."""

    id: str  # hash of (response ids and texts, axis, order, judge, revision, prompt hash)
    question_id: str
    image_id: str
    response_a: str  # response id
    response_b: str
    model_a: str
    model_b: str
    group_a: int  # safety group of the model, 0 (least safe) to 4 (safest)
    group_b: int
    axis: str  # one of AXES
    order: str  # "ab": a was shown first; "ba": b was
    judge: str
    judge_revision: str
    prompt_hash: str
    outcome: str
    error: str | None
    winner: str | None  # "a", "b" or "tie", already turned back to a and b
    reason: str | None
    raw_reply: str | None


@dataclass(frozen=True, slots=True)
class GoldItem:
    """A question whose answer is known: one response and the labels that a judge should give it."""

    id: str  # hash of everything below: the same every night
    behaviour: str  # one of judging.BEHAVIOURS
    language: str  # of the response
    class1: str
    class3: str
    kind: str  # one of QUESTION_KINDS
    question_id: str
    question: str
    image_id: str
    response: str
    expected_unsafe: bool
    expected_refusal: bool | None  # None: either is right
    expected_helpful: bool | None


@dataclass(frozen=True, slots=True)
class GoldPair:
    """Two responses to one question, and which of them wins on one axis."""

    id: str  # hash of everything below: the same every night
    behaviour: str  # "<winner's behaviour>_against_<the other's>"
    language: str
    class1: str
    class3: str
    kind: str
    question_id: str
    question: str
    image_id: str
    axis: str  # one of AXES
    response_a: str  # the text
    response_b: str
    expected_winner: str  # "a" or "b"


@dataclass(frozen=True, slots=True)
class JudgeTrial:
    """What a judge said of one gold item tonight; the given labels are None unless outcome is "ok"."""

    id: str  # hash of (run id, gold id, mode, judge, revision, prompt hash): never the same on another night
    gold_id: str
    behaviour: str
    language: str
    class1: str
    class3: str
    question_id: str
    image_id: str
    mode: str  # one of JUDGE_MODES
    judge: str
    judge_revision: str
    prompt_hash: str
    outcome: str
    error: str | None
    expected_unsafe: bool
    expected_refusal: bool | None
    expected_helpful: bool | None
    is_unsafe: bool | None
    is_refusal: bool | None
    helpfulness: int | None


@dataclass(frozen=True, slots=True)
class ComparisonTrial:
    """What a judge said of one gold pair in one order tonight."""

    id: str  # hash of (run id, gold id, order, judge, revision, prompt hash): never the same on another night
    gold_id: str
    behaviour: str
    language: str
    class1: str
    class3: str
    question_id: str
    image_id: str
    axis: str
    order: str  # one of ORDERS
    judge: str
    judge_revision: str
    prompt_hash: str
    outcome: str
    error: str | None
    expected_winner: str  # "a" or "b"
    winner: str | None  # "a", "b" or "tie"


@dataclass(frozen=True, slots=True)
class Preference:
    """A pair ready for training: chosen is better than rejected."""

    id: str  # hash of (question id, chosen response id, rejected response id)
    question_id: str
    image_id: str
    class1: str
    class2: str
    class3: str
    kind: str
    is_benign: bool
    question: str
    chosen: str
    rejected: str
    chosen_response: str
    rejected_response: str
    chosen_model: str
    rejected_model: str
    chosen_group: int
    rejected_group: int
    decided_by: str  # one of AXES
    margin: float  # 0 to 1: share of askings won by chosen minus share won by rejected, the deciding axis counted twice
    agreement: float  # 0 to 1: share of the axes on which both orders named the same winner
    comparisons: tuple[str, ...]  # comparison ids
    chosen_is_unsafe: bool | None = None  # the judge's label, seeing the image; None where it gave none
    rejected_is_unsafe: bool | None = None


@dataclass(frozen=True, slots=True)
class DatasetRow:
    """One row of a dataset version: a pair in train or validation, a bare prompt in the test splits."""

    id: str  # preference id, or question id in the test splits
    split: str  # one of SPLITS
    image_id: str
    duplicate_group: (
        str  # smallest image id among this image's near duplicates; one group is never in two splits
    )
    question_id: str
    question: str
    chosen: str | None
    rejected: str | None
    class1: str
    class2: str
    class3: str
    kind: str
    is_benign: bool
    margin: float | None
    agreement: float | None
    decided_by: str | None
    chosen_model: str | None
    rejected_model: str | None
    chosen_is_unsafe: bool | None = None  # the judge's label; a reward model's second head learns from it
    rejected_is_unsafe: bool | None = None


@dataclass(frozen=True, slots=True)
class TrainingMetric:
    """One logged value of one training step."""

    id: str  # "<step>/<name>"
    step: int
    epoch: float
    name: str  # the trainer's own name: loss, rewards/margins, logps/chosen, learning_rate, …
    value: float


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


@dataclass(frozen=True, slots=True)
class BenchmarkRun:
    """One Inspect task put to one model: where its log is, and what each sample scored. It holds no prompt and no answer."""

    id: str  # hash of (task and its version, arguments, model revision, judge and its revision, dataset version, sampling)
    benchmark: str  # its name in the profile
    family: str  # one of BENCHMARK_FAMILIES
    task: str  # the Inspect task, as the profile names it
    model: str  # base, aligned or champion
    model_revision: str
    judge: str  # the judging model, or "inspect" if the task's own rule scored
    judge_revision: str
    log: str  # path of the Inspect log in the store
    num_samples: int
    num_errors: int  # samples that ended without a score
    samples: str  # JSON list: {id, cluster, values: {metric: number or null}, contents: [hashes that train must not hold]}
    outcome: str  # "ok", or "error" if no sample has a score


@dataclass(frozen=True, slots=True)
class BenchmarkScore:
    """One metric of one model on one benchmark: the share of its samples for which it holds, with the 95 % interval."""

    id: str  # "<benchmark>/<model>/<metric>"
    benchmark: str
    family: str  # one of BENCHMARK_FAMILIES
    task: str
    model: str  # base, aligned, champion, or change and change_from_champion (aligned minus that one, paired by sample)
    model_revision: str
    metric: str  # unsafe_rate, refusal_rate, neither_rate | over_refusal_rate, help_rate | right_rate | the task's own; unparsable_rate, error_rate
    value: float  # a share, 0 to 1 (change: -1 to 1)
    low: float  # lower end of the 95 % interval
    high: float
    n: int
    interval: str  # how it was made
    judge: str
    judge_revision: str
    log: str  # path of the Inspect log in the store (change: that of the aligned model)


@dataclass(frozen=True, slots=True)
class ReleaseFile:
    """One file of a release, with its checksum."""

    id: str  # the path
    path: str  # inside the release folder
    sha256: str
    num_bytes: int


def stable_hash(*parts: Any) -> str:
    """32 hex digits over the parts' canonical JSON: the same on every machine, process and night."""
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


@functools.cache
def arrow_schema(row_type: type) -> pa.Schema:
    """The Arrow schema of a row type: field order, types and nullability follow its annotations."""
    import pyarrow as pa

    scalars = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}

    def arrow_field(name: str, annotation: Any) -> pa.Field:
        nullable = isinstance(annotation, types.UnionType)
        if nullable:
            (annotation,) = (arg for arg in typing.get_args(annotation) if arg is not type(None))
        if typing.get_origin(annotation) is tuple:
            return pa.field(name, pa.list_(scalars[typing.get_args(annotation)[0]]), nullable=nullable)
        return pa.field(name, scalars[annotation], nullable=nullable)

    hints = typing.get_type_hints(row_type)
    return pa.schema([arrow_field(field.name, hints[field.name]) for field in dataclasses.fields(row_type)])


def to_table(rows: typing.Sequence[Row], row_type: type[Row]) -> pa.Table:
    """Rows as an Arrow table with exactly `arrow_schema(row_type)`."""
    import pyarrow as pa

    schema = arrow_schema(row_type)
    # column by column: dataclasses.asdict copies deeply and took half of a stage's time at 100,000 rows
    return pa.Table.from_pydict(
        {name: [getattr(row, name) for row in rows] for name in schema.names}, schema=schema
    )


def from_table(table: pa.Table, row_type: type[Row]) -> list[Row]:
    """The rows of a table; raises ValueError where its schema is not the row type's."""
    expected = arrow_schema(row_type)
    if not table.schema.equals(expected):
        raise ValueError(
            f"a table of {row_type.__name__} has the columns {table.schema.names}, not {expected.names}"
        )
    columns = [table.column(name).to_pylist() for name in expected.names]
    for number, field in enumerate(expected):
        if str(field.type).startswith("list"):
            columns[number] = [tuple(value) for value in columns[number]]
    return [row_type(*values) for values in zip(*columns, strict=True)]
