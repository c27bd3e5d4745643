"""One-class detectors: from good training images to anomaly maps.

They read encoder features from the batch that they are given, and import no encoder or other kind of plugin.
"""
