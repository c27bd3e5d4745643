"""anomalib's image models as detectors of segad."""
