"""segad's built-in plugins: a folder per kind, a file per plugin, registered through entry points."""

import sys

from segad_plugins import kernel_cache

if not any(isinstance(finder, kernel_cache.AfterImport) for finder in sys.meta_path):
    sys.meta_path.insert(0, kernel_cache.AfterImport())
