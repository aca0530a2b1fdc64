"""What a vision-language model reads and returns while it learns: token trees, per-token scores, cached image features.

Used by `reward` and `training`, which never import each other; it knows tensors and models, no tables and no stage's config.
Promise: whatever it saves (a shared prefix, logits, a tower's pass), scores and gradients are those of the plain way.
"""
