"""Reads the held-out prompts of the dataset version and the checkpoint of training; writes one Score per benchmark, decoding,
model, slice and metric, with a 95 % interval, and beside it every judged answer (side table `answers`).

Promises: prompts the training never saw, base and aligned asked alike, change paired by prompt, nothing scored by default.
"""
