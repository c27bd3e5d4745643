"""Thresholds and what they mean in parts, from tables of scored images.

Knows scores and labels only: no bundle, no image, no plugin.
"""
