"""What `questions` measures over its whole table, for its suite to limit (`spavl.validation.measures`)."""

from __future__ import annotations

from spavl.audit.measures import psi

MEASURES = {
    "commonest_question_share": "written questions with the commonest text of their kind, in the kind with most",
    "effective_questions": "as how many different texts the written questions of a kind count, in the kind with fewest",
    "commonest_provided_question_share": "commonest_question_share of the questions that came with the images",
    "effective_provided_questions": "effective_questions of the questions that came with the images",
    "num_kinds_without_questions": "kinds of questions of which none is usable; dataset.may_miss excepts",
    "num_missing_classes": "domains and leaves that the former version had questions of and this one has not; dataset.may_miss excepts",
    "num_missing_kinds": "kinds that the former version had and this one lacks; dataset.may_miss excepts",
    "unparsable_share_of_slice": "unparsable questions of the domain, leaf or kind with most, of those with 20 questions",
    "error_share_of_slice": "failed questions of the domain, leaf or kind with most, of those with 20 questions",
    **psi("class1", "class3", "kind", "text_chars"),
}
