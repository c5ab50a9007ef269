"""The bilinear form under JAX's own transformations: `bilinear`, and `init` for its parameters."""

from ._bilinear import bilinear as bilinear
from ._init import init as init
