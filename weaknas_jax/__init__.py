"""Predictor-based neural architecture search in JAX.

The data's path: `tables` -> `spaces` -> `predictors` -> `ranking` -> `sampling` -> `search` ->
`batch` -> `metrics`, `stats` -> `report`, `plots`; with real jobs `search` -> `drive` -> `jobs`.
Start reading at `weaknas_jax.search`.
"""

from weaknas_jax import _interrupt  # noqa: F401 (before what takes long to import)

# isort: split
from weaknas_jax import jobs, methods, repeats
from weaknas_jax._version import __version__
from weaknas_jax.baselines.random import random_search
from weaknas_jax.batch import Job, Program, run, run_grid, run_many
from weaknas_jax.lanes import Settings
from weaknas_jax.plan import Plan, PlanError
from weaknas_jax.predictors import PREDICTORS, gp, linear, mlp
from weaknas_jax.protocol import HONEST, PAPER, Protocol
from weaknas_jax.ranking import refit
from weaknas_jax.search import weaknas
from weaknas_jax.spaces.choices import Choices, categorical, integer, ordinal
from weaknas_jax.tables import (
    Table,
    TableError,
    load_nasbench101,
    load_nasbench201,
    load_table,
    save_table,
)
from weaknas_jax.trace import Trace
from weaknas_jax.types import Info, Method, Number, Prediction, Predictor, Scorer, Space

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
    "categorical",
    "gp",
    "integer",
    "jobs",
    "linear",
    "load_nasbench101",
    "load_nasbench201",
    "load_table",
    "methods",
    "mlp",
    "ordinal",
    "random_search",
    "refit",
    "repeats",
    "run",
    "run_grid",
    "run_many",
    "save_table",
    "weaknas",
]
