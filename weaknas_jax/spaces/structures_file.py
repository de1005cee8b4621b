"""The structure of a space as JSON, in a space file, a table or a file of its own.

{"cell": {"edges": {"a": [0, 1], "b": [0, 2], "c": [1, 2]}, "none": ["zero"]}}

{"chain": {"layers": ["layer1", "layer2", "layer3"], "skip": ["identity"]}}

Slots of a table have numbers: ``"edges": [[0, 0, 1], [1, 0, 2], [2, 1, 2]]`` are slots 0, 1 and 2.
All choices in order: ``"edges": [[0, 1], [0, 2], [1, 2]]``; a chain without ``"layers"``.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from weaknas_jax.spaces.choice import SpaceError
from weaknas_jax.spaces.structures import Cell, Chain, Structure, check_names

_FIELDS = {"cell": ("edges", "none", "skip", "options"), "chain": ("layers", "skip", "options")}
FORM = '{"cell": {"edges": {"CHOICE": [0, 1]}}} or {"chain": {"layers": ["CHOICE"]}}'


def from_json(content: Any) -> Structure:
    """The structure that JSON describes.

    >>> from_json({"chain": {"layers": ["a", "b"], "skip": ["identity"]}})
    Chain(layers=('a', 'b'), skip=('identity',), options=())

    Raises:
      SpaceError: it describes none.
    """
    if not isinstance(content, Mapping) or len(content) != 1 or not set(content) <= set(_FIELDS):
        raise SpaceError(f"not a structure; give {FORM}")
    ((kind, fields),) = content.items()
    if not isinstance(fields, Mapping) or (kind == "cell" and "edges" not in fields):
        raise SpaceError(f"not a {kind}; give {FORM}")
    if stray := set(fields) - set(_FIELDS[kind]):
        raise SpaceError(f"{kind}: unknown field {min(stray)!r}; use {', '.join(_FIELDS[kind])}")
    if kind == "chain":
        return Chain(**fields)
    edges = fields["edges"]
    triples = isinstance(edges, list) and all(isinstance(e, list) and len(e) == 3 for e in edges)
    if edges and triples:
        check_names([name for name, *_ in edges])
        edges = {name: (start, end) for name, start, end in edges}
    return Cell(**{**fields, "edges": edges})


def from_text(text: str) -> Structure:
    """The structure that a text of JSON describes, see `from_json`.

    Raises:
      SpaceError: it is no JSON, or describes none.
    """
    try:
        return from_json(json.loads(text, object_pairs_hook=once))
    except SpaceError:
        raise
    except (ValueError, RecursionError) as error:
        raise SpaceError(f"not JSON ({error})") from None


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; SpaceError for duplicate names, of which Python keeps the last."""
    content: dict[str, Any] = {}
    for name, value in pairs:
        if name in content:
            raise SpaceError(f"{name!r} is there twice; name each once")
        content[name] = value
    return content


def load(path: str | os.PathLike) -> Structure:
    """The structure that a JSON file describes.

    Raises:
      SpaceError: it cannot be read, or describes none.
    """
    try:
        return from_text(Path(path).read_text("utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise SpaceError(f"{path}: cannot be read ({error})") from None
    except SpaceError as error:
        raise SpaceError(f"{path}: {error}") from None
