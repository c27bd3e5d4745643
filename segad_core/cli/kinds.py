"""The kinds of plugins, for options: what imports the contracts is not imported for `--help`."""

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
