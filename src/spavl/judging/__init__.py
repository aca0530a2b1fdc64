"""How one answer is put before a judge, how the judge's reply is read, and how the judge itself is put on trial.

A score compares with another only if both come from the same question to the same judge; so the stages that ask judges share
this package instead of each keeping a prompt. It asks no model itself: it makes the Request and reads the text that came back.
"""

from spavl.judging.prompt import judgement_request, prompt_hash, response_schema
from spavl.judging.verdict import Verdict, parse_judgement

__all__ = ["Verdict", "judgement_request", "parse_judgement", "prompt_hash", "response_schema"]
