"""Check that stored work belongs to the current settings, for folders, journals and caches.

The settings of a search are stored with it. Before it is resumed, they are compared with the
current ones, leaf by leaf, and differences that are not allowed are an error (`check`)::

    runs/a: was started with other settings: --budget was 35, is 50; only --seeds may differ;
    name another --out

Files whose names hold a checksum of all that they depend on (`storage.cache`) need no such check.
"""

import json
from collections.abc import Collection, Mapping
from typing import Any

_SHOWN, _BEFORE, _MOST = 70, 25, 8
_NOTHING = object()


class IdentityError(ValueError):
    """Stored work has other settings; says what differs, what may differ, and how to go on."""


def check(
    place: Any,
    stored: Mapping[str, Any],
    current: Mapping[str, Any],
    *,
    free: Collection[str] = (),
    do: str = "name another place",
) -> None:
    """Checks that ``stored`` and ``current`` settings agree, except for free ones.

    >>> check("a", {"seed": 0, "workers": 2}, {"seed": 0, "workers": 4}, free=["workers"])
    >>> check("a", {"seed": 0}, {"seed": 1}, do="stop")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    weaknas_jax.storage.identity.IdentityError: a: was started ... seed was 0, is 1; stop

    Args:
      place: the folder or file, for the error.
      stored: the settings that the work began with, as JSON; nested ones are compared by the leaf.
      current: those of this call.
      free: dotted names of settings that may differ.
      do: how to go on where something differs, for the error.

    Raises:
      IdentityError: a setting that is not free differs; names all that do.
    """
    leaves = differences(stored, current)
    if fixed := {name: pair for name, pair in leaves.items() if name not in free}:
        only = f"; only {', '.join(sorted(free))} may differ" if free else ""
        raise IdentityError(f"{place}: was started with other settings: {text(fixed)}{only}; {do}")


def differences(stored: Any, current: Any, name: str = "") -> dict[str, tuple[Any, Any]]:
    """The leaves that differ by their dotted names, each with its stored and its current value.

    >>> list(differences({"a": {"b": [1, 2], "c": 3}}, {"a": {"b": [1], "c": 3}}))
    ['a.b']

    A leaf is whatever is no mapping; a list is one leaf.
    """
    if isinstance(stored, Mapping) and isinstance(current, Mapping):
        leaves = {}
        for key in {**current, **stored}:
            below = f"{name}.{key}" if name else str(key)
            leaves |= differences(stored.get(key, _NOTHING), current.get(key, _NOTHING), below)
        return leaves
    return {} if stored == current else {name: (stored, current)}


def text(leaves: Mapping[str, tuple[Any, Any]]) -> str:
    """Leaves that differ in one line.

    >>> text(differences({"seed": 3, "lr": 0.1}, {"seed": 4}))
    'seed was 3, is 4; lr was 0.1, is nothing'
    """
    parts = []
    for name, values in list(leaves.items())[:_MOST]:
        stored, current = _shown(*values)
        parts.append(f"{name} was {stored}, is {current}")
    if len(leaves) > _MOST:
        parts.append(f"and {len(leaves) - _MOST} more")
    return "; ".join(parts)


def _shown(stored: Any, current: Any) -> tuple[str, str]:
    """Both as JSON; long ones are cut to the part around the first difference."""
    first, second = (
        "nothing" if value is _NOTHING else json.dumps(value) for value in (stored, current)
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
