"""Durable files, digests, plain formats, locks and threads, used everywhere.

Must not know about images, plugins or recipes; imports nothing of segad but its errors.
"""
