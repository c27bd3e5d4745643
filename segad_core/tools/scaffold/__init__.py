"""A new plugin: a complete distribution, made from the example of its contract."""

from segad_core.tools.scaffold.distribution import distribution_of, files_of, write_files

__all__ = ["distribution_of", "files_of", "write_files"]
