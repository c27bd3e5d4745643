"""Content-addressed artifacts on disk: written atomically, verified on reading, safe for several processes.

Knows keys and bytes, not their meaning: must not touch images, recipes or training.
"""
