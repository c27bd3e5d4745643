"""Generators of artificial defects for training without bad images.

They change pixels within one segment and depend only on the image, its map and the given randomness.
"""
