"""Search with real jobs: run the queries of a method and return their scores to it."""

from weaknas_jax.jobs.api import MODES, metadata, search
from weaknas_jax.jobs.types import Evaluation, JobsError, Progress, Repeated, Result
from weaknas_jax.jobs.workers import repeat_number

__all__ = [
    "MODES",
    "Evaluation",
    "JobsError",
    "Progress",
    "Repeated",
    "Result",
    "metadata",
    "repeat_number",
    "search",
]
