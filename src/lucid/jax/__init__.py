"""The bilinear form under JAX's own transformations: `bilinear`, and `init` for its parameters."""

from ._bilinear import bilinear as bilinear
from ._init import init as init
from ._reductions import (
    bilinear_cross_entropy as bilinear_cross_entropy,
    bilinear_logsumexp as bilinear_logsumexp,
    bilinear_max as bilinear_max,
    bilinear_rank as bilinear_rank,
    bilinear_topk as bilinear_topk,
)
