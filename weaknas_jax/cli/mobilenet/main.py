"""Open-domain search on the Once-for-all MobileNetV3 supernet (WeakNAS, section 4.3, Table 7).

    weaknas mobilenet demo       the whole workflow on a small supernet, no downloads
    weaknas mobilenet convert    a published PyTorch file to our own format
    weaknas mobilenet evaluate   the accuracy that a sub-network inherits, on ImageNet
    weaknas mobilenet search     sub-networks in a window of multiply-adds
    weaknas mobilenet train      a sub-network from scratch
    weaknas mobilenet pool       a table of sub-networks, labelled by a predictor

Each has its own flags: ``weaknas mobilenet COMMAND --help``.
"""

import functools
import importlib
import sys
from typing import NoReturn

from absl import flags

from weaknas_jax.cli import console, entry
from weaknas_jax.cli.help import SEARCH, About, description
from weaknas_jax.core import called, endings
from weaknas_jax.storage.checkpoint import CheckpointError
from weaknas_jax.storage.npz import TableError

COMMANDS = ("demo", "convert", "evaluate", "search", "train", "pool")
ABOUT = About("weaknas mobilenet", __doc__, ())


@entry.checked
def _work(argv: list[str], command: str) -> int:
    del argv
    try:
        return module(command).main()
    except (ValueError, TableError, CheckpointError, ModuleNotFoundError) as error:
        return console.fail(str(error))
    except OSError as error:
        advice = "finished work is saved: fix this, then run the same command line"
        return console.fail(f"{error}; {advice}", console.status(error))


def run(command: str, argv: list[str]) -> int:
    """Runs a command whose flags are parsed already; returns the exit status."""
    return _work(argv, command)


def module(command: str):
    """The module of a command; importing it defines its flags."""
    return importlib.import_module(f"weaknas_jax.cli.mobilenet.{command}")


def about(command: str) -> About:
    """The help record of a command, with its own flags and the shared ones it reads."""
    part = module(command)
    own = [flag.name for flag in flags.FLAGS.get_flags_for_module(part.__name__)]
    line = f"weaknas mobilenet {command}"
    depending = SEARCH if "predictor" in own else ()
    return About(line, part.__doc__, [*part.SHARED, *own], depending)


def start() -> NoReturn:
    """Finds the command and starts it with its flags only."""
    argv = sys.argv
    if len(argv) < 2 or argv[1] not in COMMANDS:
        if {"--help", "-h"} & set(argv):
            sys.exit(endings.run(lambda: print(description(ABOUT)) or 0))
        sys.exit(console.fail(f"name a command first: {', '.join(COMMANDS)}"))
    command = called.take()
    entry.start(functools.partial(run, command), lambda: about(command))
