"""Reads `dataset`, `training` and `evaluation`, writes `ReleaseFile` and the release's folder.

Promises: nothing is released whose gate did not pass, every file is checksummed, and the folder says where its weights and
its scores come from. It loads with `AutoModelForImageTextToText` and `AutoProcessor`.
"""
