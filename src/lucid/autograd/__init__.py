"""Derivatives of functions: what `lucid.grad` does for results, for whole functions.

`value_and_grad`, `vjp`, `jvp`, `hvp`, `jacobian` and `hessian` have the names and the arguments
that they have in JAX (`argnums`, `has_aux`), and take functions of Tensors in nested lists, tuples,
dicts, namedtuples and dataclasses.
"""

from ._checkpoint import checkpoint as checkpoint
from ._functions import (
    hessian as hessian,
    hvp as hvp,
    jacobian as jacobian,
    jvp as jvp,
    value_and_grad as value_and_grad,
    vjp as vjp,
)
from ._grad import grad as grad
