"""Makes a bundle from one row of a recipe.

The one place that knows both runs and bundles.
"""
