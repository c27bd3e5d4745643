"""Data sets: where their images, labels, masks and official splits are on disk.

They list files and decode no image; they import from `segad_core.api` and no other kind of plugin.
"""
