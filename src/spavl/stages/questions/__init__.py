"""Stage `questions`: reads images, writes `Question` rows: three kinds per harmful image, benign controls per benign one.

An image that came with a question keeps that one and no other is written for it. Promises: one row per image, kind and
number; a reply that is no usable question is a recorded outcome, never replaced.
"""
