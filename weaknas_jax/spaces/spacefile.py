"""A space of named choices as a JSON file.

{
  "choices": {
    "depth": {"integer": [2, 8]},
    "op": {"categorical": ["conv", "mbconv"]},
    "ratio": {"ordinal": [2, 4, 6], "when": {"op": ["mbconv"]}}
  },
  "constraint": "depth < 8 or op == 'conv'",
  "cost": "depth"
}
"""

import json
import os
from pathlib import Path
from typing import Any

from weaknas_jax.spaces.choices import (
    Choice,
    Choices,
    SpaceError,
    categorical,
    integer,
    ordinal,
)

KINDS = {"categorical": categorical, "ordinal": ordinal, "integer": integer}


def from_json(text: str, where: str = "space") -> Choices:
    """The space that JSON describes.

    Raises:
      SpaceError: names ``where`` and the field or line.
    """
    try:
        given = json.loads(text)
    except ValueError as error:
        raise SpaceError(f"{where}: not JSON ({error})") from None
    if not isinstance(given, dict) or not isinstance(given.get("choices"), dict):
        raise SpaceError(f'{where}: needs {{"choices": {{"NAME": {{"categorical": [...]}}}}}}')
    if stray := set(given) - {"choices", "constraint", "cost"}:
        raise SpaceError(f"{where}: unknown field {min(stray)!r}; use choices, constraint, cost")
    for field in ("constraint", "cost"):
        if not isinstance(given.get(field, ""), str):
            raise SpaceError(f"{where}: field {field!r}: give an expression as a text")
    choices = {}
    for name, choice in given["choices"].items():
        try:
            choices[name] = _from_json(choice)
        except (SpaceError, TypeError) as error:
            raise SpaceError(f"{where}: choice {name!r}: {error}") from None
    try:
        return Choices(choices, constraint=given.get("constraint"), cost=given.get("cost"))
    except SpaceError as error:
        raise SpaceError(f"{where}: {error}") from None


def _from_json(choice: Any) -> Choice:
    kinds = [kind for kind in KINDS if isinstance(choice, dict) and kind in choice]
    if len(kinds) != 1 or set(choice) - {*kinds, "when"}:
        raise SpaceError(f"give one of {', '.join(KINDS)}, and 'when' where it is conditional")
    options, when = choice[kinds[0]], choice.get("when")
    if not isinstance(options, list) or not isinstance(when, dict | None):
        raise SpaceError("give the options as a list, and 'when' as {CHOICE: [VALUES]}")
    if kinds[0] == "integer" and len(options) not in (2, 3):
        raise SpaceError('give "integer": [low, high] or [low, high, step]')
    return KINDS[kinds[0]](*options, when=when)


def load(path: str | os.PathLike) -> Choices:
    """The space that a JSON file describes, see `from_json`.

    Raises:
      SpaceError: it cannot be read.
    """
    try:
        text = Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise SpaceError(f"{path}: cannot be read ({error})") from None
    return from_json(text, str(path))
