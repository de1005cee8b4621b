"""A shell command as the function that a search with jobs evaluates.

``{arch}`` in it stands for the architecture as JSON, ``{NAME}`` for the value of a choice, both
quoted for the shell (an inactive choice is empty); ``{{NAME}}`` is passed on as ``{NAME}``. The
last line of its output is the score: a number, or a JSON object with ``score`` and
further values to store. Text of that line that a terminal would not show (colours, overwritten
progress bars) is ignored. Output and errors of each attempt go to files, cut in the middle if they
are long. Processes that a command leaves behind in its process group are ended with it.
"""

import contextlib
import json
import os
import queue
import re
import shlex
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from weaknas_jax.jobs import processes
from weaknas_jax.jobs.workers import repeat_number
from weaknas_jax.spaces.choices import Arch

_PLACE = re.compile(r"\{\{(\w+)\}\}|\{(\w+)\}")
_INVISIBLE = re.compile(  # for terminals: ESC [ ... letter, ESC ] ... BEL or ESC \, ESC letter
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]|[\0\a\ufeff]"
)


class CommandError(ValueError):
    """A command that cannot be used, or that failed; says why and where its output is."""


class Command:
    """A shell command, see the module; call it with an architecture, from several threads at once.

    Each command runs in a process group of its own, with ``WEAKNAS_WORKER`` (0, 1, ...: which of
    the ``workers`` it is, to choose a GPU by), ``WEAKNAS_ARCH`` and ``WEAKNAS_REPEAT``
    (`workers.repeat_number`) in its environment.

    Args:
      text: the command.
      names: of the choices.
      logs: folder for the outputs.
      workers: commands at once.
      limit: seconds that a command may take, None = no limit.

    Raises:
      CommandError: a placeholder is unknown, or there is none.
    """

    def __init__(
        self,
        text: str,
        names: Sequence[str],
        logs: Path,
        workers: int = 1,
        limit: float | None = None,
    ):
        used = [match[1] for match in _PLACE.findall(text) if match[1]]
        if unknown := [name for name in used if name not in ("arch", *names)]:
            raise CommandError(
                f"--command: no choice {unknown[0]!r} (there are {', '.join(names)}, and arch for "
                f"all of them); to pass it on as it is write {{{{{unknown[0]}}}}}"
            )
        if not used and "WEAKNAS_ARCH" not in text:
            raise CommandError(
                "--command: has neither {arch} nor a choice like "
                f"{{{names[0]}}}: every job would be the same"
            )
        self.text, self.logs, self.limit = text, logs, limit
        self._slots: queue.SimpleQueue[int] = queue.SimpleQueue()
        for slot in range(workers):
            self._slots.put(slot)
        self._lock, self._running = threading.Lock(), set()
        self._ended = False
        logs.mkdir(parents=True, exist_ok=True)
        numbers = (path.stem for path in logs.glob("*.log"))
        self._number = max((int(number) for number in numbers if number.isdigit()), default=0)

    def line(self, arch: Arch) -> str:
        """The command for an architecture."""

        def value(match: re.Match) -> str:
            if match[1]:
                return f"{{{match[1]}}}"
            if match[2] == "arch":
                return shlex.quote(json.dumps(arch))
            choice = arch[match[2]]
            return shlex.quote("" if choice is None else str(choice))

        return _PLACE.sub(value, self.text)

    def __call__(self, arch: Arch) -> Any:
        """Runs it and reads the score.

        Raises:
          CommandError: it failed, took too long, or its last line is no score.
        """
        slot = self._slots.get()
        try:
            with self._lock:
                log = self._new_log()
            return self._run(arch, slot, log)
        finally:
            self._slots.put(slot)

    def _new_log(self) -> Path:
        """An empty log file with an unused number."""
        while True:
            self._number += 1
            log = self.logs / f"{self._number:05d}.log"
            if not os.path.lexists(log.with_suffix(".err")):
                with contextlib.suppress(FileExistsError):
                    log.touch(exist_ok=False)
                    return log

    def end(self) -> None:
        """Ends all running commands; later calls fail."""
        with self._lock:
            self._ended, running = True, list(self._running)
        processes.end(*running)

    def _run(self, arch: Arch, slot: int, log: Path) -> Any:
        line, errors = self.line(arch), log.with_suffix(".err")
        environment = os.environ | {
            "WEAKNAS_WORKER": str(slot),
            "WEAKNAS_ARCH": json.dumps(arch),
            "WEAKNAS_REPEAT": str(repeat_number()),
        }
        begin = f"$ {line}\n".encode()
        log.write_bytes(begin)  # empty until now, see `_new_log`
        errors.touch(exist_ok=False)
        with processes.Recorder(log, errors) as recorder:
            status = self._wait(self._start(line, environment, recorder), log)
            problem = recorder.settle()
        if not errors.stat().st_size:
            errors.unlink()
        if status != 0:
            what = f"exit status {status}" if status > 0 else f"ended by signal {-status}"
            why, start = (errors, 0) if errors.exists() else (log, len(begin))
            raise CommandError(f"{what}; {last_line(why, start)[:200]!r} in {why}")
        if problem:
            raise CommandError(f"{log}: {problem}")
        return score(last_line(log, len(begin)), log)

    def _start(
        self, line: str, environment: dict[str, str], recorder: processes.Recorder
    ) -> subprocess.Popen:
        output, errors = recorder.streams  # pyright: ignore[reportAssignmentType]
        with self._lock:
            if self._ended:
                raise CommandError("ended")
            process = subprocess.Popen(
                line,
                shell=True,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                env=environment,
                start_new_session=True,
            )
            self._running.add(process)
        recorder.close()
        return process

    def _wait(self, process: subprocess.Popen, log: Path) -> int:
        """Waits for the end of the process group; returns the exit status."""
        try:
            status = process.wait(self.limit)
            processes.end_rest(process)
            return status
        except subprocess.TimeoutExpired:
            processes.end(process)
            raise CommandError(f"took longer than {self.limit:g} s; see {log}") from None
        finally:
            with self._lock:
                self._running.discard(process)


def score(line: str, log: Path) -> Any:
    """The score in the last line of a command's output.

    >>> score("93.5", Path("log")), score('{"score": 93.5, "params": 7}', Path("log"))
    (93.5, {'score': 93.5, 'params': 7})

    Raises:
      CommandError: it has no score.
    """
    with contextlib.suppress(ValueError):
        return float(line)
    with contextlib.suppress(ValueError, RecursionError):
        values = json.loads(line)
        if isinstance(values, dict) and "score" in values:
            return values
    raise CommandError(
        f"the last line of output, {line[:200]!r}, is no number and no JSON object with a "
        f"'score'; see {log}"
    )


def last_line(path: Path, start: int = 0) -> str:
    """The last line of a file that is visible in a terminal, as it is shown there.

    Args:
      path: output of a command.
      start: offset at which the output begins, bytes.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(start, size - processes.TAIL))
        lines = file.read().decode(errors="replace").split("\n")
    return next(filter(None, map(_shown, reversed(lines))), "")


def _shown(line: str) -> str:
    """The visible text of a line: without colours and overwritten parts."""
    parts = re.split(r"[\r\b]", _INVISIBLE.sub("", line))
    return next((part.strip() for part in reversed(parts) if part.strip()), "")
