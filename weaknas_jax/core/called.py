"""Command lines that begin as this process did, for the commands that messages suggest.

That is ``weaknas search`` or, from a clone, ``python -m experiments.nasbench``.
"""

import shlex
import sys
from pathlib import Path

_taken: list[str] = []


def take() -> str:
    """Moves the first argument of `sys.argv` into the command, as its subcommand."""
    word = sys.argv.pop(1)
    _taken.append(word)
    return word


def line(*arguments: str) -> str:
    """The command of this process with other arguments, quoted for a shell."""
    return shlex.join([*_program(), *_taken, *arguments])


def this_line() -> str:
    """The command line of this process."""
    return line(*sys.argv[1:])


def another(*words: str) -> str:
    """The line of another command, e.g. ``another("search", "--table=mine.npz")``."""
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
