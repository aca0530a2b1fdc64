"""Reads `dataset`, writes `TrainingMetric` and a reward model: what PPO follows; left out of a run with another method.

Promises: it is saved whole (language model, projector, head, processor) and scores the same after loading; nothing is
truncated, the vision tower stays as it was, and a run that was killed and resumed equals an undisturbed one.
"""
