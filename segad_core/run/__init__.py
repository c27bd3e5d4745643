"""From a recipe to a table: plan, tasks, executor, run folder.

The only room that trains. It may not touch bundles.
"""
