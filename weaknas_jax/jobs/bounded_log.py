"""Writes the output of a command to files of bounded size; runs as a separate process.

    python bounded_log.py HEAD TAIL DESCRIPTOR FILE [DESCRIPTOR FILE]

The first HEAD bytes and at least the last TAIL of each stream are kept, and the number of bytes
left out between them; they are on disk at once, even if this process is killed. It does not depend
on its parent: when a search is killed, its commands can continue to write.

Closing standard input requests a flush: this process then reads what the streams hold at that
moment, and reports on standard output: a dot, or the reason of a failed write. It continues until
all streams are closed, since a child that the command left behind may hold them.
It imports nothing of the package, so that it starts in milliseconds.
"""

import contextlib
import os
import select
import sys

_CHUNK = 1 << 16


class Log:
    """One stream and its file.

    Args:
      source: descriptor to read from; made non-blocking.
      path: of the file, which is appended to.
      head, tail: bytes to keep.

    Attributes:
      open: the stream is not at its end.
      problem: reason of a failed write, None = none failed.
    """

    def __init__(self, source: int, path: str, head: int, tail: int):
        os.set_blocking(source, False)
        self.source, self.tail, self.open, self.problem = source, tail, True, None
        self._file = os.open(path, os.O_RDWR)
        self._end = os.lseek(self._file, 0, os.SEEK_END)
        self._head = self._end + head  # where the tail begins
        self._dropped, self._kept = 0, bytearray()  # of the tail: the bytes on disk

    def drain(self) -> None:
        """Reads all that the stream holds at the moment."""
        while self.open:
            try:
                chunk = os.read(self.source, _CHUNK)
            except BlockingIOError:
                return
            self.open = bool(chunk)
            self._take(chunk)

    def take(self) -> None:
        """Reads one chunk of the stream, or detects its end."""
        with contextlib.suppress(BlockingIOError):
            chunk = os.read(self.source, _CHUNK)
            self.open = bool(chunk)
            self._take(chunk)

    def _take(self, chunk: bytes) -> None:
        room = max(0, self._head - self._end)
        self._append(chunk[:room])
        if rest := chunk[room:]:
            self._kept += rest
            if len(self._kept) > 2 * self.tail:
                self._shorten()
            else:
                self._append(rest)

    def _shorten(self) -> None:
        """Replaces everything after the head by the last bytes."""
        excess = len(self._kept) - self.tail
        self._dropped += excess
        del self._kept[:excess]
        self._end = self._head
        with self._noting():
            os.ftruncate(self._file, self._head)
        self._append(b"\n... %d bytes are left out here ...\n" % self._dropped)
        self._append(bytes(self._kept))

    def _append(self, content: bytes) -> None:
        with self._noting():
            while content:  # a failed write leaves a gap no longer than itself
                written = os.pwrite(self._file, content, self._end)
                self._end, content = self._end + written, content[written:]

    @contextlib.contextmanager
    def _noting(self):
        try:
            yield
        except OSError as error:  # the command must not fail because of it
            self.problem = error.strerror


def main(arguments: list[str]) -> None:
    head, tail = map(int, arguments[:2])
    pairs = zip(arguments[2::2], arguments[3::2], strict=True)
    logs = [Log(int(source), path, head, tail) for source, path in pairs]
    asked = False
    while True:
        streams = [log for log in logs if log.open]
        if asked and not streams:
            return
        ready = _ready([log.source for log in streams] + [0] * (not asked))
        for log in streams:
            if log.source in ready:
                log.take()
        if not asked and (0 in ready or not streams):
            asked = True
            for log in logs:
                log.drain()
            problems = [log.problem for log in logs if log.problem]
            with contextlib.suppress(OSError):  # the parent is gone
                os.write(1, (problems or ["."])[0].encode())


def _ready(descriptors: list[int]) -> set[int]:
    """The readable ones (data or end of file); waits for one."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return {descriptor for descriptor, _ in poll.poll()}


if __name__ == "__main__":
    main(sys.argv[1:])
