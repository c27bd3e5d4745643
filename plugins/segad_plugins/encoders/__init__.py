"""Frozen pretrained networks whose feature maps the detectors share.

They train nothing; networks and weights come from `segad_plugins.backbones`.
"""
