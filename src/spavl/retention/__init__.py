"""What a store keeps and what may go: which runs are reached and why, what they list, and where an image still is.

Nothing is removed before everything has been read: a store that does not answer one question ends it all with "try again".
"""
