"""Says now and then how far a long look at architectures is."""

import time
import warnings

EVERY = 5.0
"""Seconds between two messages."""


class SlowSpaceWarning(RuntimeWarning):
    """Nothing is wrong: a space takes long to look through, or holds less than was hoped for."""


class Clock:
    """Warns every few seconds while something goes on.

    Args:
      what: how each message begins.
    """

    def __init__(self, what: str):
        self._what, self._began = what, time.monotonic()
        self._next = self._began + EVERY

    def __call__(self, how_far: str) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + EVERY
            warnings.warn(
                f"{self._what} {how_far}, {now - self._began:.0f} s", SlowSpaceWarning, stacklevel=3
            )
