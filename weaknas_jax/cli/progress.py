"""Progress of runs: a bar on a terminal or in a notebook, else a line now and then."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from weaknas_jax.cli import console
from weaknas_jax.runs.program import Progress

Show = Callable[[Progress], None]


@contextlib.contextmanager
def shown(every: float = 20.0) -> Iterator[Show]:
    """What shows progress and the time left, on stderr.

    Args:
      every: seconds between two lines, where there is no bar.
    """
    if sys.stderr.isatty() or "ipykernel" in sys.modules:
        with _bar() as show:
            yield show
    else:
        yield _lines(every)


@contextlib.contextmanager
def _bar() -> Iterator[Show]:
    from tqdm.auto import tqdm  # takes its time, and few calls need it

    with tqdm(total=100, bar_format="{desc} |{bar}|", file=sys.stderr) as bar:

        def show(now: Progress) -> None:
            bar.set_description_str(_said(now), refresh=False)
            bar.update(100 * now.share - bar.n)

        yield show


def _lines(every: float) -> Show:
    last = [time.monotonic()]

    def show(now: Progress) -> None:
        if now.finished == now.runs or time.monotonic() - last[0] >= every:
            last[0] = time.monotonic()
            console.note(_said(now))

    return show


def _said(now: Progress) -> str:
    line = f"{now.finished}/{now.runs} runs, {100 * now.share:.0f} %, {console.clock(now.seconds)}"
    if now.finished == now.runs:
        return line
    left = now.seconds * (1 / now.share - 1) if now.share else 0.0
    return f"{line}, about {console.clock(left)} left"
