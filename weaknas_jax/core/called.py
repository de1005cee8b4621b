"""How this process was called: the words that every line to go on with begins with.

They are ``weaknas search`` where the script was called so, and ``python -m experiments.nasbench``
where that was.
"""

import shlex
import sys
from pathlib import Path

_taken: list[str] = []


def take() -> str:
    """Takes the first argument out of `sys.argv`; it is a word of the command from now on."""
    word = sys.argv.pop(1)
    _taken.append(word)
    return word


def line(*arguments: str) -> str:
    """The command of this process with other arguments, as a shell reads it."""
    return shlex.join([*_program(), *_taken, *arguments])


def this_line() -> str:
    """The line by which this process was called."""
    return line(*sys.argv[1:])


def another(*words: str) -> str:
    """The line of another command, such as ``another("search", "--table=mine.npz")``."""
    program = ["weaknas"] if _module() is None else ["python", "-m", "weaknas_jax.cli"]
    return shlex.join([*program, *words])


def _program() -> list[str]:
    module = _module()
    return [Path(sys.argv[0]).stem] if module is None else ["python", "-m", module]


def _module() -> str | None:
    """What ``python -m`` was given; None = a script, a folder or an archive was called."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    name = "__main__" if spec is None else spec.name
    return None if name == "__main__" else name.removesuffix(".__main__")
