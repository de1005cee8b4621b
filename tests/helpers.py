"""Calls of commands: in this process, and in one of their own.

Commands have flags of the same names, and absl takes each name once a process: those of `search`,
`sweep` and the paper's are of this one.
"""

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from absl import flags
from absl.testing import flagsaver

TESTS = Path(__file__).parent


def call(main: ModuleType, *arguments: Any) -> int:
    """The exit status of a command of this process, given the words of its line."""
    from weaknas_jax.cli import sweep  # here: it defines flags, which not all who import this take

    argv, lists = sweep.split([main.__name__.rsplit(".", 1)[-1], *map(str, arguments)])
    with flagsaver.flagsaver():
        flags.FLAGS.unparse_flags()
        rest = flags.FLAGS(argv)
        takes_lists = len(inspect.signature(main.main).parameters) > 1
        return main.main(rest, lists) if takes_lists else main.main(rest)


def summary_of(folder: Path) -> dict[str, Any]:
    """The summary of an experiment."""
    return json.loads((folder / "summary.json").read_text())


def is_drawn(path: Path) -> bool:
    """Whether a PNG is whole and not blank; what is on it is tested where it is drawn."""
    from matplotlib import image  # here: the processes of `child` need it not

    return bool(image.imread(path)[..., :3].std() > 0.01)


def child(script: str, given: Any = None, cwd: Path = TESTS, **environment: str) -> Any:
    """What a Python process prints last, read as JSON.

    Args:
      script: its program, which may import what tests do.
      given: what it reads, as JSON, from its standard input.
      cwd: where it begins.
      environment: variables beside those of this process.
    """
    own = {"PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path]), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        cwd=cwd,
        env=os.environ | own | environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


class Answer(NamedTuple):
    """What a command came to: its exit status and what it printed."""

    status: int
    out: str
    err: str


_CALLS = """
import contextlib, importlib, io, json, sys
from absl import flags
from absl.testing import flagsaver
name, lines = json.load(sys.stdin)
main = importlib.import_module(f"weaknas_jax.cli.{name}")
answers = []
for line in lines:
    out, err = io.StringIO(), io.StringIO()
    with flagsaver.flagsaver(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        flags.FLAGS.unparse_flags()
        answers.append([main.main(flags.FLAGS([name, *line])), out, err])
print(json.dumps([[status, out.getvalue(), err.getvalue()] for status, out, err in answers]))
"""


def calls(name: str, *lines: list[Any], cwd: Path = TESTS, **environment: str) -> list[Answer]:
    """The answers of `weaknas_jax.cli` ``name`` to each line, in one process for all."""
    words = [[str(word) for word in line] for line in lines]
    return [Answer(*one) for one in child(_CALLS, [name, words], cwd, **environment)]
