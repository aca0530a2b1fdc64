"""Reads `images`, `questions`, `preferences` and the previous dataset version's image splits.
Writes `DatasetRow` (pairs in train and validation, bare prompts in test), `image_splits`, folder `version`.
Promises that no image and no near-duplicate group is in two splits, and that an image's split never changes.
"""
