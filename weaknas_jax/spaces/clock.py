"""Progress warnings while a large space is searched for architectures."""

import time
import warnings

EVERY = 5.0
"""Seconds between two messages."""


class SlowSpaceWarning(RuntimeWarning):
    """A space is slow to search, or holds fewer architectures than wanted; not an error."""


class Clock:
    """Issues a progress warning every few seconds.

    Args:
      what: start of each message.
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
