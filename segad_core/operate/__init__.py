"""Operating points: thresholds set on tables of scored images, and what they mean in parts.

Knows tables of scores and labels only. Opens no bundle, no image and no plugin.
"""
