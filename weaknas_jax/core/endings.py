"""How a command ends: an exit status and, on failure, one line on stderr.

0 = done; 1 = the work failed; 2 = invalid input of the user; 130 = interrupted. Only a bug of ours
ends in a traceback (and 1).
"""

import contextlib
import errno
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from weaknas_jax import _interrupt

FAILED, USERS, INTERRUPTED = 1, 2, 130
_USERS = {
    *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY),
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL),
}


def fail(message: str, code: int = USERS) -> int:
    """Prints an error and returns the exit status."""
    print(f"error: {message}", file=sys.stderr)
    return code


def status(error: OSError) -> int:
    """Exit status of an OSError: 2 = the path is at fault, 1 = the machine."""
    return USERS if error.errno in _USERS else FAILED


class _Guarded:
    """A stream that never raises: output that cannot be written is dropped, and the work goes on.

    Attributes:
      error: the first one, None = none.
    """

    def __init__(self, stream: TextIO):
        self._stream, self.error = stream, None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def _try(self, action: Callable[[], Any]) -> None:
        try:
            action()
        except OSError as error:
            self.error = self.error or error
            with contextlib.suppress(OSError, ValueError):  # no file descriptor to redirect
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())


def run(work: Callable[[], int]) -> int:
    """Runs the work of a process and returns its exit status.

    A closed output (``| head``) is no error; a full disk under it is one, reported at the end.

    Args:
      work: returns its exit status; may raise the errors that `settled` reports.

    Raises:
      Exception: any other, which is a bug of ours.
    """
    with _guarded() as streams, _interruptible():
        code = settled(work)
        for stream in streams:
            stream.flush()
    errors = [e for s in streams if (e := s.error) and not isinstance(e, BrokenPipeError)]
    if errors and code == 0:
        return fail(f"standard output cannot be written to: {errors[0].strerror}", FAILED)
    return code


def settled(work: Callable[..., int], *arguments: Any) -> int:
    """Calls ``work(*arguments)``; expected errors become one line on stderr and an exit status.

    >>> settled(lambda: 0)
    0
    """
    try:
        return work(*arguments)
    except SystemExit as end:  # of a library
        return end.code if isinstance(end.code, int) else FAILED if end.code else 0
    except KeyboardInterrupt:
        return fail("interrupted", INTERRUPTED)
    except OSError as error:
        return fail(f"{error.filename or 'input or output'}: {error.strerror}", status(error))
    except MemoryError as error:
        return fail(f"out of memory ({error}); ask for less at once", FAILED)
    except Exception as error:
        if (line := _of_jax(error)) is None:
            raise
        return fail(*line)


def _of_jax(error: Exception) -> tuple[str, int] | None:
    """Message and exit status of an expected error of JAX; None = another error."""
    text = " ".join(str(error).split())
    if isinstance(error, RuntimeError) and "RESOURCE_EXHAUSTED" in text:
        advice = "lower --lanes, --chunk or --memory"
        return f"out of device memory ({text[:200]}); {advice}", FAILED
    if "jax._src.xla_bridge" in _modules(error):  # where it looks for its devices
        platforms = os.environ.get("JAX_PLATFORMS")
        setting = f"JAX_PLATFORMS={platforms}" if platforms else "JAX"
        reason = text[:300] or "there is no such device here"
        return f"{setting}: {reason}; set JAX_PLATFORMS=cpu, or unset it", USERS
    return None


def _modules(error: Exception) -> set[str]:
    """The modules in its traceback."""
    steps = traceback.walk_tb(error.__traceback__)
    return {frame.f_globals.get("__name__", "") for frame, _ in steps}


@contextlib.contextmanager
def _guarded() -> Iterator[list[_Guarded]]:
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (s if s is None else _Guarded(s) for s in before)
    try:
        yield [s for s in (sys.stdout, sys.stderr) if s is not None]
    finally:
        sys.stdout, sys.stderr = before


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt meanwhile, and afterwards ends the process at once."""
    handler = signal.getsignal(signal.SIGINT)
    if handler in (_interrupt.at_once, signal.default_int_handler):
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        _interrupt.install()
