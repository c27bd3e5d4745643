"""An example of a plugin for segad."""
