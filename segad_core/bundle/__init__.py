"""A trained setup as plain files, and at work on images.

Loads without running code from the bundle; never touches recipes, runs or training data on disk.
"""
