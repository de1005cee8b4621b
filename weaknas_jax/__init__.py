"""Predictor-based neural architecture search in JAX.

The packages, each of which imports only those before it:

`core`, `storage` -> `spaces`, `predictors` -> `tables` -> `search` -> `runs` -> `measures` ->
`report` -> `jobs` -> `supernets` -> `networks`; `integrations` and `cli` stand above all.
Start reading at `weaknas_jax.search.loop`.
"""

from weaknas_jax import _interrupt  # noqa: F401 (before what takes long to import)

# isort: split
from weaknas_jax import jobs
from weaknas_jax._version import __version__
from weaknas_jax.core.plan import Plan, PlanError
from weaknas_jax.core.protocol import HONEST, PAPER, Protocol
from weaknas_jax.core.trace import Trace
from weaknas_jax.core.types import Info, Method, Number, Prediction, Predictor, Scorer, Space
from weaknas_jax.measures import metrics, repeats, stats
from weaknas_jax.predictors import PREDICTORS, gp, linear, mlp
from weaknas_jax.predictors.refit import refit
from weaknas_jax.runs import task
from weaknas_jax.runs.lanes import Settings
from weaknas_jax.runs.program import Job, Program, run, run_grid, run_many
from weaknas_jax.search import acquisition, label_transforms, methods, sampling
from weaknas_jax.search.baselines.random import random_search
from weaknas_jax.search.loop import weaknas
from weaknas_jax.spaces.choices import Choices, categorical, integer, ordinal
from weaknas_jax.tables import (
    Table,
    TableError,
    load_nasbench101,
    load_nasbench201,
    load_table,
    save_table,
)

__all__ = [
    "HONEST",
    "PAPER",
    "PREDICTORS",
    "Choices",
    "Info",
    "Job",
    "Method",
    "Number",
    "Plan",
    "PlanError",
    "Prediction",
    "Predictor",
    "Program",
    "Protocol",
    "Scorer",
    "Settings",
    "Space",
    "Table",
    "TableError",
    "Trace",
    "__version__",
    "acquisition",
    "categorical",
    "gp",
    "integer",
    "jobs",
    "label_transforms",
    "linear",
    "load_nasbench101",
    "load_nasbench201",
    "load_table",
    "methods",
    "metrics",
    "mlp",
    "ordinal",
    "random_search",
    "refit",
    "repeats",
    "run",
    "run_grid",
    "run_many",
    "sampling",
    "save_table",
    "stats",
    "task",
    "weaknas",
]
