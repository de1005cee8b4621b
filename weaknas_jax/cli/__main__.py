"""Entry point of all commands: ``weaknas COMMAND`` or ``python -m weaknas_jax.cli COMMAND``.

The module of a command, and with it JAX, is imported only when the command is called: the list of
commands is printed at once, and commands do not share flags.
"""

import difflib
import importlib
import sys
from typing import NamedTuple, NoReturn

from weaknas_jax import _interrupt
from weaknas_jax._version import __version__
from weaknas_jax.core import called, endings


class Command(NamedTuple):
    """A command: the module with its ``start()``, and its description in the list."""

    module: str
    does: str


COMMANDS = {
    "search": Command("weaknas_jax.cli.search", "search a benchmark, or a table of your own"),
    "sweep": Command("weaknas_jax.cli.sweep", "search at every combination of listed settings"),
    "jobs": Command("weaknas_jax.cli.jobs", "search a space of your own by a shell command"),
    "predictors": Command("weaknas_jax.cli.predictors", "compare how well predictors rank"),
    "plot": Command("weaknas_jax.cli.plot", "plot finished searches in one figure"),
    "members": Command("weaknas_jax.cli.members", "show what the members of a mixture weighed"),
    "reread": Command("weaknas_jax.cli.reread", "report a finished search under another protocol"),
    "build": Command("weaknas_jax.cli.build", "describe and build the network of a search result"),
    "table": Command("weaknas_jax.tables.__main__", "list, info, verify, import: tables to search"),
    "mobilenet": Command(
        "weaknas_jax.cli.mobilenet.main",
        "demo, convert, evaluate, search, train, pool: the supernet",
    ),
    "paper tables": Command("weaknas_jax.cli.paper.tables", "reproduce Tables 1 to 5 of WeakNAS"),
    "paper figures": Command("weaknas_jax.cli.paper.figures", "reproduce its Figures 1 and 3 to 6"),
    "paper protocols": Command(
        "weaknas_jax.cli.paper.protocols", "measure the effect of each protocol switch"
    ),
}
"""In the order of the list; a new command needs a line here and a module with ``start()``."""
_HELP = {"--help", "-help", "-h", "help"}


def text(names: list[str]) -> str:
    """The list of the commands ``names``, as ``--help`` prints it."""
    width, program = max(map(len, names)), called.line()
    return "\n".join(
        [
            f"weaknas_jax {__version__}: predictor-based neural architecture search in JAX",
            "",
            f"  {program} COMMAND [flags]    (flags of a command: {program} COMMAND --help)",
            "",
            *(f"  {name:<{width}}  {COMMANDS[name].does}" for name in names),
        ]
    )


def _without_a_command(words: list[str]) -> int:
    """Lists the commands, or reports an unknown one; returns the exit status."""
    group = [name for name in COMMANDS if words and name.split()[0] == words[0]]
    rest = words[1:] if group else words
    if rest == ["--version"]:
        print(__version__)
        return 0
    if not rest or rest[0] in _HELP:
        print(text(group or list(COMMANDS)))
        return 0
    asked = " ".join(words[: 2 if group else 1])
    matches = difflib.get_close_matches(asked, COMMANDS, n=1)
    hint = f"did you mean {matches[0]}? " if matches else ""
    return endings.fail(f"{asked}: no such command; {hint}{called.line()} --help lists all")


def start() -> NoReturn:
    """Finds the command and starts it."""
    _interrupt.install()
    words = sys.argv[1:]
    candidates = [" ".join(words[:count]) for count in (2, 1)]
    name = next((name for name in candidates if name in COMMANDS), None)
    if name is None:
        sys.exit(endings.run(lambda: _without_a_command(words)))
    for _ in name.split():
        called.take()
    importlib.import_module(COMMANDS[name].module).start()
    raise AssertionError(f"{COMMANDS[name].module}.start() returned")


if __name__ == "__main__":
    start()
