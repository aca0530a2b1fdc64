"""Reads `images` and `questions` (outcome ok) and asks every model every question, sample by sample.
Writes one `Response` per question, model and sample, by image within a model so that servers' caches hit.
Promises a row for each: an answer as it came or an error, never a default; the same asking has the same id.
"""
