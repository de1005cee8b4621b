"""How every main begins: its flags are read, checked and explained in the same way.

A main is ``main(argv, ...) -> exit status`` under `checked`, started by `start`; how it ends is
`weaknas_jax.core.endings`.
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
    """Reads the flags, does ``main`` and ends the process.

    Args:
      main: takes the arguments that are no flags, the program first.
      about: the command, or a function that gives it; flags of others are refused.
      argv: the command line, by default `sys.argv`.
    """
    sys.exit(endings.run(lambda: _begun(main, about, list(sys.argv if argv is None else argv))))


def _begun(main: Callable[[list[str]], int], about: helps.About, argv: list[str]) -> int:
    conventions.apply()
    about = about if isinstance(about, helps.About) else about()
    if _HELP & set(argv[1:]):
        print(helps.text(about))
        return 0
    try:
        rest = flags.FLAGS(argv)
    except flags.Error as error:
        return endings.fail(f"{_plainly(str(error))}; see --help")
    for name in _strangers(about.names):
        return endings.fail(f"--{name}: {called.line()} has no such flag; see --help")
    return main(rest)


def _is_ours(module: str) -> bool:
    return module.startswith("weaknas_jax.cli") or module == sys.argv[0]


def _strangers(names: Collection[str]) -> list[str]:
    """Flags of this line that other commands have, whose modules were imported too."""
    by_module = flags.FLAGS.flags_by_module_dict()
    ours = [flag for module, of in by_module.items() if _is_ours(module) for flag in of]
    return [flag.name for flag in ours if flag.present and flag.name not in names]


def _plainly(message: str) -> str:
    """What absl says of a flag, as one line."""
    line = " ".join(message.split()).removeprefix("flag ").rstrip(".")
    for mark, say in (
        ("invalid literal for int()", "give a whole number"),
        ("could not convert string to float", "give a number"),
    ):
        if mark in line:
            line = line[: line.index(mark)] + say
    return line


def checked(main: Callable[..., int]) -> Callable[..., int]:
    """``main`` with its flags' values checked, and its errors as one line and a status."""
    return _checked(main, False)


def checked_with_arguments(main: Callable[..., int]) -> Callable[..., int]:
    """The same for a main that takes arguments which are no flags."""
    return _checked(main, True)


def _checked(main: Callable[..., int], arguments: bool) -> Callable[..., int]:
    @functools.wraps(main)
    def begun(argv: Sequence[str], *more: Any, **named: Any) -> int:
        if len(argv) > 1 and not arguments:
            return endings.fail(f"unexpected argument {argv[1]!r}; flags begin with --")
        logging.set_verbosity(logging.WARNING)
        try:
            check_values()
        except ValueError as error:
            return endings.fail(str(error))
        return endings.settled(functools.partial(main, argv, *more, **named))

    return begun


def check_values() -> None:
    """Raises ValueError where the value of a flag of this line can mean nothing; names it."""
    for name in flags.FLAGS:
        flag = flags.FLAGS[name]
        if flag.present:
            flag.value = usable(name, flag.value)


def usable(name: str, value: Any) -> Any:
    """The value of a flag, a zero without its sign.

    Raises:
      ValueError: it is empty (of a shell's variable that is not set, say), is not finite, or does
        not fit into 32 bits.
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
