"""Methods by name: one record each, from which flag, documentation and tests are made.

`make` builds a method from names and settings.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from weaknas_jax.core import checks
from weaknas_jax.core.types import Method, Number, Predictor, Scorer, numbers
from weaknas_jax.predictors.refit import refit
from weaknas_jax.predictors.registry import PREDICTORS
from weaknas_jax.predictors.registry import make as make_predictor
from weaknas_jax.search import defaults
from weaknas_jax.search.acquisition import ACQUISITIONS
from weaknas_jax.search.baselines.bananas import bananas
from weaknas_jax.search.baselines.bonas import bonas
from weaknas_jax.search.baselines.brp_nas import brp_nas
from weaknas_jax.search.baselines.evolution import evolution
from weaknas_jax.search.baselines.lanas import lanas
from weaknas_jax.search.baselines.local_search import local_search
from weaknas_jax.search.baselines.mcts import mcts
from weaknas_jax.search.baselines.nasbowl import nasbowl
from weaknas_jax.search.baselines.random import random_search
from weaknas_jax.search.label_transforms import TRANSFORMS
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
                f"pseudo_labels={pseudo_labels}: this predictor cannot be fitted twice in a round; "
                "use one of fit and predict, such as mlp, knn or ensemble"
            )
        return weaknas(predictor, **settings)
    scorer = refit(predictor, chunk)
    if pseudo_labels:
        scorer = semi(predictor, chunk, unlabelled=pseudo_labels)
    return weaknas(scorer, **settings)


class MethodRecord(NamedTuple):
    """A method by name: its builder and its needs.

    Calling a record calls its builder with the keywords that it takes.

    Attributes:
      build: the builder; its keywords of type `Number` are numeric settings, and flags.
      title: a description of one line.
      predictor: whether it takes a predictor, an acquisition and other keywords of `loop.weaknas`.
      own: what a predictor of its own reads, ``features`` or ``graph``; None = it has none.
      neighbours: whether it needs the neighbours of architectures.
    """

    build: Callable[..., Method]
    title: str
    predictor: bool = False
    own: Literal["features", "graph"] | None = None
    neighbours: bool = False

    def __call__(self, **settings: Any) -> Method:
        keywords = inspect.signature(self.build).parameters
        if any(k.kind == k.VAR_KEYWORD for k in keywords.values()):
            return self.build(**settings)
        return self.build(**{name: value for name, value in settings.items() if name in keywords})

    @property
    def numbers(self) -> Mapping[str, float]:
        """Its numeric settings with their defaults, without those of its parts."""
        return numbers(self.build)


METHODS: dict[str, MethodRecord] = {
    "weaknas": MethodRecord(_weaknas, "weak predictors, refitted each round", predictor=True),
    "random": MethodRecord(random_search, "random search"),
    "evolution": MethodRecord(evolution, "regularized evolution", neighbours=True),
    "local_search": MethodRecord(local_search, "local search", neighbours=True),
    "mcts": MethodRecord(mcts, "Monte Carlo tree search (AlphaX)", neighbours=True),
    "lanas": MethodRecord(lanas, "learned partition of the space (LaNAS)"),
    "bananas": MethodRecord(
        bananas, "ensemble on path encodings (BANANAS)", own="features", neighbours=True
    ),
    "brp_nas": MethodRecord(brp_nas, "pairwise graph network in stages (BRP-NAS)", own="graph"),
    "bonas": MethodRecord(
        bonas, "graph convolutions and Bayesian regression (BONAS)", own="graph", neighbours=True
    ),
    "nasbowl": MethodRecord(
        nasbowl, "Gaussian process on subgraphs (NASBOWL)", own="graph", neighbours=True
    ),
}
EVERYWHERE = [name for name, record in METHODS.items() if not record.neighbours]
"""Methods that need no neighbours, and so also search spaces too large to list."""
CHOICES = {"label_transform": TRANSFORMS, "acquisition": ACQUISITIONS, "sampling": SAMPLINGS}
"""Parts that are chosen by name, besides the predictor."""
PARTS = {
    "method": METHODS,
    "predictor": PREDICTORS,
    "acquisition": ACQUISITIONS,
    "sampling": SAMPLINGS,
}
"""Parts that have numeric settings."""


def numeric(**chosen: str | None) -> dict[str, float]:
    """Numeric settings of some choices, with the defaults of their builders.

    >>> numeric(predictor="linear", acquisition="ucb")
    {'noise': 0.01, 'beta': 1.5, 'patience': 20.0}

    Args:
      **chosen: a name for some of `PARTS`; None = not used.
    """
    names = {part: name for part, name in chosen.items() if name is not None}
    return {k: v for part, name in names.items() for k, v in PARTS[part][name].numbers.items()}


def _cached(build: Callable[..., Method]) -> Callable[..., Method]:
    """Caches methods by their plain settings, and so their compiled programs.

    JAX caches programs by the method's functions: a new method would be compiled again, which takes
    seconds and hundreds of memory maps of the process for each search.
    """
    cached = functools.lru_cache(maxsize=None, typed=True)(build)

    @functools.wraps(build)
    def built(*args: Any, **named: Any) -> Method:
        plain = all(
            value is None or isinstance(value, str | int | float)
            for value in (*args, *named.values())
        )
        return (cached if plain else build)(*args, **named)

    return built


@_cached
def make(
    predictor: str = "mixture",
    *,
    method: str = "weaknas",
    space: str | None = None,
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
    """A method from names; what is left out has its default (`search.defaults`).

    >>> make("gp", budget=50, per_round=4, beta=2.0).sizes[:3]
    (1, 4, 4)

    Args:
      predictor: in `PREDICTORS`.
      method: in `METHODS`; one without a predictor ignores the settings of predictors.
      space: name of the space, which may have its own defaults (``nasbench101``).
      budget, init, per_round, top, top_end, near_best, predicted_best_first: see `loop.weaknas`.
      pseudo_labels: ``unlabelled`` of `pseudo_labels.semi`; 0 = none.
      label_transform: a name in `label_transforms.TRANSFORMS`, or a transform.
      acquisition: in `acquisition.ACQUISITIONS`.
      sampling: in `sampling.SAMPLINGS`.
      encoding: [N, D] of a space that does not change, for predictors on the host.
      chunk: architectures scored at once.
      **number: numeric settings of the method, or of its predictor, acquisition and sampling.

    Raises:
      ValueError: a name or number is unknown, or they do not go together.
    """
    for name, value, registry in (
        ("method", method, METHODS),
        ("predictor", predictor, PREDICTORS),
    ):
        if not isinstance(value, str) or value not in registry:
            raise ValueError(f"{name}={value}: choose one of {', '.join(registry)}")
    checks.counts(chunk=(chunk, 1), near_best=(near_best, 0), pseudo_labels=(pseudo_labels, 0))
    checks.finite(1, top=top, top_end=top_end)
    checks.finite(**number)
    if encoding is not None and np.ndim(encoding) != 2:
        raise ValueError(f"encoding: of shape {np.shape(encoding)}; give [N, D]")
    record = METHODS[method]
    default = defaults.of(method, predictor if record.predictor else None, space)
    chosen = {"label_transform": label_transform, "acquisition": acquisition, "sampling": sampling}
    chosen = {k: getattr(default, k) if value is None else value for k, value in chosen.items()}
    for name, value in chosen.items():
        listed = isinstance(value, str) and value in CHOICES[name]
        if not listed and not (name == "label_transform" and callable(value)):
            raise ValueError(f"{name}={value}: choose one of {', '.join(CHOICES[name])}")
    sizes = {"init": init, "per_round": per_round, "budget": budget}
    sizes = {k: getattr(default, k) if value is None else value for k, value in sizes.items()}
    checks.counts(**{name: (value, 1) for name, value in sizes.items()})
    sizes = {name: int(value) for name, value in sizes.items()}  # also those of NumPy
    parts = {"method": method}
    if record.predictor:
        check_together(predictor, chosen["acquisition"])
        parts |= {"predictor": predictor, "acquisition": chosen["acquisition"]}
        parts |= {"sampling": chosen["sampling"]}
    has = {part: PARTS[part][name].numbers for part, name in parts.items()}
    accepted = {name for numbers in has.values() for name in numbers}
    if stray := sorted(set(number) - accepted):
        named = [f"{part}={name}" for part, name in parts.items() if has[part] or part != "method"]
        what = ", ".join(named or [f"method={method}"])
        raise ValueError(f"{stray[0]}={number[stray[0]]}: {what} have no such setting")
    number = {k: v for k, v in default.numbers.items() if k in accepted} | number
    by_part = {part: {k: number[k] for k in keys if k in number} for part, keys in has.items()}
    if not record.predictor:
        built = record(chunk=chunk, **sizes, **by_part["method"])
        return built._replace(settings={"method": method, **sizes, **number})

    draws = int(ACQUISITIONS[chosen["acquisition"]].needs == "draws")
    transform = chosen["label_transform"]
    built = record(
        predictor=make_predictor(predictor, encoding, draws, chunk, **by_part["predictor"]),
        chunk=chunk,
        top=top,
        top_end=top_end,
        transform=transform if callable(transform) else TRANSFORMS[transform].apply,
        predicted_best_first=predicted_best_first,
        near_best=near_best,
        pseudo_labels=pseudo_labels,
        acquisition=ACQUISITIONS[chosen["acquisition"]](**by_part["acquisition"]),
        sampler=SAMPLINGS[chosen["sampling"]](**by_part["sampling"]),
        **sizes,
    )
    settings = {"method": method, "predictor": predictor, **chosen, **sizes}
    settings |= {"top": top, "top_end": top_end}
    settings |= {"near_best": near_best} if near_best else {}
    settings |= {"pseudo_labels": pseudo_labels} if pseudo_labels else {}
    return built._replace(settings=settings | number)


def reads(method: str, predictor: str) -> set[str]:
    """Names of the settings and data that a method and its predictor use.

    They are keywords of `loop.weaknas` or of the method's builder, ``chunk``, ``features`` (blocks
    of the space), ``graph`` (its graphs) and ``prediction`` (there is one).

    >>> "features" in reads("weaknas", "gp"), "chunk" in reads("random", "gp")
    (True, False)
    """
    record = METHODS[method]
    names = set(inspect.signature(record.build).parameters)
    if record.predictor:
        predictor_record = PREDICTORS[predictor]
        names |= set(inspect.signature(weaknas).parameters) - {"scorer"}
        names -= {"chunk"} if predictor_record.scores == "at once" else set()
        names |= {predictor_record.reads} - {"encoding"}
    if record.own is not None:
        names |= {record.own}
    return names | ({"prediction"} if record.predictor or record.own else set())


def check_together(predictor: str, acquisition: str) -> None:
    """Raises ValueError where an acquisition needs outputs that a predictor does not give."""
    needs = ACQUISITIONS[acquisition].needs
    words = {"deviation": "a deviation", "draws": "draws of the function"}
    able = {
        "mean": set(PREDICTORS),
        "deviation": {name for name, record in PREDICTORS.items() if record.deviation},
        "draws": {name for name, record in PREDICTORS.items() if record.draws != "no"},
    }[needs]
    if predictor not in able:
        raise ValueError(
            f"acquisition={acquisition} needs {words[needs]}, which predictor={predictor} does not "
            f"give; those that do: {', '.join(sorted(able))}"
        )
