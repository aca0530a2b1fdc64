"""Who judges, and how its tokens are drawn: what the id of a judgement or a comparison holds beside what is judged."""

from __future__ import annotations

import dataclasses
from typing import Any

from spavl.config import ModelSpec, SamplingConfig
from spavl.errors import UserError
from spavl.inference.request import Sampling
from spavl.stage import StageContext


@dataclasses.dataclass(frozen=True, slots=True)
class Asker:
    """A judge at a revision, with its sampling."""

    spec: ModelSpec
    revision: str
    sampling: Sampling

    @classmethod
    def of(cls, ctx: StageContext, stage: str) -> Asker:
        """Of the stage's own section; raises UserError if that names no judge."""
        section = ctx.section()
        if section.judge is None:
            raise UserError(f"{stage}.judge is not set.", next_step="Name the judge's model in the profile.")
        return cls(section.judge, ctx.revision(section.judge.name), sampling_of(section.sampling))

    @property
    def name(self) -> str:
        return self.spec.name

    def id_parts(self, prompt_hash: str) -> tuple[Any, ...]:
        """The last parts of every id of this judge, for the prompt with this hash."""
        return self.name, self.revision, prompt_hash, dataclasses.asdict(self.sampling)

    def details(self) -> dict[str, str]:
        """What a record says of the judge."""
        return {"judge": self.name, "judge_kind": self.spec.kind, "judge_revision": self.revision}


def sampling_of(config: SamplingConfig) -> Sampling:
    """The judge's sampling; greedy by default."""
    return Sampling(config.temperature, config.top_p, config.max_tokens, config.seed)
