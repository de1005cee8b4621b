"""Start of every command: reads, checks and explains its flags.

A command is a function ``main(argv, ...) -> exit status`` under `checked`, started by `start`;
`weaknas_jax.core.endings` ends it.
"""

import functools
import math
import sys
from collections.abc import Callable, Collection, Sequence
from typing import Any, NoReturn

from absl import flags, logging

from weaknas_jax.cli import help as helps
from weaknas_jax.core import called, conventions, endings

_HELP = {"--help", "-help", "-h", "--helpshort", "--helpfull"}
_LARGEST = 2**31 - 1
_LARGEST_FLOAT = 3.4e38  # of 32 bits


def start(
    main: Callable[[list[str]], int],
    about: helps.About | Callable[[], helps.About],
    argv: Sequence[str] | None = None,
) -> NoReturn:
    """Reads the flags, runs ``main`` and ends the process.

    Args:
      main: takes the arguments that are not flags, the program first.
      about: the command, or a function that returns it; flags of other commands are errors.
      argv: the command line, by default `sys.argv`.
    """
    sys.exit(endings.run(lambda: _run(main, about, list(sys.argv if argv is None else argv))))


def _run(main: Callable[[list[str]], int], about: helps.About, argv: list[str]) -> int:
    conventions.apply()
    about = about if isinstance(about, helps.About) else about()
    if _HELP & set(argv[1:]):
        print(helps.text(about))
        return 0
    try:
        rest = flags.FLAGS(argv)
    except flags.Error as error:
        return endings.fail(f"{_one_line(str(error))}; see --help")
    for name in _foreign(about.names):
        return endings.fail(f"--{name}: {called.line()} has no such flag; see --help")
    return main(rest)


def _is_ours(module: str) -> bool:
    return module.startswith("weaknas_jax.cli") or module == sys.argv[0]


def _foreign(names: Collection[str]) -> list[str]:
    """Flags on this command line that belong to other imported commands."""
    by_module = flags.FLAGS.flags_by_module_dict()
    own = [
        flag for module, of_module in by_module.items() if _is_ours(module) for flag in of_module
    ]
    return [flag.name for flag in own if flag.present and flag.name not in names]


def _one_line(message: str) -> str:
    """An error message of absl, as one line."""
    line = " ".join(message.split()).removeprefix("flag ").rstrip(".")
    for phrase, replacement in (
        ("invalid literal for int()", "give a whole number"),
        ("could not convert string to float", "give a number"),
    ):
        if phrase in line:
            line = line[: line.index(phrase)] + replacement
    return line


def checked(main: Callable[..., int]) -> Callable[..., int]:
    """Decorator: checks the values of flags, and turns errors into one line and a status."""
    return _checked(main, False)


def checked_with_arguments(main: Callable[..., int]) -> Callable[..., int]:
    """`checked`, for a ``main`` with positional arguments."""
    return _checked(main, True)


def _checked(main: Callable[..., int], positional: bool) -> Callable[..., int]:
    @functools.wraps(main)
    def wrapper(argv: Sequence[str], *args: Any, **kwargs: Any) -> int:
        if len(argv) > 1 and not positional:
            return endings.fail(f"unexpected argument {argv[1]!r}; flags begin with --")
        logging.set_verbosity(logging.WARNING)
        try:
            check_values()
        except ValueError as error:
            return endings.fail(str(error))
        return endings.settled(functools.partial(main, argv, *args, **kwargs))

    return wrapper


def check_values() -> None:
    """Raises ValueError for an invalid value of a flag on this command line; names it."""
    for name in flags.FLAGS:
        flag = flags.FLAGS[name]
        if flag.present:
            flag.value = usable(name, flag.value)


def usable(name: str, value: Any) -> Any:
    """The value of a flag, a zero without its sign.

    Raises:
      ValueError: it is empty (an unset shell variable, say), not finite, or exceeds 32 bits.
    """
    if (isinstance(value, str) and not value.strip()) or value in ([], [""]):
        raise ValueError(f"--{name}= is empty; give a value, or leave the flag out")
    if isinstance(value, list) and not all(str(part).strip() for part in value):
        raise ValueError(f"--{name}={','.join(value)}: a value between commas is empty")
    if isinstance(value, float):
        if not math.isfinite(value) or abs(value) > _LARGEST_FLOAT:
            raise ValueError(f"--{name}={value}: give a finite number")
        return value + 0.0  # -0.0 is 0.0
    if isinstance(value, int) and abs(value) > _LARGEST:
        bound = getattr(flags.FLAGS[name].parser, "upper_bound", None)
        if bound is None:
            raise ValueError(f"--{name}={value}: give at most {_LARGEST}")
    return value
