"""The main job with a predictor that needs milliseconds, as a process that tests can kill."""

import sys

from absl import app
from conftest import ridge

from weaknas_jax import PREDICTORS

if __name__ == "__main__":
    PREDICTORS["ridge"] = ridge
    sys.argv[0] = "nasbench"
    from experiments import nasbench  # after the registration, so that the flag knows it

    app.run(nasbench.main)
