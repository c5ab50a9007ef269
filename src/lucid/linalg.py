"""Linear algebra, in the names of the array API standard's extension.

Every function takes a matrix, or a stack of them in the last two axes, and has derivatives of every
order, real and complex. float16 and bfloat16 are computed in float32, and the result is rounded.
"""

from .ops._movement import matrix_transpose as matrix_transpose
from .ops._products import matmul as matmul, tensordot as tensordot, vecdot as vecdot
from .ops.linalg._cholesky import cholesky as cholesky
from .ops.linalg._determinants import det as det, slogdet as slogdet
from .ops.linalg._diagonal import diagonal as diagonal, trace as trace
from .ops.linalg._eigenvalues import (
    eig as eig,
    eigh as eigh,
    eigvals as eigvals,
    eigvalsh as eigvalsh,
)
from .ops.linalg._inverses import inv as inv, matrix_power as matrix_power, pinv as pinv
from .ops.linalg._norms import matrix_norm as matrix_norm, vector_norm as vector_norm
from .ops.linalg._qr import qr as qr
from .ops.linalg._singular_values import (
    matrix_rank as matrix_rank,
    svd as svd,
    svdvals as svdvals,
)
from .ops.linalg._solve import solve as solve
from .ops.linalg._vectors import cross as cross, outer as outer
