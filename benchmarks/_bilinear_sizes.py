"""The sizes of the bilinear benchmark: their arrays, how much work they are, and what is right."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]

TOLERANCE = {"float32": 1e-4, "float64": 1e-11, "bfloat16": 5e-2}
"""The largest error that is allowed, relative to the largest element."""


class Arrays(NamedTuple):
    x1: Array
    x2: Array
    weight: Array
    cotangent: Array  # what the gradients start from: one for each element of the result


class Results(NamedTuple):
    out: Any
    d_x1: Any
    d_x2: Any
    d_weight: Any


@dataclass(frozen=True)
class Size:
    """Rows of x1 with rows of x2; or, with `steps`, all pairs of steps within each of the rows."""

    rows: int
    features_1: int
    features_2: int
    outputs: int
    steps: int = 0

    def __str__(self) -> str:
        rows = f"B{self.rows} T{self.steps} " if self.steps else f"{self.rows},"
        return f"{rows}{self.features_1},{self.features_2}→{self.outputs}"

    @property
    def einsum(self) -> str:
        return "bti,oij,bsj->btso" if self.steps else "ni,oij,nj->no"

    @property
    def leading(self) -> Shape:
        return (self.rows, self.steps, self.steps) if self.steps else (self.rows,)

    @property
    def shapes(self) -> tuple[Shape, Shape, Shape, Shape]:
        """Of x1, x2, weight and result."""
        own = self.leading[:2]
        weight = (self.outputs, self.features_1, self.features_2)
        return (
            (*own, self.features_1),
            (*own, self.features_2),
            weight,
            (*self.leading, self.outputs),
        )

    @property
    def operations(self) -> int:
        """Additions and multiplications of the forward pass; the gradients are twice as many."""
        with_weight = prod(self.leading[:2]) * self.outputs * self.features_1 * self.features_2
        if not self.steps:
            return 2 * with_weight
        fewer = min(self.features_1, self.features_2)
        return 2 * (with_weight + prod(self.leading) * self.outputs * fewer)

    @property
    def left_behind(self) -> int:
        """Elements of the result and of the gradients, which every contender must keep."""
        return sum(prod(shape) for shape in self.shapes)


SIZES = (
    Size(4, 1, 1, 1), Size(16, 13, 7, 17), Size(128, 20, 30, 40), Size(50, 100, 200, 300),
    Size(64, 128, 128, 128), Size(64, 256, 256, 256), Size(256, 256, 256, 256),
    Size(1024, 100, 100, 4), Size(4096, 64, 64, 64), Size(4096, 300, 300, 1),
    Size(2560, 101, 101, 45), Size(3872, 128, 64, 128), Size(100000, 16, 16, 16),
    Size(1, 512, 512, 512), Size(2048, 64, 64, 1000),
    Size(64, 501, 501, 1, steps=40), Size(128, 101, 101, 45, steps=40),
    Size(8, 200, 200, 10, steps=128),
)  # fmt: skip
QUICK = (SIZES[0], SIZES[2], SIZES[4], SIZES[7], SIZES[8], SIZES[17])
BRIEF = (SIZES[1], SIZES[2], SIZES[4], SIZES[8], SIZES[9], SIZES[16])
WARM = Size(8, 4, 4, 4)


def values(size: Size, dtype: str) -> Arrays:
    """Random numbers; a block of them again and again where there are many."""
    if dtype == "bfloat16":
        import ml_dtypes  # noqa: F401 (NumPy knows it from now on)
    rng = np.random.default_rng(0)
    blocks = (rng.standard_normal(min(prod(shape), 999_983)) for shape in size.shapes)
    arrays = [np.resize(block.astype(dtype), shape)
              for block, shape in zip(blocks, size.shapes, strict=True)]  # fmt: skip
    return Arrays(*arrays)


def _wide(result: Any) -> Array:
    """A result as an array of NumPy; bfloat16 as float32."""
    if "bfloat16" not in str(result.dtype):
        return np.asarray(result)
    wide = result.float() if hasattr(result, "float") else result.astype("float32")
    return np.asarray(wide)


def check(size: Size, arrays: Arrays, results: Results) -> None:
    """Compare with einsum in float64: some rows, the last among them, and some outputs of dW."""
    x1, x2, weight, g = arrays
    found = [_wide(each) for each in results]
    n_rows = 1 if size.steps else 8
    rows = np.unique(np.linspace(0, size.rows - 1, n_rows + 1).astype(int)[1:])
    outputs = np.unique([size.outputs // 2, size.outputs - 1])
    first, second, out = size.einsum.replace("oij,", "").replace("->", ",").split(",")
    some = [each[rows].astype(float) for each in (x1, x2, g)]
    wide = weight.astype(float)
    some_g = g[..., outputs].astype(float)

    def einsum(subscripts: str, *factors: Array) -> Array:
        return np.einsum(subscripts, *factors, optimize=True)

    summed = einsum(f"{out},{second}->{first[:-1]}oj", some_g, x2.astype(float))
    pairs = {
        "result": (found[0][rows], einsum(size.einsum, some[0], wide, some[1])),
        "dx1": (found[1][rows], einsum(f"{out},oij,{second}->{first}", some[2], wide, some[1])),
        "dx2": (found[2][rows], einsum(f"{out},oij,{first}->{second}", some[2], wide, some[0])),
        "dW": (found[3][outputs], einsum(f"{first},{first[:-1]}oj->oij", x1.astype(float), summed)),
    }  # fmt: skip
    for name, (mine, right) in pairs.items():
        error = np.max(np.abs(mine.reshape(right.shape) - right)) / np.max(np.abs(right))
        if not error <= TOLERANCE[str(weight.dtype)]:
            raise ArithmeticError(f"{name} has a relative error of {error:.1e}")
