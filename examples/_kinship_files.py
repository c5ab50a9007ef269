"""The file in which the kinship example keeps a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from _example import ExampleError
from _kinship_data import SPLITS, Data, Numbers
from _kinship_words import words_of

import lucid


def write_model(path: Path, state: Mapping[str, Any], data: Data) -> None:
    """The model's parameters beside the names and the triples that it was trained with."""
    content = {
        "model": state,
        "people": data.people,
        "terms": data.terms,
        "splits": data.splits,
        "words": data.words.saved(),
    }
    try:
        lucid.save(content, path)
    except OSError as error:
        raise ExampleError(str(error)) from None


def read_model(path: Path) -> tuple[dict[str, Any], Data]:
    """What `write_model` wrote; an ExampleError if the file is another one, or damaged."""
    try:
        content = lucid.load(path)
        people, terms = _names(content["people"]), _names(content["terms"])
        splits = {split: content["splits"][split].numpy() for split in SPLITS}
        if not all(_fits(rows, len(people), len(terms)) for rows in splits.values()):
            raise ValueError("triples of others")
        return content["model"], Data(people, terms, splits, words_of(content["words"]))
    except OSError as error:
        raise ExampleError(str(error)) from None
    except (lucid.LucidError, ValueError, KeyError, TypeError, AttributeError):
        raise damaged(path) from None


def damaged(path: Path) -> ExampleError:
    """What to raise about a file that is no model."""
    return ExampleError(f"{path}: this is no model that kinship.py saved, or it is damaged")


def _names(value: Any) -> list[str]:
    """A list of different names, and nothing else."""
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ValueError("no names")
    if not value or len(set(value)) < len(value):
        raise ValueError("no names, or one twice")
    return value


def _fits(rows: Numbers, people: int, terms: int) -> bool:
    """Whether rows are numbers of a head, a term and a tail."""
    return (
        np.issubdtype(rows.dtype, np.integer)
        and rows.ndim == 2
        and rows.shape[1] == 3
        and len(rows) > 0
        and bool((rows >= 0).all() and (rows < (people, terms, people)).all())
    )
