"""Which image serves which purpose, for each category, seed and held-out defect type.

Reads the recipe and the inventory of images; trains and scores nothing.
"""
