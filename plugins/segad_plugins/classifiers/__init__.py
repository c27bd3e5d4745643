"""Supervised classifiers of whole images, trained on a pretrained backbone.

They import from `segad_core.api` and the shared modules of this package, but from no other kind of plugin.
"""
