"""Methods by name. Registering one here is what offers it as a flag and gets it tested.

Every builder takes the same keywords and uses what it needs: ``predictor`` (a `Predictor` or
`Scorer`), ``chunk``, and those of `loop.weaknas`. `make` goes all the way from names.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from weaknas_jax.core import checks
from weaknas_jax.core.types import Method, Number, Predictor, Scorer, numbers
from weaknas_jax.predictors import HAS_DEVIATION, HAS_DRAWS, PREDICTORS, Habits, habits_of
from weaknas_jax.predictors import make as make_predictor
from weaknas_jax.predictors.refit import refit
from weaknas_jax.search import label_transforms
from weaknas_jax.search.acquisition import ACQUISITIONS, NEEDS_DEVIATION, NEEDS_DRAWS
from weaknas_jax.search.baselines.bananas import bananas
from weaknas_jax.search.baselines.evolution import evolution
from weaknas_jax.search.baselines.lanas import lanas
from weaknas_jax.search.baselines.local_search import local_search
from weaknas_jax.search.baselines.mcts import mcts
from weaknas_jax.search.baselines.random import random_search
from weaknas_jax.search.loop import weaknas
from weaknas_jax.search.pseudo_labels import semi
from weaknas_jax.search.sampling import SAMPLINGS


def _weaknas(
    *,
    predictor: Predictor | Scorer,
    chunk: int | None = None,
    pseudo_labels: int = 0,
    **settings: Any,
) -> Method:
    if isinstance(predictor, Scorer):
        if pseudo_labels:
            raise ValueError(
                f"pseudo_labels={pseudo_labels}: the predictor is not fitted twice in a round; use "
                "one of plain fit and predict, such as mlp, knn or ensemble"
            )
        return weaknas(predictor, **settings)
    scorer = refit(predictor, chunk)
    if pseudo_labels:
        scorer = semi(predictor, chunk, unlabelled=pseudo_labels)
    return weaknas(scorer, **settings)


@functools.wraps(bananas)
def _bananas(*, predictor: Any = None, top: Any = None, **settings: Any) -> Method:
    del predictor, top  # it brings its own, and takes the best
    return bananas(**settings)


def _sizes_alone(build: Callable[..., Method]) -> Callable[..., Method]:
    @functools.wraps(build)
    def built(*, init: int, per_round: int, budget: int, **unused: Any) -> Method:
        return build(init=init, per_round=per_round, budget=budget)

    return built


METHODS: dict[str, Callable[..., Method]] = {
    "weaknas": _weaknas,
    "random": _sizes_alone(random_search),
    "evolution": _sizes_alone(evolution),
    "local_search": _sizes_alone(local_search),
    "mcts": _sizes_alone(mcts),
    "lanas": _sizes_alone(lanas),
    "bananas": _bananas,
}
USES_PREDICTOR = {"weaknas"}
READS_PATHS = {"bananas"}
"""Those that bring a predictor of their own, which learns from a feature block."""
USES_NEIGHBOURS = {"evolution", "local_search", "mcts", "bananas"}
EVERYWHERE = [name for name in METHODS if name not in USES_NEIGHBOURS]
"""Those that need nothing of a space but its rows: also in a pool of a space too large to list."""
_ONE_BY_ONE = Habits(per_round=1, budget=1000, stop="optimum", seeds=20, quick=True)
HABITS = {
    "evolution": _ONE_BY_ONE._replace(init=50),
    "local_search": _ONE_BY_ONE,
    "mcts": _ONE_BY_ONE._replace(init=1),
    "lanas": _ONE_BY_ONE._replace(init=50),
    "bananas": Habits(stop="optimum", budget=300, seeds=20),
}
"""Of methods that have some of their own."""
CHOICES = {
    "label_transform": label_transforms.TRANSFORMS,
    "acquisition": ACQUISITIONS,
    "sampling": SAMPLINGS,
}
"""What is chosen by name besides the predictor."""


def _remembered(build: Callable[..., Method]) -> Callable[..., Method]:
    """Gives the very same method for the same plain settings, and so the same programs.

    What is compiled is kept by the method's functions: methods built anew would be compiled anew,
    seconds and hundreds of memory maps of the process for each search.
    """
    known = functools.lru_cache(maxsize=None, typed=True)(build)

    @functools.wraps(build)
    def built(*args: Any, **named: Any) -> Method:
        plain = all(
            value is None or isinstance(value, str | int | float)
            for value in (*args, *named.values())
        )
        return (known if plain else build)(*args, **named)

    return built


@_remembered
def make(
    predictor: str = "gp",
    *,
    method: str = "weaknas",
    budget: int | None = None,
    init: int | None = None,
    per_round: int | None = None,
    label_transform: str | Callable[..., jax.Array] | None = None,
    acquisition: str | None = None,
    sampling: str | None = None,
    encoding: np.ndarray | None = None,
    chunk: int | None = None,
    predicted_best_first: bool = False,
    top: Number = 100,
    top_end: Number | None = None,
    near_best: int = 0,
    pseudo_labels: int = 0,
    **number: Number,
) -> Method:
    """A method from names; what is left out is the habit of the method, or of the predictor.

    >>> make("gp", budget=50, per_round=4, beta=2.0).sizes[:3]
    (1, 4, 4)

    Args:
      predictor: in `predictors.PREDICTORS`.
      method: in `METHODS`; one of no predictor ignores what is said of it.
      budget, init, per_round, top, top_end, near_best, predicted_best_first: as of
        `loop.weaknas`.
      pseudo_labels: as ``unlabelled`` of `pseudo_labels.semi`; 0 = none.
      label_transform: a name in `label_transforms.TRANSFORMS`, or a transform.
      acquisition: in `acquisition.ACQUISITIONS`.
      sampling: in `sampling.SAMPLINGS`.
      encoding: [N, D] of a space that stays, for predictors that keep it on the host.
      chunk: architectures scored at once.
      **number: numeric settings of the predictor, acquisition and sampling that are used.

    Raises:
      ValueError: a name or number is unknown, or they do not go together.
    """
    registries = {"method": METHODS, "predictor": PREDICTORS} | CHOICES
    for name, value in (("method", method), ("predictor", predictor)):
        if not isinstance(value, str) or value not in registries[name]:
            raise ValueError(f"{name}={value}: choose one of {', '.join(registries[name])}")
    checks.counts(chunk=(chunk, 1), near_best=(near_best, 0), pseudo_labels=(pseudo_labels, 0))
    checks.finite(1, top=top, top_end=top_end)
    checks.finite(**number)
    if encoding is not None and np.ndim(encoding) != 2:
        raise ValueError(f"encoding: of shape {np.shape(encoding)}; give [N, D]")
    habits = HABITS.get(method, habits_of(predictor))._asdict()
    chosen = {"method": method, "predictor": predictor, "label_transform": label_transform}
    chosen |= {"acquisition": acquisition, "sampling": sampling}
    chosen = {key: habits.get(key) if value is None else value for key, value in chosen.items()}
    for key, value in chosen.items():
        named = isinstance(value, str) and value in registries[key]
        if not named and not (key == "label_transform" and callable(value)):
            raise ValueError(f"{key}={value}: choose one of {', '.join(registries[key])}")
    sizes = {"init": init, "per_round": per_round, "budget": budget}
    sizes = {key: habits[key] if value is None else value for key, value in sizes.items()}
    checks.counts(**{key: (value, 1) for key, value in sizes.items()})
    sizes = {key: int(value) for key, value in sizes.items()}  # also those of NumPy
    if method not in USES_PREDICTOR:
        return METHODS[method](**sizes)._replace(settings={"method": method, **sizes})
    check_together(predictor, chosen["acquisition"])

    part = {key: registries[key][chosen[key]] for key in ("predictor", "acquisition", "sampling")}
    brings = {key: numbers(builder) for key, builder in part.items()}
    usual = {name for of in brings.values() for name in of}
    if stray := sorted(set(number) - usual):
        what = ", ".join(f"{key}={chosen[key]}" for key in part)
        raise ValueError(f"{stray[0]}={number[stray[0]]}: {what} have no such setting")
    number = {k: v for k, v in habits["numbers"].items() if k in usual} | number
    own = {key: {k: number[k] for k in of if k in number} for key, of in brings.items()}
    draws = int(chosen["acquisition"] in NEEDS_DRAWS)
    transform = chosen["label_transform"]
    built = METHODS[method](
        predictor=make_predictor(predictor, encoding, draws, **own["predictor"]),
        chunk=chunk,
        top=top,
        top_end=top_end,
        transform=transform if callable(transform) else label_transforms.TRANSFORMS[transform],
        predicted_best_first=predicted_best_first,
        near_best=near_best,
        pseudo_labels=pseudo_labels,
        acquisition=part["acquisition"](**own["acquisition"]),
        sampler=part["sampling"](**own["sampling"]),
        **sizes,
    )
    said = {"top": top, "top_end": top_end}
    said |= {"near_best": near_best} if near_best else {}
    said |= {"pseudo_labels": pseudo_labels} if pseudo_labels else {}
    return built._replace(settings=chosen | sizes | said | number)


def reads(method: str, predictor: str) -> set[str]:
    """What a method uses of the keywords of `loop.weaknas` and of what its predictor uses.

    Besides: ``chunk``; ``features``, blocks of the space; ``prediction``, that it makes some.
    """
    names = set(inspect.signature(METHODS[method]).parameters)
    if method in USES_PREDICTOR:
        builder = inspect.signature(PREDICTORS[predictor])
        names |= set(inspect.signature(weaknas).parameters) - {"scorer"}
        names -= {"chunk"} if builder.return_annotation is Scorer else set()
        names |= {"features"} if "blocks" in builder.parameters else set()
    if method in READS_PATHS:
        names |= {"features"}
    return names | ({"prediction"} if method in USES_PREDICTOR | READS_PATHS else set())


def check_together(predictor: str, acquisition: str) -> None:
    """Raises ValueError where an acquisition needs what a predictor does not give."""
    for needs, what, has in (
        (NEEDS_DEVIATION, "a deviation", HAS_DEVIATION),
        (NEEDS_DRAWS, "draws of the function", HAS_DRAWS),
    ):
        if acquisition in needs and predictor not in has:
            raise ValueError(
                f"acquisition={acquisition} needs {what}, which predictor={predictor} does not "
                f"give; those that do: {', '.join(sorted(has))}"
            )
