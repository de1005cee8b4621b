"""What the mains say on stderr."""

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
    """Prints something worth knowing."""
    print(message, file=sys.stderr, flush=True)


def every(seconds: float, line: Callable[..., str]) -> Callable[..., None]:
    """Notes what ``line`` makes of its arguments, now and then."""
    last = [time.monotonic()]

    def show(*arguments) -> None:
        if time.monotonic() - last[0] >= seconds:
            last[0] = time.monotonic()
            note(line(*arguments))

    return show


def clock(seconds: float) -> str:
    """Minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


class Stop:
    """Whether Ctrl-C or a termination signal came; the second one interrupts at once."""

    def __init__(self):
        self.signal = None

    def __call__(self) -> bool:
        return self.signal is not None

    @property
    def code(self) -> int:
        """The exit status that says so."""
        return 128 + (self.signal or signal.SIGINT)


def interrupted(stop: Stop) -> int:
    """Says which line goes on after a stop: this one."""
    return fail(f"interrupted; the same line goes on: {called.this_line()}", stop.code)


@contextlib.contextmanager
def stoppable(what: str = "stopping after this round") -> Iterator[Stop]:
    """Signals ask for an end at the next good moment, instead of breaking in; ``what`` is said."""
    stop = Stop()

    def ask(number, frame):
        if stop():
            raise KeyboardInterrupt
        stop.signal = number
        note(f"\n{what} (once more to stop at once) ...")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
