"""How a command ends: an exit status and, where something went wrong, one line on stderr.

0 = done; 1 = the work itself failed; 2 = what the user said cannot be; 130 = interrupted;
141 = nobody reads the output any more. Only a fault of ours ends in a traceback (and 1).
"""

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from weaknas_jax import _interrupt

FAILED, USERS, INTERRUPTED, UNREAD = 1, 2, 130, 141
_USERS = {
    *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY),
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL),
}


def fail(message: str, code: int = USERS) -> int:
    """Prints an error and returns the exit status."""
    print(f"error: {message}", file=sys.stderr)
    return code


def status(error: OSError) -> int:
    """Whether the path that somebody gave is the fault, or the machine."""
    return USERS if error.errno in _USERS else FAILED


class Unwritten(Exception):
    """Standard output or error takes no more; no `OSError`, so that no file is blamed for it."""

    def __init__(self, error: OSError):
        super().__init__(f"standard output cannot be written to: {error.strerror}")
        self.unread = isinstance(error, BrokenPipeError)


class _Guarded:
    """A stream whose errors are `Unwritten`."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            raise Unwritten(error) from None

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            raise Unwritten(error) from None


def run(work: Callable[[], int]) -> int:
    """The exit status of ``work()``, for a process whose whole purpose it is.

    Args:
      work: returns its exit status; may raise what may happen to anybody.

    Raises:
      Exception: what nothing but a fault of ours explains.
    """
    with _guarded(), _interruptible():
        try:
            code = settled(work)
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    stream.flush()
            return code
        except Unwritten as error:
            _drop()
            return UNREAD if error.unread else fail(str(error), FAILED)


def settled(work: Callable[..., int], *arguments: Any) -> int:
    """As ``work(*arguments)``, but that what may happen to anybody is one line and a status."""
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
    except RuntimeError as error:
        if (line := _of_jax(error)) is None:
            raise
        return fail(*line)


def _of_jax(error: RuntimeError) -> tuple[str, int] | None:
    """What to say of an error of JAX that is nobody's fault here, and the status."""
    text = " ".join(str(error).split())
    if "RESOURCE_EXHAUSTED" in text:
        return (
            f"out of a device's memory ({text[:200]}); lower --lanes, --chunk or --memory",
            FAILED,
        )
    if "backend" in text and ("initialize" in text or "Unknown backend" in text):
        named = os.environ.get("JAX_PLATFORMS")
        what = f"JAX_PLATFORMS={named}" if named else "JAX"
        return f"{what}: {text[:300]}; set JAX_PLATFORMS=cpu, or unset it", USERS
    return None


@contextlib.contextmanager
def _guarded() -> Iterator[None]:
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (s if s is None else _Guarded(s) for s in before)
    try:
        yield
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


def _drop() -> None:
    """What Python would still write at its end goes nowhere, without another complaint."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.__stdout__, sys.__stderr__):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
            continue
        with contextlib.suppress(OSError, ValueError, AttributeError):
            os.dup2(nowhere, stream.fileno())
