"""Reads the held-out prompts of the dataset version, the checkpoint of training and those of earlier releases; writes one Score
per benchmark, decoding, model, slice and metric, with a 95 % interval and the gate's bounds, and every judged answer beside it.

Promises: prompts the training never saw, all models asked alike, changes paired by prompt, nothing scored by default, answers
without a verdict counted as the worst case in what the gate reads.
"""
