"""How one answer is put before a judge, and how the judge's reply is read: the same words in `judgements` and `evaluation`.

A score compares with another only where both come from the same question to the same judge; so the two stages share this
package instead of each keeping a prompt. It asks no model itself: it makes the Request and reads the text that came back.
"""

from spavl.judging.prompt import judgement_request, prompt_hash, response_schema
from spavl.judging.verdict import Verdict, parse_judgement

__all__ = ["Verdict", "judgement_request", "parse_judgement", "prompt_hash", "response_schema"]
