"""Weak predictors, one file each; `registry` lists them by name."""

from weaknas_jax.predictors.ensemble import ensemble, warm_ensemble
from weaknas_jax.predictors.gp import gp
from weaknas_jax.predictors.gp_ml import gp_ml
from weaknas_jax.predictors.knn import knn
from weaknas_jax.predictors.linear import linear
from weaknas_jax.predictors.mixture import mixture
from weaknas_jax.predictors.mlp import mlp
from weaknas_jax.predictors.registry import PREDICTORS, PredictorRecord, make
from weaknas_jax.predictors.trees import forest, gbrt

__all__ = [
    "PREDICTORS",
    "PredictorRecord",
    "ensemble",
    "forest",
    "gbrt",
    "gp",
    "gp_ml",
    "knn",
    "linear",
    "make",
    "mixture",
    "mlp",
    "warm_ensemble",
]
