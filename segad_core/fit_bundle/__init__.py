"""Makes a bundle from one row of a recipe: trains what the store lacks and gathers the files.

The only room that knows both runs and bundles; it restores no bundle,
and scores images for the limits of regions alone.
"""
