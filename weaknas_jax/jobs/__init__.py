"""Search with real jobs: a method is asked, its queries are run somewhere, and it is told."""

from weaknas_jax.jobs.api import MODES, said, search
from weaknas_jax.jobs.types import Evaluation, JobsError, Progress, Repeated, Result
from weaknas_jax.jobs.workers import repeat_number

__all__ = [
    "MODES",
    "Evaluation",
    "JobsError",
    "Progress",
    "Repeated",
    "Result",
    "repeat_number",
    "said",
    "search",
]
