"""From anomaly maps and segmentation maps to statistics and feature vectors.

One layout and one pass for runs, bundles and map export; touches neither store nor recipe.
"""
