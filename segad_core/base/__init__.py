"""Durable files, digests and plain formats, used everywhere.

Knows nothing of images, plugins or recipes, and imports nothing else of segad but its errors.
"""
