"""Tables, blobs, records and channels on any fsspec URL; `file://` and `s3://` behave the same.

Writes are atomic, records are written last, and what must exist once is created once or not at all.
"""
