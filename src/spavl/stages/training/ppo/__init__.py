"""Proximal Policy Optimization (arXiv 1707.06347) of a vision-language model against a reward model.

Prompts of the dataset are answered by the policy itself, the answers are scored, and the policy is trained on them for a few
passes. Promise: numbers do not depend on how work is cut up. An answer is the same whatever shares its batch, and
log-probabilities, values, advantages and gradients are the same for any micro-batch, padding side and number of ranks.
"""
