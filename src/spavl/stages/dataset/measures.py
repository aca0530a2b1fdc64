"""What `dataset` measures over its whole table, for its suite to limit (`spavl.validation.measures`)."""

from __future__ import annotations

from spavl.audit.measures import FLOOD_MEASURES, psi

MEASURES = {
    **FLOOD_MEASURES,
    "largest_group_share_of_pairs": "pairs about the near-duplicate group with most, as a share of all pairs",
    "test_harm_verbatim_in_train_share": "test_harm prompts whose question is in train word for word, case and punctuation aside",
    "test_harm_paraphrase_in_train_share": "test_harm prompts whose question is in train in the same or nearly the same words",
    "test_help_verbatim_in_train_share": "the same of test_help, word for word",
    "test_help_paraphrase_in_train_share": "the same of test_help, in the same or nearly the same words",
    "smallest_paired_share_of_slice": "questions that became a pair, in the domain or kind with fewest of those with 20 questions; dataset.may_miss excepts",
    "num_leaves_without_pairs": "leaves with 10 usable questions and no pair; dataset.may_miss excepts",
    "num_missing_classes": "domains and leaves of the former version's pairs or prompts that this one's lack; dataset.may_miss excepts",
    "num_missing_kinds": "kinds of the former version's pairs or prompts that this one's lack; dataset.may_miss excepts",
    "num_missing_sources": "sources of images that the former version had and this one lacks; dataset.may_miss excepts",
    **psi(
        "class1",
        "class3",
        "kind",
        "source",
        "chosen_model",
        "rejected_model",
        "question_chars",
        "chosen_chars",
    ),
}
