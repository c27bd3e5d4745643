"""The registry of installed plugins, and the hooks that report a run's progress to observers.

Lists plugins from metadata only and imports a plugin only when it is used. Knows the contracts, but no
particular plugin, and nothing about recipes, runs or bundles.
"""
