"""Checks of settings that the algorithms share."""

from __future__ import annotations

from typing import Any

from .._errors import ArgumentError


def check_not_negative(optimizer: str, group: dict[str, Any], *names: str) -> None:
    """Raise ArgumentError for a setting below 0, or NaN."""
    for name in names:
        if not group[name] >= 0:
            raise ArgumentError(f"{optimizer}: {name} is {group[name]}, expected 0 or more")


def check_betas(optimizer: str, group: dict[str, Any]) -> None:
    """Raise ArgumentError unless both averages forget: 0 ≤ β < 1."""
    betas = group["betas"]
    if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
        raise ArgumentError(f"{optimizer}: betas are {betas}, expected two numbers, 0 ≤ β < 1")
