"""Ctrl-C while a command of ours is still being imported ends it with one line, not a traceback.

Imported before anything that takes long; `endings.run` takes over when the work begins.
"""

import os
import signal
import sys


def at_once(number: int, frame: object) -> None:
    """Ends the process: nothing is under way that could be kept."""
    del number, frame
    os.write(2, b"error: interrupted\n")
    os._exit(130)


def install() -> None:
    """Lets Ctrl-C end the process `at_once`, unless it is ignored or handled already."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, at_once)


if sys.argv[:1] == ["-m"]:  # so it is while Python looks for the module that `python -m` names
    install()
