"""Methods by name. Registering one here is what offers it as a flag and gets it tested.

Every builder takes the same keywords and uses what it needs: ``predictor`` (a `Predictor` or
`Scorer`), ``chunk``, and those of `search.weaknas`.
"""

from collections.abc import Callable
from typing import Any

from weaknas_jax.baselines.random import random_search
from weaknas_jax.ranking import refit
from weaknas_jax.search import weaknas
from weaknas_jax.types import Method, Predictor, Scorer


def _weaknas(*, predictor: Predictor | Scorer, chunk: int | None = None, **settings: Any) -> Method:
    scorer = predictor if isinstance(predictor, Scorer) else refit(predictor, chunk)
    return weaknas(scorer, **settings)


def _random(*, init: int, per_round: int, budget: int, **unused: Any) -> Method:
    return random_search(init=init, per_round=per_round, budget=budget)


METHODS: dict[str, Callable[..., Method]] = {"weaknas": _weaknas, "random": _random}
USES_PREDICTOR = {"weaknas"}
