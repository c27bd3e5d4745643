"""Segmenters: which part of the object each pixel of an image belongs to.

They see images but no labels or anomaly maps, and import no other kind of plugin.
"""
