"""From a recipe to a table: plan, tasks, executor, run folder.

The only room that trains; knows nothing of bundles.
"""
