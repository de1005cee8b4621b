"""Open-domain search on the Once-for-all MobileNetV3 supernet (WeakNAS, section 4.3, Table 7).

    python -m experiments.mobilenet demo       the whole way on a small supernet, nothing downloaded
    python -m experiments.mobilenet convert    a published PyTorch file to a folder that needs none
    python -m experiments.mobilenet evaluate   the accuracy that a sub-network inherits, on ImageNet
    python -m experiments.mobilenet search     sub-networks in a window of multiply-adds
    python -m experiments.mobilenet train      what was found, from scratch
    python -m experiments.mobilenet pool       a table of sub-networks, labelled by a predictor

Each has flags of its own: ``python -m experiments.mobilenet COMMAND --help``.
"""

import importlib
import sys

from absl import app, flags, logging

from experiments import console
from experiments.mobilenet import flags as shared
from weaknas_jax.checkpoint import CheckpointError
from weaknas_jax.tables.store import TableError

COMMANDS = ("demo", "convert", "evaluate", "search", "train", "pool")


def run(command: str, argv: list[str]) -> int:
    """One command, whose flags are parsed already; returns the exit status."""
    if len(argv) > 1:
        return console.fail(f"unexpected argument {argv[1]!r}; flags begin with --")
    logging.set_verbosity(logging.WARNING)
    try:
        return module(command).main()
    except (ValueError, TableError, CheckpointError, ModuleNotFoundError) as error:
        return console.fail(str(error))
    except OSError as error:
        return console.fail(f"{error}; what is finished is kept: mend it, then go on by that line")


def module(command: str):
    """The module of a command; its flags are defined by importing it."""
    return importlib.import_module(f"experiments.mobilenet.{command}")


def main() -> None:
    """Finds the command and lets absl parse its flags, and no other's."""
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        if "--help" in sys.argv or "-h" in sys.argv:
            print(__doc__.strip())
            sys.exit(0)
        sys.exit(console.fail(f"name one command first: {', '.join(COMMANDS)}"))
    command = sys.argv.pop(1)
    for part in (module(command), shared):
        flags.adopt_module_key_flags(part)  # what --help shows
    sys.modules["__main__"].__doc__ = module(command).__doc__
    app.run(lambda argv: run(command, argv))


if __name__ == "__main__":
    main()
