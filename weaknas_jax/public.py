"""The public names, imported when the first of them is asked for (`weaknas_jax.__getattr__`)."""

from weaknas_jax import jobs
from weaknas_jax._version import __version__
from weaknas_jax.core.plan import Plan, PlanError
from weaknas_jax.core.protocol import HONEST, PAPER, Protocol
from weaknas_jax.core.trace import Trace
from weaknas_jax.core.types import Info, Method, Number, Prediction, Predictor, Scorer, Space
from weaknas_jax.measures import metrics, repeats, stats
from weaknas_jax.predictors import PREDICTORS, gp, linear, mlp
from weaknas_jax.predictors.refit import refit
from weaknas_jax.report.search_table import TableSearch, search_table
from weaknas_jax.runs import task
from weaknas_jax.runs.config import ConfigError, SearchConfig
from weaknas_jax.runs.lanes import Settings
from weaknas_jax.runs.program import Job, Program, run, run_grid, run_many
from weaknas_jax.search import acquisition, label_transforms, methods, sampling
from weaknas_jax.search.baselines.random import random_search
from weaknas_jax.search.loop import weaknas
from weaknas_jax.spaces.choices import Choices, categorical, integer, ordinal
from weaknas_jax.spaces.structures import Cell, Chain
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
    "Cell",
    "Chain",
    "Choices",
    "ConfigError",
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
    "SearchConfig",
    "Settings",
    "Space",
    "Table",
    "TableError",
    "TableSearch",
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
    "search_table",
    "stats",
    "task",
    "weaknas",
]
