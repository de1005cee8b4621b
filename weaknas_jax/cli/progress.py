"""Progress of runs: a bar on a terminal or in a notebook, else occasional lines."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from weaknas_jax.cli import console
from weaknas_jax.runs.program import Progress

Show = Callable[[Progress], None]


@contextlib.contextmanager
def shown(every: float = 20.0) -> Iterator[Show]:
    """Context with a function that shows progress and remaining time on stderr.

    Args:
      every: seconds between two lines, without a bar.
    """
    if sys.stderr.isatty() or "ipykernel" in sys.modules:
        with _bar() as show:
            yield show
    else:
        yield _lines(every)


@contextlib.contextmanager
def _bar() -> Iterator[Show]:
    from tqdm.auto import tqdm  # slow to import, and rarely needed

    with tqdm(total=100, bar_format="{desc} |{bar}|", file=sys.stderr) as bar:

        def show(state: Progress) -> None:
            bar.set_description_str(_line_of(state), refresh=False)
            bar.update(100 * state.share - bar.n)

        yield show


def _lines(every: float) -> Show:
    last = [time.monotonic()]

    def show(state: Progress) -> None:
        if state.finished == state.runs or time.monotonic() - last[0] >= every:
            last[0] = time.monotonic()
            console.note(_line_of(state))

    return show


def _line_of(state: Progress) -> str:
    spent = console.clock(state.seconds)
    line = f"{state.finished}/{state.runs} runs, {100 * state.share:.0f} %, {spent}"
    if state.finished == state.runs:
        return line
    left = state.seconds * (1 / state.share - 1) if state.share else 0.0
    return f"{line}, about {console.clock(left)} left"
