"""A shell command as the function that a search with jobs evaluates.

``{arch}`` in it stands for the architecture as JSON, ``{NAME}`` for the value of a choice, both
quoted for the shell (an inactive choice is empty); ``{{NAME}}`` is passed on as ``{NAME}``. The
last line of its output is the score: a number, or a JSON object with ``score`` and what else is
worth keeping. Output and errors go to a file for each attempt.
"""

import contextlib
import json
import os
import queue
import re
import shlex
import signal
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from weaknas_jax.spaces.choices import Arch

_PLACE = re.compile(r"\{\{(\w+)\}\}|\{(\w+)\}")
_PATIENCE = 5.0  # seconds between asking a command to end and ending it


class CommandError(ValueError):
    """A command that cannot be used, or that failed; says why and where its output is."""


class Command:
    """A shell command, see the module; call it with an architecture, from several threads at once.

    Each command runs in a process group of its own, with ``WEAKNAS_WORKER`` (0, 1, ...: which of
    the ``workers`` it is, to choose a GPU by) and ``WEAKNAS_ARCH`` in its environment.

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
        used = [found[1] for found in _PLACE.findall(text) if found[1]]
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
        self._number = sum(1 for _ in logs.glob("*.log"))

    def line(self, arch: Arch) -> str:
        """The command of an architecture."""

        def value(match: re.Match) -> str:
            if match[1]:
                return f"{{{match[1]}}}"
            if match[2] == "arch":
                return shlex.quote(json.dumps(arch))
            given = arch[match[2]]
            return shlex.quote("" if given is None else str(given))

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
        """An empty file of a number that nothing had."""
        while True:
            self._number += 1
            log = self.logs / f"{self._number:05d}.log"
            if not os.path.lexists(log.with_suffix(".err")):
                with contextlib.suppress(FileExistsError):
                    log.touch(exist_ok=False)
                    return log

    def end(self) -> None:
        """Ends all that run; whatever is called from now on fails."""
        with self._lock:
            self._ended, running = True, list(self._running)
        for process in running:
            _end(process)

    def _run(self, arch: Arch, slot: int, log: Path) -> Any:
        line = self.line(arch)
        environment = os.environ | {"WEAKNAS_WORKER": str(slot), "WEAKNAS_ARCH": json.dumps(arch)}
        with open(log, "r+") as file, open(log.with_suffix(".err"), "x") as errors:
            file.write(f"$ {line}\n")
            file.flush()
            with self._lock:
                if self._ended:
                    raise CommandError("ended")
                process = subprocess.Popen(
                    line,
                    shell=True,
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=errors,
                    env=environment,
                    start_new_session=True,
                )
                self._running.add(process)
            try:
                status = process.wait(self.limit)
            except subprocess.TimeoutExpired:
                _end(process)
                raise CommandError(f"took longer than {self.limit:g} s; see {log}") from None
            finally:
                with self._lock:
                    self._running.discard(process)
        said = log.with_suffix(".err")
        if not said.stat().st_size:
            said.unlink()
            said = log
        if status != 0:
            what = f"exit status {status}" if status > 0 else f"ended by signal {-status}"
            raise CommandError(f"{what}; {_last_line(said)!r} in {said}")
        return score(_last_line(log), log)


def score(line: str, log: Path) -> Any:
    """What the last line of a command's output says.

    >>> score("93.5", Path("log")), score('{"score": 93.5, "params": 7}', Path("log"))
    (93.5, {'score': 93.5, 'params': 7})

    Raises:
      CommandError: it says no score.
    """
    with contextlib.suppress(ValueError):
        return float(line)
    with contextlib.suppress(ValueError):
        found = json.loads(line)
        if isinstance(found, dict) and "score" in found:
            return found
    raise CommandError(
        f"the last line of output, {line[:200]!r}, is no number and no JSON object with a "
        f"'score'; see {log}"
    )


def _last_line(log: Path) -> str:
    with open(log, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - 65536))
        lines = file.read().decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _end(process: subprocess.Popen) -> None:
    """Ends a command and all that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE)
            return
