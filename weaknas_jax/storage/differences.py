"""What differs between two nested JSON values, down to the leaf."""

import json
from collections.abc import Mapping
from typing import Any

_SHOWN, _BEFORE, _MOST = 70, 25, 8
_NOTHING = object()


def between(there: Any, here: Any, name: str = "") -> dict[str, tuple[Any, Any]]:
    """The leaves that differ, by their dotted names: what is there, what is here.

    >>> list(between({"a": {"b": [1, 2], "c": 3}}, {"a": {"b": [1], "c": 3}}))
    ['a.b']

    A leaf is whatever is no mapping; a list is one leaf.
    """
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        leaves = {}
        for key in {**here, **there}:
            below = f"{name}.{key}" if name else str(key)
            leaves |= between(there.get(key, _NOTHING), here.get(key, _NOTHING), below)
        return leaves
    return {} if there == here else {name: (there, here)}


def text(leaves: Mapping[str, tuple[Any, Any]]) -> str:
    """Leaves that differ in one line.

    >>> text(between({"seed": 3, "lr": 0.1}, {"seed": 4}))
    'seed: 3 there, 4 here; lr: 0.1 there, nothing here'
    """
    lines = []
    for name, (there, here) in list(leaves.items())[:_MOST]:
        first, second = _shown(there, here)
        lines.append(f"{name}: {first} there, {second} here")
    if len(leaves) > _MOST:
        lines.append(f"and {len(leaves) - _MOST} more")
    return "; ".join(lines)


def _shown(there: Any, here: Any) -> tuple[str, str]:
    """Both as JSON; of long ones what surrounds the first difference."""
    first, second = (
        "nothing" if value is _NOTHING else json.dumps(value) for value in (there, here)
    )
    if max(len(first), len(second)) <= _SHOWN:
        return first, second
    pairs = zip(first, second, strict=False)
    at = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))
    return _around(first, at), _around(second, at)


def _around(whole: str, at: int) -> str:
    begin = max(0, at - _BEFORE)
    part = whole[begin : begin + _SHOWN]
    return "..." * (begin > 0) + part + "..." * (begin + _SHOWN < len(whole))
