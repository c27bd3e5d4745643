"""Splits: which image serves which purpose, for each category, seed and held-out defect type.

Reads the recipe and the inventory of images; does not train, score or write anything.
"""
