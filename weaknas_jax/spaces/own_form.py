"""Architectures of the benchmarks in the form that their papers and libraries use.

A table names an architecture in one line; this module translates the name to JSON. To add a space,
add an entry to `FORMS`.
"""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from weaknas_jax.spaces import nasbench201
from weaknas_jax.spaces.mobilenet import arch as mobilenet
from weaknas_jax.spaces.mobilenet import window
from weaknas_jax.spaces.nasbench101 import cells


class Form(NamedTuple):
    """The form of one space.

    Attributes:
      content: from a name to the architecture as JSON; ValueError for an invalid name.
      words: from this JSON to one readable line; None = the name is readable.
    """

    content: Callable[[str], Any]
    words: Callable[[Any], str] | None = None


def own_form(space: str, name: str | None) -> Any | None:
    """The architecture of a name as JSON; None = unknown space, or no name of this one.

    >>> own_form("nasbench101", "108400/p....")["ops"]
    ['input', 'maxpool3x3', 'output']
    """
    if name is None or space not in FORMS:
        return None
    try:
        return FORMS[space].content(name)
    except (ValueError, IndexError):
        return None


def in_words(space: str, name: str | None) -> str | None:
    """The architecture of a name as one readable line; None = unknown, or the name is readable.

    >>> in_words("nasbench101", "108400/p....")
    '1 = maxpool3x3(input), output = 1 + input'
    """
    content = own_form(space, name)
    words = FORMS[space].words if content is not None else None
    return words(content) if words else None


def _nasbench201(name: str) -> str:
    return nasbench201.to_string(nasbench201.parse(name))


def _nasbench101(name: str) -> dict[str, list]:
    """The benchmark's own: ``matrix`` [n, n] and ``ops`` [n], input first and output last."""
    cell = cells.read_names([name])
    if str(cells.names(cells.code(cell))[0]) != name:
        raise ValueError(f"{name!r}: no name of a NAS-Bench-101 cell")
    matrix, ops = (part[0] for part in cells.to_padded(cell))
    size = int((ops == cells.OUTPUT).argmax()) + 1
    inner = [cells.OPS[op] for op in ops[1 : size - 1]]
    return {"matrix": matrix[:size, :size].tolist(), "ops": ["input", *inner, "output"]}


def _cell_in_words(content: dict[str, list]) -> str:
    """Each node with its operation and inputs; the output concatenates nodes and adds the input."""
    matrix, ops = np.asarray(content["matrix"]), content["ops"]
    last, parts = len(ops) - 1, []
    for node in range(1, last):
        sources = [
            "input" if source == 0 else str(source) for source in matrix[:, node].nonzero()[0]
        ]
        parts.append(f"{node} = {ops[node].removesuffix('-bn-relu')}({' + '.join(sources)})")
    joined = [str(node) for node in range(1, last) if matrix[node, last]]
    output = [f"concat({', '.join(joined)})" if len(joined) > 1 else "".join(joined)]
    output += ["input"] * bool(matrix[0, last])
    return ", ".join([*parts, f"output = {' + '.join(filter(None, output))}"])


def _mobilenet(name: str) -> dict[str, list[int]]:
    """The lists ``ks``, ``e`` and ``d`` that every command for sub-networks reads."""
    population = window.parse([name])
    return json.loads(mobilenet.to_json(mobilenet.Arch(*(part[0] for part in population))))


FORMS = {
    "nasbench201": Form(_nasbench201),
    "nasbench101": Form(_nasbench101, _cell_in_words),
    "mobilenet_v3": Form(_mobilenet),
}
"""By space, as tables name it."""
