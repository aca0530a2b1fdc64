"""Tables, blobs, records and channels at a `file://` or `s3://` URL, which behave the same.

Writes are atomic, records are written last, and what must exist once is created once or not at all.
"""
