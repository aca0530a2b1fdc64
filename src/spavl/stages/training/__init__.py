"""Reads `dataset`, writes `TrainingMetric` and the aligned model: DPO through TRL, LoRA or full.

Promises: the stop token is trained, nothing is truncated (over-long pairs are dropped and counted), the vision tower stays
as it was, and a run that was killed and resumed equals an undisturbed one, bitwise on a CPU in float32.
"""
