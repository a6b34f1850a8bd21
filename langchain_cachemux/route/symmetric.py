"""Symmetric matrices of which only the lower triangle is kept up: half the memory to read and write.

They are in Fortran's order, as BLAS takes them without a copy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def times(matrix: Floats, vector: Floats) -> Floats:
    """Such a matrix times a vector."""
    from scipy.linalg.blas import dsymv

    return np.asarray(dsymv(1.0, matrix, vector, lower=1))


def add(matrix: Floats, factor: float, vector: Floats) -> None:
    """Add factor·vvᵀ to such a matrix, in place."""
    from scipy.linalg.blas import dsyr

    dsyr(factor, vector, a=matrix, lower=1, overwrite_a=1)


def whole(matrix: Floats) -> Floats:
    """Such a matrix with both its triangles."""
    return np.asarray(np.tril(matrix) + np.tril(matrix, -1).T)
