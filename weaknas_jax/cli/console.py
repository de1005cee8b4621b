"""Messages of the commands on stderr, and their reaction to signals."""

import contextlib
import signal
import sys
import time
from collections.abc import Callable, Iterator

from weaknas_jax.core import called
from weaknas_jax.core.endings import fail, status

__all__ = [
    "Stop",
    "clock",
    "every",
    "fail",
    "interrupted",
    "note",
    "status",
    "stoppable",
]


def note(message: str) -> None:
    """Prints a message on stderr."""
    print(message, file=sys.stderr, flush=True)


def every(seconds: float, line: Callable[..., str]) -> Callable[..., None]:
    """A function that prints ``line(*arguments)``, at most once in so many seconds."""
    last = [time.monotonic()]

    def show(*arguments) -> None:
        if time.monotonic() - last[0] >= seconds:
            last[0] = time.monotonic()
            note(line(*arguments))

    return show


def clock(seconds: float) -> str:
    """Seconds as minutes and seconds, ``m:ss``."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


class Stop:
    """Whether Ctrl-C or a termination signal came; a second one interrupts at once."""

    def __init__(self):
        self.signal = None

    def __call__(self) -> bool:
        return self.signal is not None

    @property
    def code(self) -> int:
        """The exit status of a process ended by that signal."""
        return 128 + (self.signal or signal.SIGINT)


def interrupted(stop: Stop) -> int:
    """Reports an interruption and the command line that resumes; returns the exit status."""
    return fail(
        f"interrupted; run the same command line to resume: {called.this_line()}", stop.code
    )


@contextlib.contextmanager
def stoppable(message: str = "stopping after this round") -> Iterator[Stop]:
    """Context in which a signal prints ``message`` and sets the `Stop`, without interrupting."""
    stop = Stop()

    def ask(number, frame):
        if stop():
            raise KeyboardInterrupt
        stop.signal = number
        note(f"\n{message} (again to stop at once) ...")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
