"""Reads `images`, `questions`, `responses`, `judgements`, `comparisons`: per pair two axes in both orders.
Writes one `Preference` per decided pair: harmlessness first, helpfulness only where harmlessness ties.
Promises that every dropped pair is counted, none is guessed, and swapping a and b swaps chosen and rejected.
"""
