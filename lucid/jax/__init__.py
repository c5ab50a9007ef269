"""The bilinear form under JAX's transformations: `bilinear`, and `init` for its parameters."""

from ._bilinear import bilinear as bilinear
