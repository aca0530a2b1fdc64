"""Reads rows of the tables of one night (and of the former one), in memory; writes nothing.
Gives numbers that say where poisoned data entered: labels, pairs, phrases, copies, classes and sources.
Promises that the same rows give the same numbers in any order, and that no text leaves: ids, hashes, counts and shares only.
"""
