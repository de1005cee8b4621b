"""Graphs of a table's architectures as JSON, one for each row in order.

{"none": ["zero"], "skip": ["identity"],
 "graphs": [{"ops": ["input", "conv", "output"], "edges": [[0, 1], [1, 2]]}, ...]}

Edges are pairs of node numbers, or a matrix of 0 and 1. ``none`` and ``skip`` name the operations
that are nothing or an identity, and may be left out.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from weaknas_jax.spaces.choice import SpaceError
from weaknas_jax.spaces.graph_arrays import Graphs, of_lists
from weaknas_jax.spaces.structures_file import once

FORM = '{"graphs": [{"ops": ["input", "conv", "output"], "edges": [[0, 1], [1, 2]]}, ...]}'


def from_json(content: Any) -> Graphs:
    """The graphs that JSON describes.

    >>> chain = {"ops": ["input", "conv", "output"], "edges": [[0, 1], [1, 2]]}
    >>> from_json({"graphs": [chain]}).graph(0).nodes
    ('input', 'conv', 'output')

    Raises:
      SpaceError: it describes none; the message names the row.
    """
    if not isinstance(content, Mapping) or not isinstance(content.get("graphs"), list):
        raise SpaceError(f"no graphs; give {FORM}")
    if stray := set(content) - {"graphs", "none", "skip"}:
        raise SpaceError(f"unknown field {min(stray)!r}; use graphs, none, skip")
    rows = content["graphs"]
    for row, graph in enumerate(rows):
        if not isinstance(graph, Mapping) or set(graph) != {"ops", "edges"}:
            raise SpaceError(f'row {row}: give {{"ops": [...], "edges": [...]}}')
        if not _texts(graph["ops"]) or not isinstance(graph["edges"], list):
            raise SpaceError(f'row {row}: "ops" must be a list of names, "edges" a list')
    named = {name: content.get(name, []) for name in ("none", "skip")}
    for name, texts in named.items():
        if not _texts(texts):
            raise SpaceError(f"{name}={texts!r}: give a list of operations")
    return of_lists([(graph["ops"], graph["edges"]) for graph in rows], **named)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def load(path: str | os.PathLike) -> Graphs:
    """The graphs that a JSON file describes.

    Raises:
      SpaceError: it cannot be read, or describes none.
    """
    try:
        text = Path(path).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SpaceError(f"{path}: cannot be read ({error})") from None
    try:
        return from_json(json.loads(text, object_pairs_hook=once))
    except SpaceError as error:
        raise SpaceError(f"{path}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise SpaceError(f"{path}: not JSON ({error})") from None
