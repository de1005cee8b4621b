"""Flags of every main that evaluates by jobs, and the line that it prints for each."""

from absl import flags

from weaknas_jax import jobs
from weaknas_jax.cli import console

_int = flags.DEFINE_integer
WORKERS = _int("workers", 1, "Commands at once.", lower_bound=1, upper_bound=10_000)
_help = "Tell a whole round at once (same queries whatever the speed of jobs), or each as it comes."
MODE = flags.DEFINE_enum("mode", "rounds", list(jobs.MODES), _help)
_help = "Further attempts at an architecture that failed."
RETRIES = _int("retries", 1, _help, lower_bound=0)
_help = "Seconds that a command may take."
TIMEOUT = flags.DEFINE_float("timeout", None, _help, lower_bound=1e-3)
NAMES = tuple(flag.name for flag in (WORKERS, MODE, RETRIES, TIMEOUT))


def progress_text(now: jobs.Progress, sign: float = 1.0) -> str:
    """What the last query came to and how far the search is, on one line.

    Args:
      now: as of `jobs.search`.
      sign: -1 where the scores are negatives of what the user minimises.
    """
    last, best = now.last, now.best
    outcome = "failed" if last.score is None else f"{sign * last.score:.6g}"
    count = f"repeat {now.repeated}/{now.repeats}" if now.repeats else None
    line = f"[{count or f'{now.finished}/{now.budget}'}] {outcome} in {last.seconds:.1f} s"
    if best is not None:
        line += f", best {sign * best.score:.6g}"
    if now.failed:
        line += f", {now.failed} failed"
    if now.finished < now.budget or now.repeated < now.repeats:
        line += f", about {console.clock(now.left)} left"
    return line
