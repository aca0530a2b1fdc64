"""The page's frame: verdict, key figures, what is simplified, the stages, the checks, the lineage. Pure: state in, values out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from spavl.pipeline import BY_NAME
from spavl.report import words
from spavl.report.checks import expectations_of, verdict_of
from spavl.report.ending import WORDS, Ending, ending_of, reasons
from spavl.report.reading import GATE, RunState, StageState

SHARED_COUNTS = ("rows", "reused", "computed")  # the runner's; the others are the stage's own
SET_ASIDE = ("quarantined", "dropped", "unparsable", "errors", "filtered")
DEMO_MODELS_FOLDER = "/demo/world/models/"  # where the demo profile keeps the models it taught
DEMO_MODELS = (
    "The models are tiny and were taught on pictures that the program drew: "
    "their rates show that the line works, not how a real model behaves."
)


def verdict(run: RunState) -> dict[str, str]:
    """The badge: kind (done, failed, inconclusive, waiting, skipped, unfinished) and words."""
    ending = ending_of(run.plan, run.own, run.approval)
    words_of = {
        "failed": f"Stopped at {ending.stage}: {_why_stopped(run, ending)}",
        "inconclusive": f"Inconclusive at {ending.stage}: too little was measured to decide, nothing was published",
        "rejected": f"{ending.reason}. Nothing was published",
        "waiting": ending.reason,
        "skipped": f"Skipped: {ending.reason}",
        "unfinished": _how_far(run, ending),
    }
    kind = {"rejected": "failed"}.get(ending.kind, ending.kind)
    return {
        "kind": kind if kind in words_of else "done",
        "words": words_of.get(ending.kind, WORDS[ending.kind]),
    }


def _why_stopped(run: RunState, ending: Ending) -> str:
    stage = run.stages.get(ending.stage)
    has_evidence = stage is not None and stage.evidence is not None
    return "its check failed, nothing was published" if has_evidence else "it could not go on"


def _how_far(run: RunState, ending: Ending) -> str:
    done = sum(stage.word == "done" for stage in run.own)
    following = f", next is {ending.stage}" if ending.stage else ""
    return f"Not finished: {done} of {len(run.own)} stages done{following}"


def simplifications(run: RunState) -> list[str]:
    """What in this run is a stand-in or a drill, in sentences; empty where nothing is."""
    places: dict[tuple[str, str], dict[str, None]] = {}
    for _, place, spec in _models_used(run):
        for before, after in _stand_in(place, spec):
            places.setdefault((before, after), {})[place] = None
    sentences = [f"{before} ({', '.join(found)}) {after}" for (before, after), found in places.items()]
    if any(DEMO_MODELS_FOLDER in str(spec.get("path", "")) for _, _, spec in _models_used(run)):
        sentences.append(DEMO_MODELS)
    return sentences


def _stand_in(place: str, spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The sentences about one model, as what comes before and after the place."""
    role = (
        "The judge"
        if place.endswith(".judge")
        else "The question writer"
        if "generator" in place
        else "A model"
    )
    if spec["kind"] == "fake":
        yield role, "is a fake with canned replies."
    if spec["kind"] == "demo_rules":
        yield (
            role,
            "is the demo world's rules, not a model. What it says means nothing outside the demo world.",
        )
    if spec.get("flip_share"):
        yield (
            role,
            f"takes part in a drill: it turns {words.percent(spec['flip_share'], 0)} of its labels upside down.",
        )
    if spec.get("garbage_share"):
        yield (
            role,
            f"takes part in a drill: it makes {words.percent(spec['garbage_share'], 0)} of its replies unreadable.",
        )


def model_specs(config: Any, place: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(where, spec) of every model in a resolved config."""
    if isinstance(config, Mapping):
        if config.get("kind") in ("fake", "demo_rules", "endpoint", "transformers"):
            yield place, config
        else:
            for key, value in config.items():
                yield from model_specs(value, f"{place}.{key}".lstrip("."))
    elif isinstance(config, list | tuple):
        for value in config:
            yield from model_specs(value, place)


def stage_rows(run: RunState, docs: Mapping[str, str | None]) -> list[dict[str, Any]]:
    """One entry per stage for the stage table."""
    return [_stage_row(run, stage, docs.get(stage.name)) for stage in run.stages.values()]


def _stage_row(run: RunState, stage: StageState, docs: str | None) -> dict[str, Any]:
    counts, is_sharded = stage.counts, BY_NAME[stage.name].is_sharded
    return {
        "name": stage.name,
        "summary": BY_NAME[stage.name].summary,
        "is_own": stage.run_id == run.run_id,
        "run_id": stage.run_id,
        "word": stage.word,
        "rows": words.number(counts.get("rows")),
        # a stage without shards makes its table anew each time: neither word fits
        "reused": words.number(counts.get("reused") if is_sharded else None),
        "computed": words.number(counts.get("computed") if is_sharded else None),
        **_own_counts(stage),
        "check": verdict_of(stage.check),
        "num_expectations": len(expectations_of(stage.check)),
        "failures": reasons(stage),
        "has_evidence": stage.evidence is not None,
        "is_gate": stage.name == GATE,
        "docs": docs,
    }


def _own_counts(stage: StageState) -> dict[str, list[str]]:
    """The stage's own counts in words: what it set aside, and the others. Zeros and breakdowns ("kind.x") are left out."""
    kept = {
        key: value
        for key, value in stage.counts.items()
        if value and key not in (*SHARED_COUNTS, stage.name) and "." not in key
    }
    in_words = {key: f"{words.number(value)} {words.count_name(key)}" for key, value in kept.items()}
    aside = [text for key, text in in_words.items() if key.startswith(SET_ASIDE)]
    return {"aside": aside, "others": [text for text in in_words.values() if text not in aside]}


def checks(run: RunState) -> list[dict[str, Any]]:
    """Every suite that ran, the gate and failed ones first, each with its expectations."""
    ran = [stage for stage in run.stages.values() if stage.check]
    ran.sort(key=lambda stage: (verdict_of(stage.check) != "failed", stage.name != GATE))
    return [
        {
            "stage": stage.name,
            "title": "Release gate" if stage.name == GATE else stage.name.capitalize(),
            "verdict": verdict_of(stage.check),
            "expectations": expectations_of(stage.check),
            "is_open": stage.name == GATE or verdict_of(stage.check) != "passed",
        }
        for stage in ran
    ]


def lineage(run: RunState) -> list[dict[str, Any]]:
    """Fingerprints of every artifact this run made or read."""
    return [
        {
            "stage": stage.name,
            "run_id": stage.run_id,
            "fingerprint": stage.record.fingerprint,
            "created_at": stage.record.created_at,
            "code_version": stage.record.code_version,
            "reads": ", ".join(stage.record.inputs) or "–",
        }
        for stage in run.stages.values()
        if stage.record
    ]


def models(run: RunState) -> list[dict[str, str]]:
    """Every model the runs pinned: where it is used, name, kind, revision."""
    found = {}
    for plan, place, spec in _models_used(run):
        name = str(spec.get("name", ""))
        revision = str((plan.get("revisions") or {}).get(name, "–"))
        found[place, name] = {"place": place, "name": name, "kind": spec["kind"], "revision": revision}
    return list(found.values())


def container_images(run: RunState) -> list[dict[str, str]]:
    """Every container image that the plans pinned for their pods; none where stages were processes of one machine."""
    return [
        {"run_id": run_id, "image": image}
        for run_id, plan in run.plans.items()
        for image in sorted(plan.get("image_digests") or {})
    ]


def _models_used(run: RunState) -> Iterator[tuple[Mapping[str, Any], str, Mapping[str, Any]]]:
    """(plan, where in its config, spec) of the models that the run's stages used, each under the plan of its stage."""
    for stage in run.stages.values():
        plan = run.plans[stage.run_id]
        section = (plan.get("config") or {}).get(stage.name)
        for place, spec in model_specs(section, stage.name):
            yield plan, place, spec
