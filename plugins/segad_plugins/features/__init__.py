"""Statistics of the anomaly values within each segment.

They see grouped values of one map at a time, and know neither images nor detectors.
"""
