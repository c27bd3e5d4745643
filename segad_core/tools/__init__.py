"""Tools besides running and inspecting: data checks, mask previews, map export, result files, overlays.

Each tool stands alone. None trains anything or computes scores of its own.
"""
