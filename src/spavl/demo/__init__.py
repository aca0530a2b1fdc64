"""The embedded default's tiny world: drawn pictures, models of half a million parameters, a judge made of rules.

Everything here is tiny or rule-based, says so in its output, and is harmless by construction: a "harm" is a coloured
shape that stands for a leaf of the taxonomy, and an "unsafe" answer is a sentence marked PLACEHOLDER, never a how-to.
"""
