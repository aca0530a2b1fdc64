"""What `responses` measures over its whole table, for its suite to limit (`spavl.validation.measures`)."""

from __future__ import annotations

from spavl.audit.measures import psi

MEASURES = {
    "commonest_answer_share_benign": "benign questions that a model answers with its commonest answer, of the model with most",
    "commonest_answer_share_harm": "the same of harm questions",
    "rise_of_commonest_answer": "how far either share of one model rose since the former version, of the model with most",
    "effective_answers_benign": "as how many different answers a model's answers to benign questions count, of the model with fewest",
    "blank_share_of_model": "blank answers of the model with most",
    "error_share_of_slice": "failed answers of a model to a domain, leaf or kind, of the worst of those with 20 rows",
    **psi("model", "text_chars"),
}
