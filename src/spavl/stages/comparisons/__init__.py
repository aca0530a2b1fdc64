"""Reads `images`, `questions`, `responses`, `judgements`; ranks models into safety groups, pairs across them.
Writes one `Comparison` per pair, axis and order of presentation, with the judge's reason and raw reply.
Promises that pairs are chosen by seeded hashes alone, and that it does not matter which is called a or b.
"""
