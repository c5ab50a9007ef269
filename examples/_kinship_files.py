"""The files that the kinship example writes: each is whole, or not there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from _kinship_data import SPLITS, Data, Numbers
from _kinship_options import KinshipError

import lucid


def check_writable(path: Path) -> None:
    """A KinshipError if no file can be written there, found before any work is done for it."""
    if path.exists() and not path.is_file():
        raise KinshipError(f"{path}: this is not a file")
    try:
        _part(path).touch()
        _part(path).unlink()
    except OSError as error:
        raise KinshipError(f"{path}: {error.strerror}") from None


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Another name to write to; the file gets its own at the end, and on an error there is none."""
    part = _part(path)
    try:
        yield part
        part.replace(path.resolve())
    except OSError as error:
        raise KinshipError(f"{path}: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)


def _part(path: Path) -> Path:
    final = path.resolve()
    return final.with_name(f".{os.getpid()}.{final.name}")


def write_model(path: Path, state: Mapping[str, Any], data: Data) -> None:
    """The model's parameters beside the names and the triples that it was trained with."""
    from safetensors import SafetensorError

    content = {"model": state, "people": data.people, "terms": data.terms, "splits": data.splits}
    try:
        with whole(path) as part:
            lucid.save(content, part)
    except SafetensorError as error:  # such as a full disk
        raise KinshipError(f"{path}: {error}") from None


def read_model(path: Path) -> tuple[dict[str, Any], Data]:
    """What `write_model` wrote; a KinshipError if the file is another one, or damaged."""
    try:
        content = lucid.load(path)
        people, terms = content["people"], content["terms"]
        splits = {split: content["splits"][split].numpy() for split in SPLITS}
        if not all(_fits(rows, len(people), len(terms)) for rows in splits.values()):
            raise ValueError("triples of others")
        return content["model"], Data(people, terms, splits)
    except OSError as error:
        raise KinshipError(f"{path}: {error.strerror or 'there is no file of this name'}") from None
    except (lucid.LucidError, ValueError, KeyError, TypeError, AttributeError):
        raise damaged(path) from None


def damaged(path: Path) -> KinshipError:
    """What to raise about a file that is no model."""
    return KinshipError(f"{path}: this is no model that kinship.py saved, or it is damaged")


def _fits(rows: Numbers, people: int, terms: int) -> bool:
    """Whether rows are numbers of a head, a term and a tail."""
    return (
        np.issubdtype(rows.dtype, np.integer)
        and rows.ndim == 2
        and rows.shape[1] == 3
        and bool((rows >= 0).all() and (rows < (people, terms, people)).all())
    )
