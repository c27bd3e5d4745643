"""Content-addressed artifacts on disk: written whole, verified on reading, safe under several processes.

Knows keys and bytes, not what they mean: never touches images, recipes or training.
"""
