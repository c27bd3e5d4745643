"""segad's built-in plugins: a folder per kind, a file per plugin, registered through entry points."""
