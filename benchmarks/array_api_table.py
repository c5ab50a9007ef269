"""The functions of the array API standard: which lucid has, what has derivatives, on which arrays.

    python benchmarks/array_api_table.py             prints the table
    python benchmarks/array_api_table.py --write     writes it into docs/array-api.md

The names are those of `array_api_strict`, which has what the standard has and nothing else. A
function is tried with the lines that the tests have for it (tests/cases.py): on Tensors of each
library, where the numbers must be NumPy's, forward and backward.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import array_api_strict as strict
import numpy as np

import lucid
from lucid.testing import assert_same

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from cases import CASES, Case  # noqa: E402

PAGE = ROOT / "docs" / "array-api.md"
MARKS = "<!-- made by benchmarks/array_api_table.py -->", "<!-- end of what was made -->"
MODULES = {"": strict, "linalg.": strict.linalg, "fft.": strict.fft}
BESIDE = ("ArrayAPIStrictFlags", "set_array_api_strict_flags", "get_array_api_strict_flags",
          "reset_array_api_strict_flags")  # fmt: skip


def libraries() -> dict[str, Any]:
    """The namespaces of the libraries that are installed."""
    found: dict[str, Any] = {"array_api_strict": strict}
    for name in ("torch", "jax"):
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        if name == "torch":
            found[name] = importlib.import_module("array_api_compat.torch")
        else:
            module.config.update("jax_enable_x64", True)
            found[name] = module.numpy
    return found


def functions() -> Iterator[tuple[str, Any]]:
    """The standard's functions, and lucid's of that name, if it has one."""
    for prefix, module in MODULES.items():
        ours = getattr(lucid, prefix.rstrip("."), None) if prefix else lucid
        for name in sorted(module.__all__):
            value = getattr(module, name)
            if name.startswith("_") or name in BESIDE or not inspect.isroutine(value):
                continue
            yield prefix + name, getattr(ours, name, None)


def leaves(arrays: list[Any], floating: list[bool]) -> list[lucid.Tensor]:
    return [
        lucid.Tensor(array, requires_grad=required)
        for array, required in zip(arrays, floating, strict=True)
    ]


def slopes(case: Case, tensors: list[lucid.Tensor]) -> list[Any]:
    """The results, and the gradients of their sum."""
    result = case(*tensors)
    results = list(result) if isinstance(result, tuple) else [result]
    inputs = [each for each in tensors if each.requires_grad]
    followed = [each for each in results if each.requires_grad]
    if not (inputs and followed):
        return results
    found = lucid.grad(followed, inputs, allow_unused=True)
    return [*results, *(each for each in found if each is not None)]


def works_on(case: Case, xp: Any) -> bool:
    arrays = case.arguments()
    floating = [case.order > 0 and array.dtype.kind in "fc" for array in arrays]
    expected = slopes(case, leaves(arrays, floating))
    try:
        found = slopes(case, leaves([xp.asarray(array) for array in arrays], floating))
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    except Exception:  # whatever it is, it does not work
        return False
    return True


def rows(found: dict[str, Any]) -> Iterator[list[str]]:
    by_function: dict[int, list[Case]] = {}
    for case in CASES:
        by_function.setdefault(id(case.function), []).append(case)
    for name, function in functions():
        cases = by_function.get(id(function), [])
        order = max((case.order for case in cases), default=0)
        yield [
            f"`{name}`",
            mark(function is not None),
            *(mark(order > k) if cases else "" for k in (0, 1)),
            mark(any(case.complex for case in cases)) if cases else "",
            *(
                mark(all(works_on(case, xp) for case in cases)) if cases else ""
                for xp in found.values()
            ),
        ]


def mark(holds: bool) -> str:
    return "✓" if holds else "–"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="into docs/array-api.md")
    options = parser.parse_args()
    found = libraries()
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        body = list(rows(found))
    header = ["function", "there", "gradient", "second", "complex", *found]
    lines = [header, [":--", *[":-:"] * (len(header) - 1)], *body]
    counts = [sum(row[k] == "✓" for row in body) for k in range(1, len(header))]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    text += (
        f"\n\nOf {len(body)} functions: "
        + ", ".join(f"{count} {name}" for name, count in zip(header[1:], counts, strict=True))
        + ".\n"
    )
    print(text)
    if options.write:
        before, rest = PAGE.read_text().split(MARKS[0])
        _, after = rest.split(MARKS[1])
        PAGE.write_text(f"{before}{MARKS[0]}\n\n{text}\n{MARKS[1]}{after}")


if __name__ == "__main__":
    main()
