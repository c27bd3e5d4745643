"""What commands do beside running and inspecting: data checks, mask previews, map export, result files,
drawings.

Each tool stands alone; none computes a score of its own.
"""
