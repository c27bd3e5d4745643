"""Formats to which graphs are exported."""
