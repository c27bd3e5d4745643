"""An example plugin for segad."""
