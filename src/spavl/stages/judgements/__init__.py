"""Reads `images`, `questions`, `responses` (outcome ok); asks the judge, with and without the image.
Writes one `Judgement` per response and mode, with the raw reply; prompt and parser are `spavl.judging`'s.
Promises that a reply not in the form asked for is unparsable with empty labels, never a guessed label.
"""
