"""A trained setup as plain files: made from a recipe's row, loaded without running code, verified."""
