"""The file in which the link prediction example keeps a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from _example import ExampleError
from _link_data import SPLITS, Graph, Numbers

import lucid


def write_model(path: Path, state: Mapping[str, Any], graph: Graph) -> None:
    """The model's parameters beside the names and the facts that it was trained with."""
    try:
        lucid.save({"model": state, "graph": asdict(graph)}, path)
    except OSError as error:
        raise ExampleError(str(error)) from None


def read_model(path: Path) -> tuple[dict[str, Any], Graph]:
    """What `write_model` wrote; an ExampleError if the file is another one, or damaged."""
    try:
        content = lucid.load(path)
        fields = content["graph"]
        fields["splits"] = {split: fields["splits"][split].numpy() for split in SPLITS}
        graph = Graph(**fields)
        if not _fits(graph):
            raise ValueError("facts of others")
        return content["model"], graph
    except OSError as error:
        raise ExampleError(str(error)) from None
    except (lucid.LucidError, ValueError, KeyError, TypeError, AttributeError):
        raise damaged(path) from None


def damaged(path: Path) -> ExampleError:
    """What to raise about a file that is no model."""
    return ExampleError(f"{path}: this is no model that link_prediction.py saved, or it is damaged")


def _fits(graph: Graph) -> bool:
    """Whether names are names, and facts are numbers of these."""
    lists = graph.entities, graph.links, graph.meanings
    return (
        all(isinstance(each, str) for each in (graph.title, graph.things, graph.note))
        and all(isinstance(name, str) for names in lists for name in names)
        and len(graph.links) % 2 == 0
        and len(graph.meanings) in (0, len(graph.entities))
        and all(number in range(len(graph.relations)) for number in graph.mutual)
        and all(_are_facts(rows, graph) for rows in graph.splits.values())
    )


def _are_facts(rows: Numbers, graph: Graph) -> bool:
    most = len(graph.entities), len(graph.relations), len(graph.entities)
    return (
        np.issubdtype(rows.dtype, np.integer)
        and rows.ndim == 2
        and rows.shape[1] == 3
        and len(rows) > 0
        and bool((rows >= 0).all() and (rows < most).all())
    )
