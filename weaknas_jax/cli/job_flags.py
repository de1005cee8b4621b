"""Flags of the commands that evaluate by jobs, and their progress line."""

from absl import flags

from weaknas_jax import jobs
from weaknas_jax.cli import console

_int = flags.DEFINE_integer
WORKERS = _int(
    "workers", 1, "Number of commands to run in parallel.", lower_bound=1, upper_bound=10_000
)
_help = "Use results a round at a time (reproducible queries), or each as soon as it arrives."
MODE = flags.DEFINE_enum("mode", "rounds", list(jobs.MODES), _help)
_help = "Further attempts for an architecture that failed."
RETRIES = _int("retries", 1, _help, lower_bound=0)
_help = "Time limit of a command in seconds."
TIMEOUT = flags.DEFINE_float("timeout", None, _help, lower_bound=1e-3)
NAMES = tuple(flag.name for flag in (WORKERS, MODE, RETRIES, TIMEOUT))


def progress_text(state: jobs.Progress, sign: float = 1.0) -> str:
    """The result of the last query and the progress of the search, on one line.

    Args:
      state: as `jobs.search` passes it.
      sign: -1 where the scores are negated because the user minimizes.
    """
    last, best = state.last, state.best
    outcome = "failed" if last.score is None else f"{sign * last.score:.6g}"
    count = f"repeat {state.repeated}/{state.repeats}" if state.repeats else None
    line = f"[{count or f'{state.finished}/{state.budget}'}] {outcome} in {last.seconds:.1f} s"
    if best is not None:
        line += f", best {sign * best.score:.6g}"
    if state.failed:
        line += f", {state.failed} failed"
    if state.finished < state.budget or state.repeated < state.repeats:
        line += f", about {console.clock(state.left)} left"
    return line
