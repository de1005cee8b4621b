"""Commands as process groups: their output is stored, and leftover processes are ended."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HEAD = TAIL = 1 << 20
"""Bytes of each stream that are kept: of its beginning, and at least of its end."""

_GRACE = 0.5  # seconds that leftover processes of a command have to end by themselves
_PATIENCE = 5.0  # seconds between asking a process to end and ending it
_SETTLING = 30.0  # seconds that output may take from a pipe to the disk


class Recorder:
    """Keeps two streams in files of bounded size (`jobs.bounded_log`); for use in a ``with``.

    A separate process does it, so that commands can continue to write if this one is killed.

    Args:
      output, errors: files, which are appended to.

    Attributes:
      streams: descriptors for the output and the errors of a command.
    """

    def __init__(self, output: Path, errors: Path):
        (out, out_end), (err, err_end) = os.pipe(), os.pipe()
        self.streams = (out_end, err_end)
        script = str(Path(__file__).with_name("bounded_log.py"))
        pairs = [str(out), str(output.resolve()), str(err), str(errors.resolve())]
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", script, str(HEAD), str(TAIL), *pairs],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=(out, err),
                start_new_session=True,
            )
        except BaseException:
            self.close()
            raise
        finally:
            os.close(out)
            os.close(err)

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *failure) -> None:
        self.settle()

    def close(self) -> None:
        """Closes our ends of the streams, once the command has them."""
        for stream in self.streams:
            os.close(stream)
        self.streams = ()

    def settle(self) -> str | None:
        """Waits until the output so far is in the files; returns the problem, None = none."""
        self.close()
        process = self._process
        if process.stdin.closed:
            return None
        process.stdin.close()
        ready = select.poll()
        stdout: Any = process.stdout
        ready.register(stdout, select.POLLIN)
        reply = stdout.read1() if ready.poll(1000 * _SETTLING) else b""
        stdout.close()
        with contextlib.suppress(subprocess.TimeoutExpired):  # a daemon may have the streams
            process.wait(0.2)
        return None if reply == b"." else reply.decode() or "its output was not kept"


def end(*commands: subprocess.Popen) -> None:
    """Ends commands that lead process groups, and all processes of these groups."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in commands:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, number)
        until = time.monotonic() + _PATIENCE
        if all(_gone(process, until) for process in commands):
            return


def end_rest(process: subprocess.Popen) -> None:
    """Ends the processes that a finished command left in its group."""
    if not _gone(process, time.monotonic() + _GRACE):
        end(process)


def _gone(process: subprocess.Popen, until: float) -> bool:
    """Whether the group becomes empty before ``until`` (`time.monotonic`)."""
    pause = 0.001
    while True:
        process.poll()
        if not _any_lives(process.pid):
            return True
        if time.monotonic() > until:
            return False
        time.sleep(pause)
        pause = min(0.05, 2 * pause)


def _any_lives(group: int) -> bool:
    """Whether a process group has a live member; zombies do not count."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    if not Path("/proc/self/stat").exists():
        return True
    return any(_lives_in(group, number) for number in os.listdir("/proc") if number.isdigit())


def _lives_in(group: int, number: str) -> bool:
    try:
        stat = Path("/proc", number, "stat").read_bytes()
    except OSError:  # it has just ended
        return False
    state, _, member_of = stat.rpartition(b")")[2].split()[:3]
    return int(member_of) == group and state not in (b"Z", b"X")
