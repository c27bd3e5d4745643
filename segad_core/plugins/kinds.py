"""The names of the kinds of plugins: whoever lists plugins has no need of their contracts, nor of NumPy."""

KINDS = (
    "datasets",
    "encoders",
    "detectors",
    "classifiers",
    "segmenters",
    "features",
    "final_classifiers",
    "defects",
    "executors",
    "hooks",
)
