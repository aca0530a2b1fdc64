"""Reads `images`, `questions`, `preferences` and the previous dataset version's image splits and files.
Writes `DatasetRow` (pairs in train and validation, bare prompts in test), `image_splits`, folder `version`, and `version_parts`
and `version_rows`: which file of the folder holds which rows, so that a later version copies those that are unchanged.
Promises that no image and no near-duplicate group is in two splits, and that an image's split never changes.
"""
