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

"structure" says that choices are a cell or a chain, see `structures_file`.

With "architectures": [{"depth": 2, "op": "conv"}, ...] these are the whole of the space; "choices"
may then be left out, and are what the architectures show.
"""

import json
import math
import os
from pathlib import Path
from typing import Any

from weaknas_jax.spaces import structures_file
from weaknas_jax.spaces.choices import (
    Choice,
    Choices,
    SpaceError,
    categorical,
    integer,
    ordinal,
)

KINDS = {"categorical": categorical, "ordinal": ordinal, "integer": integer}
FIELDS = {
    "choices": (dict, "the choices by name, as {NAME: {KIND: [...]}}"),
    "architectures": (list, "a list of architectures, each {NAME: VALUE}"),
    "constraint": (str, "an expression as a text"),
    "cost": (str, "an expression as a text"),
    "structure": (dict, f"as {structures_file.FORM}"),
}
"""Fields of a file and their types."""


def from_json(text: str, where: str = "space") -> Choices:
    """The space that JSON describes.

    Raises:
      SpaceError: names ``where`` and the field or line.
    """
    try:
        given = json.loads(text, object_pairs_hook=structures_file.once)
    except RecursionError:
        raise SpaceError(f"{where}: not JSON of a space (it is nested too deep)") from None
    except SpaceError as error:
        raise SpaceError(f"{where}: {error}") from None
    except ValueError as error:
        raise SpaceError(f"{where}: not JSON ({error})") from None
    if not isinstance(given, dict) or not set(given) & {"choices", "architectures"}:
        raise SpaceError(f'{where}: needs {{"choices": {{"NAME": {{"categorical": [...]}}}}}}')
    if stray := set(given) - set(FIELDS):
        raise SpaceError(f"{where}: unknown field {min(stray)!r}; use {', '.join(FIELDS)}")
    for field, (kind, what) in FIELDS.items():
        if not isinstance(given.get(field, kind()), kind):
            raise SpaceError(f"{where}: field {field!r}: give {what}")
    fields = dict(given)
    for name, choice in given.get("choices", {}).items():
        try:
            fields["choices"] = fields["choices"] | {name: _from_json(choice)}
        except (SpaceError, TypeError) as error:
            raise SpaceError(f"{where}: choice {name!r}: {error}") from None
    try:
        if "structure" in given:
            fields["structure"] = structures_file.from_json(given["structure"])
        return Choices(**fields)
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
    if not all(math.isfinite(option) for option in options if isinstance(option, float)):
        raise SpaceError("an option is infinite or NaN; give finite numbers")
    return KINDS[kinds[0]](*options, when=when)


def load(path: str | os.PathLike) -> Choices:
    """The space that a JSON file describes, see `from_json`.

    Raises:
      SpaceError: it cannot be read.
    """
    try:
        text = Path(path).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SpaceError(f"{path}: cannot be read ({error})") from None
    return from_json(text, str(path))
