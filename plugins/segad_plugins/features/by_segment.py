"""Statistics of segments: compiled ones, or NumPy's where numba is not installed."""

from __future__ import annotations

try:
    from segad_plugins.features.kernels import (
        central_moments,
        excess_kurtosis,
        maxima,
        pieces,
        quantiles,
        skewness,
    )
except ModuleNotFoundError:
    from segad_plugins.features.numpy_kernels import (
        central_moments,
        excess_kurtosis,
        maxima,
        pieces,
        quantiles,
        skewness,
    )

__all__ = ["central_moments", "excess_kurtosis", "maxima", "pieces", "quantiles", "skewness"]
