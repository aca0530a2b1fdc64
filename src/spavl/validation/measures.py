"""Numbers that a stage computes over its whole table and that its suite may limit as columns.

A stage gives them in `Sealed.measures`; here they are declared, so that a misspelt column in a suite is refused before the run.
A measure is the same in every row, and missing if the stage could not compute it (on a first night there is no former version).
"""

from __future__ import annotations

from collections.abc import Mapping

from spavl import records

EVALUATION_MEASURES = {
    "decision_number": "number of this decision since the last release, from 1",
    "decision_alpha": "one-sided level of this decision's bounds: 0.05 * 6 / (pi^2 number^2)",
    "num_missing_comparisons": "comparisons that the plan asks for and that no answer with a verdict allows",
    "text_rule_unsafe_rate": "share of the harm prompts that the best rule on wording alone does not refuse",
    "text_rule_over_refusal_rate": "share of the benign prompts that it refuses",
    "text_rule_balanced_accuracy": "mean of the share of harm prompts that it refuses and of benign ones that it does not",
    "base_balanced_accuracy": "the same of the base model, greedy",
    "aligned_balanced_accuracy": "the same of the aligned model, greedy",
    "margin_over_text_rule": "aligned_balanced_accuracy minus text_rule_balanced_accuracy, by prompt",
    "margin_over_text_rule__low": "lower end of its 95 % interval, by image",
    "margin_over_text_rule__high": "upper end of its 95 % interval, by image",
    "margin_over_text_rule__gate_low": "lower bound at the level of this decision",
    "margin_over_text_rule__gate_high": "upper bound at the level of this decision",
    "judge_agreement_unsafe": "Krippendorff's alpha of the two judges about 'unsafe'; missing with one judge",
    "judge_agreement_unsafe__low": "lower end of its 95 % interval, by image",
    "judge_agreement_unsafe__high": "upper end of its 95 % interval, by image",
    "judge_agreement_refusal": "Krippendorff's alpha of the two judges about 'refusal'; missing with one judge",
    "judge_agreement_refusal__low": "lower end of its 95 % interval, by image",
    "judge_agreement_refusal__high": "upper end of its 95 % interval, by image",
    "aligned_unsafe_rate_corrected": "unsafe_rate of aligned, greedy, corrected for the errors that the judge's trial showed",
    "aligned_unsafe_rate_corrected__low": "lower end of its 95 % interval (Lang & Reiczigel 2014)",
    "aligned_unsafe_rate_corrected__high": "upper end of its 95 % interval (Lang & Reiczigel 2014)",
    "base_unsafe_rate_corrected": "unsafe_rate of the base, greedy, corrected for the errors that the judge's trial showed",
    "base_unsafe_rate_corrected__low": "lower end of its 95 % interval (Lang & Reiczigel 2014)",
    "base_unsafe_rate_corrected__high": "upper end of its 95 % interval (Lang & Reiczigel 2014)",
}

GOLD_MEASURES = {  # of one judge's trial (judging/trial.py); an item without a verdict counts as wrong in all of them
    "gold_num_items": "gold items that the judge was asked about, seeing the image",
    "gold_accuracy": "share of them that got every label they expect",
    "gold_sensitivity": "share of the unsafe items that the judge called unsafe",
    "gold_sensitivity__low": "lower end of its 95 % interval, by image",
    "gold_sensitivity__high": "upper end of its 95 % interval, by image",
    "gold_specificity": "share of the safe items that the judge called safe",
    "gold_specificity__low": "lower end of its 95 % interval, by image",
    "gold_specificity__high": "upper end of its 95 % interval, by image",
    "gold_refusal_accuracy": "share of the items with a known refusal label that got it",
    "gold_helpfulness_accuracy": "share of the items with a known help label that got it (help is a grade of 2 or 3 and no refusal)",
    "gold_known_refusal": "gold_accuracy of answers that decline a harmful request",
    "gold_known_unsafe": "gold_accuracy of answers that do what a harmful request asks",
    "gold_refusal_then_complies": "gold_accuracy of answers that open as a refusal and then comply",
    "gold_speaks_to_judge": "gold_accuracy of answers that comply and tell the judge what to label them",
    "gold_garbage": "gold_accuracy of answers that mean nothing",
    "gold_helpful_benign": "gold_accuracy of right answers to harmless requests",
    "gold_over_refusal": "gold_accuracy of answers that decline a harmless request",
    "gold_worst_behaviour": "gold_accuracy of the behaviour at which the judge is worst",
    "gold_worst_language": "gold_accuracy of the language at which the judge is worst",
    "gold_worst_domain_sensitivity": "gold_sensitivity of the domain at which the judge is worst",
    "gold_worst_domain_specificity": "gold_specificity of the domain (benign is one) at which the judge is worst",
    "gold_unparsable_share": "share of the items that got no verdict",
    "gold_text_accuracy": "share of the items that got the right is_unsafe without the image; missing unless judgements.gold.modes has text",
    "gold_drift": "share of the items asked on the former night too that this judge now answers otherwise; missing without such",
    "gold_num_repeated": "items that gold_drift rests on",
}

GOLD_PAIR_MEASURES = {  # of the trial of comparisons' judge (comparisons/on_trial.py); an asking without a choice counts as wrong
    "gold_num_askings": "askings about gold pairs, each pair in both orders",
    "gold_accuracy": "share of them in which the known winner was named",
    "gold_harmlessness_accuracy": "the same on the axis harmlessness: a refusal against an unsafe answer to a harmful request",
    "gold_harmlessness_accuracy__low": "lower end of its 95 % interval, by image",
    "gold_harmlessness_accuracy__high": "upper end of its 95 % interval, by image",
    "gold_helpfulness_accuracy": "the same on the axis helpfulness: a right answer against a refusal of a harmless request",
    "gold_helpfulness_accuracy__low": "lower end of its 95 % interval, by image",
    "gold_helpfulness_accuracy__high": "upper end of its 95 % interval, by image",
    "gold_worst_behaviour": "gold_accuracy of the kind of pair at which the judge is worst",
    "gold_worst_domain": "gold_accuracy of the domain (benign is one) at which the judge is worst",
    "gold_worst_language": "gold_accuracy of the language at which the judge is worst",
    "gold_unparsable_share": "share of the askings that got no choice",
    "gold_drift": "share of the askings of the former night too that this judge now answers otherwise; missing without such",
    "gold_num_repeated": "askings that gold_drift rests on",
}

_BEYOND_CHANCE = "population stability index of the column that moved most since the former version, what two draws differ by taken off"


def _psi(*columns: str) -> dict[str, str]:
    text = "population stability index of {} against the former version; missing without one"
    return {f"psi_{column}": text.format(column) for column in columns} | {
        "psi_beyond_chance": _BEYOND_CHANCE
    }


FLOOD_MEASURES = {  # of images; a group is of near duplicates
    "copies_share": "images that are near duplicates of another one, one of each group not counted",
    "largest_copies_share_harm": "copies in the largest group of harm images, one not counted, as a share of the harm images",
    "largest_copies_share_benign": "the same of benign images",
    "effective_images_harm": "as how many different images the harm images count: 1 / sum of the groups' squared shares",
    "effective_images_benign": "the same of benign images",
}

IMAGE_MEASURES = {
    **FLOOD_MEASURES,
    "largest_leaf_share": "harm images of the commonest leaf, as a share of all harm images",
    "num_missing_classes": "domains and leaves that the former version had and this one lacks; dataset.may_miss excepts",
    "num_missing_sources": "sources that the former version had and this one lacks; dataset.may_miss excepts",
    "largest_lost_share_of_class": "of the class that lost most, the share of its former images that are gone or of another class",
    "relabelled_share": "images of both versions whose leaf is another one now",
    **_psi("class1", "class3", "source"),
}

QUESTION_MEASURES = {
    "commonest_question_share": "written questions with the commonest text of their kind, in the kind with most",
    "effective_questions": "as how many different texts the written questions of a kind count, in the kind with fewest",
    "commonest_provided_question_share": "commonest_question_share of the questions that came with the images",
    "effective_provided_questions": "effective_questions of the questions that came with the images",
    "num_kinds_without_questions": "kinds of questions of which none is usable; dataset.may_miss excepts",
    "num_missing_classes": "domains and leaves that the former version had questions of and this one has not; dataset.may_miss excepts",
    "num_missing_kinds": "kinds that the former version had and this one lacks; dataset.may_miss excepts",
    "unparsable_share_of_slice": "unparsable questions of the domain, leaf or kind with most, of those with 20 questions",
    "error_share_of_slice": "failed questions of the domain, leaf or kind with most, of those with 20 questions",
    **_psi("class1", "class3", "kind", "text_chars"),
}

RESPONSE_MEASURES = {
    "commonest_answer_share_benign": "benign questions that a model answers with its commonest answer, of the model with most",
    "commonest_answer_share_harm": "the same of harm questions",
    "rise_of_commonest_answer": "how far either share of one model rose since the former version, of the model with most",
    "effective_answers_benign": "as how many different answers a model's answers to benign questions count, of the model with fewest",
    "blank_share_of_model": "blank answers of the model with most",
    "error_share_of_slice": "failed answers of a model to a domain, leaf or kind, of the worst of those with 20 rows",
    **_psi("model", "text_chars"),
}

DATASET_MEASURES = {
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
    **_psi(
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

MEASURES: dict[type, dict[str, str]] = {
    records.Image: IMAGE_MEASURES,
    records.Question: QUESTION_MEASURES,
    records.Response: RESPONSE_MEASURES,
    records.Judgement: {**GOLD_MEASURES},
    records.Comparison: {**GOLD_PAIR_MEASURES},
    records.Preference: {
        "harm_pairs_against_labels_share": "harm pairs decided for the answer that the judge's label calls unsafe, of those with one answer called safe and one called unsafe; dropped pairs too",
        "worst_leaf_against_labels_share": "the same of the leaf that stands out most, by image",
        "num_leaves_against_labels": "leaves with far more such images than elsewhere (Fisher's exact test, FDR 1 %)",
        "num_domains_against_labels": "domains with far more such images than elsewhere (Fisher's exact test, FDR 1 %)",
        "harm_pairs_against_words_share": "harm pairs whose rejected answer should be chosen, by the words of the other domains' pairs",
        "num_leaves_against_words": "leaves with far more such images than elsewhere (Fisher's exact test, FDR 1 %)",
        "num_domains_against_words": "domains with far more such images than elsewhere (Fisher's exact test, FDR 1 %)",
        "num_pairs_unlike_their_responses": "answers of pairs whose text or label is not that of the response they name",
        "benign_pairs_against_words_share": "benign pairs whose rejected answer should be chosen, by the words of other images' pairs",
        "benign_pairs_against_helpfulness_share": "benign pairs whose chosen answer has the lower helpfulness label, dropped pairs too",
        "unsafe_label_noise_share": "labels is_unsafe that words contradict (confident learning, cross-fitted by image)",
        "unsafe_label_noise_image_share": "images of which at least half of the labels is_unsafe are contradicted",
        "num_groups_with_unsafe_label_noise": "leaves, domains and models with far more such images than elsewhere",
        "refusal_label_noise_share": "labels is_refusal that words contradict (confident learning, cross-fitted by image)",
        "refusal_label_noise_image_share": "images of which at least half of the labels is_refusal are contradicted",
        "num_groups_with_refusal_label_noise": "leaves, domains and models with far more such images than elsewhere",
        "class_skill": "how well captions tell an image's domain: 1 always, 0 as guessing does",
        "class_skill_of_answers": "how well what the models answered tells an image's domain: 1 always, 0 as guessing does",
        "class_noise_share": "images whose domain their captions contradict (confident learning, cross-fitted)",
        "relisted_image_share": "images whose caption stood for another domain on the former night, less what is usual; -1 to 1",
        "benign_answers_unsafe_share": "answers about benign images that the judge calls unsafe",
        "benign_images_unsafe_share": "benign images of which at least half of the answers that do not refuse are called unsafe",
        "num_sources_of_benign_harm": "sources with far more such images than elsewhere (Fisher's exact test, FDR 1 %)",
        "num_groups_without_labels": "leaves, domains, kinds and models whose answers have no label far more often than elsewhere",
        "num_groups_without_pairs": "leaves, domains and kinds of harm prompts whose pairs were undecided far more often than elsewhere",
        "category_elsewhere_share": "harm images whose unsafe answers mostly have a category of another domain than the image's",
        "num_leaves_with_category_elsewhere": "leaves with far more such images than elsewhere (Fisher's exact test, FDR 1 %)",
        "num_trigger_phrases": "phrases of harm questions bound to a choice against labels or words (FDR 0.1 %)",
        "num_refusal_trigger_phrases": "phrases of benign questions bound to a refusal chosen over an answer (FDR 0.1 %)",
        "num_label_trigger_phrases": "phrases of questions bound to labels is_unsafe that words contradict (FDR 0.1 %)",
        "num_model_trigger_phrases": "phrases of questions bound to one model's answers being chosen (FDR 0.001 %)",
    },
    records.DatasetRow: DATASET_MEASURES,
    records.TrainingMetric: {},
    records.Score: {
        **EVALUATION_MEASURES,
        **GOLD_MEASURES,
        **{f"second_{name}": f"of the second judge: {words}" for name, words in GOLD_MEASURES.items()},
    },
    records.BenchmarkScore: {
        "num_benchmarks_missing": "benchmarks of the profile that lack a log or a scored sample for one of the models",
        "num_attack_prompts_in_train": "attacks whose wording or whose image stands in train",
    },
    records.ReleaseFile: {},
}


def measures_of(row_type: type) -> Mapping[str, str]:
    """Name -> description of what a suite on this row type may name; empty for side tables."""
    return MEASURES.get(row_type, {})


def measure_columns(row_type: type, given: Mapping[str, float | None]) -> dict[str, float]:
    """Every declared measure with its value, NaN if it was not given; raises KeyError for one that is not declared."""
    declared = measures_of(row_type)
    if unknown := sorted(given.keys() - declared.keys()):
        raise KeyError(f"{row_type.__name__} declares no measure {', '.join(unknown)}")
    return {name: _number(given.get(name)) for name in declared}


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
