"""Searches of other libraries on the same objectives, each through its own interface.

The first architecture of a search is that of ours with the same seed. An encoding of integers
(``integers``, ``shuffled``) is a space of ordered integer parameters, any other one of a
categorical parameter for each choice; a choice with a single level is left out.

A library proposes combinations of levels. One that was queried before is no new query: the library
is told its value again and asks once more; after `REPEATS` of these in a row a random row that was
not queried is taken, and told. One that is not in the table has no value: it is a failed trial,
without a cost (`libraries` says how), and the nearest row that was not queried is taken in its
place and told under its own levels. Nearest counts the choices that differ, or, where they are
ordered, sums the distances in shares of their ranges; ties are broken at random. On full products
that never happens; on tables that are a tiny part of all combinations (families ``epochs``,
``layers``, ``ofa``) every proposal is replaced. BoTorch proposes rows of the table only.

HEBO is left out: HEBO 0.3.6 requires numpy<1.25 and pymoo==0.6.0, and this project numpy>=2, so
that pip ends with ``ResolutionImpossible``. Installed in spite of that (numpy 2.4, PyTorch 2.13) it
runs, but its proposals took 25 to 59 s each on a busy machine with two CPU cores.
"""

import importlib
import warnings
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from benchmarks.study import libraries, objectives
from benchmarks.study.libraries import Choices, Peer
from weaknas_jax.core import conventions, keys
from weaknas_jax.search import sampling

REPEATS = 50
"""Proposals in a row that were queried before, after which a random row is taken."""


class PeerRecord(NamedTuple):
    """A search of another library.

    Attributes:
      make: (choices, seed, budget, **settings) -> `Peer`; imports the library.
      packages: those to be imported.
      settings: keywords of `make`.
    """

    make: Callable[..., Peer]
    packages: tuple[str, ...]
    settings: dict[str, Any]


PEERS = {
    "tpe": PeerRecord(libraries.tpe, ("optuna",), {}),
    "tpe-multivariate": PeerRecord(
        libraries.tpe, ("optuna",), {"multivariate": True, "group": True}
    ),
    "tpe-independent": PeerRecord(libraries.tpe, ("optuna",), {"multivariate": False}),
    "optuna-gp": PeerRecord(libraries.optuna_gp, ("optuna", "torch"), {}),
    "smac": PeerRecord(libraries.Smac, ("smac",), {}),
    "smac-refit": PeerRecord(libraries.Smac, ("smac",), {"retrain_after": 1}),
    "botorch": PeerRecord(libraries.Botorch, ("botorch",), {}),
    "botorch-onehot": PeerRecord(libraries.Botorch, ("botorch",), {"onehot": True}),
}
"""By the name of the method in tables.

``tpe`` is Optuna's default. From Optuna 5 on that is the multivariate one, which makes the queries
of ``tpe-multivariate`` on these spaces; before, it was ``tpe-independent``. ``smac`` has the
defaults of its facade: a Sobol design of at most a quarter of the budget, then a new forest after
eight queries; ``smac-refit`` fits one after each. On integers ``botorch`` and ``botorch-onehot``
are the same.
"""


def require(names: Iterable[str]) -> None:
    """Imports the libraries of methods.

    Raises:
      SystemExit: one is not installed; the message names the package.
    """
    for name in names:
        for package in PEERS[name].packages:
            try:
                importlib.import_module(package)
            except ImportError as error:
                raise SystemExit(
                    f"--methods={name} needs the package {package} ({error}): "
                    "pip install -e '.[peers]'"
                ) from None


def first_rows(size: int, seeds: int) -> np.ndarray:
    """The first query of each of our searches on a table of ``size`` rows, int32 [S]."""
    with conventions.scope():
        nothing = jnp.zeros(size, bool)
        designs = [keys.key_for(key, keys.DESIGN) for key in keys.run_keys(0, range(seeds))]
        return np.array([sampling.draw(key, nothing, 1)[0] for key in designs], np.int32)


def choices_of(objective: objectives.Objective, encoding: str) -> Choices:
    """The choices of an objective in one of its encodings."""
    ordered = encoding in ("integers", "shuffled")
    codes = objectives.encode(objective.levels, encoding) if ordered else objective.levels
    codes = codes[:, codes.max(axis=0) > 0].astype(int)
    return Choices(codes, codes.max(axis=0) + 1, ordered)


def search(
    objective: objectives.Objective, encoding: str, name: str, seeds: int, budget: int
) -> np.ndarray:
    """Rows asked for by one of `PEERS`, int32 [S, Q]; Q is ``budget``, or all rows."""
    require([name])
    record, choices = PEERS[name], choices_of(objective, encoding)
    budget = min(budget, len(objective.scores))
    asked = []
    for seed, first in enumerate(first_rows(len(objective.scores), seeds)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of experimental arguments and numerics
            peer = record.make(choices, seed, budget, **record.settings)
            asked.append(_search(peer, choices, objective.scores, int(first), budget, seed))
    return np.array(asked, np.int32)


def _search(
    peer: Peer, choices: Choices, scores: np.ndarray, first: int, budget: int, seed: int
) -> list[int]:
    rows = {tuple(levels): row for row, levels in enumerate(choices.codes.tolist())}
    rng = np.random.default_rng(seed)
    free = np.ones(len(scores), bool)
    asked: list[int] = []

    def take(row: int, *, proposed: bool) -> None:
        free[row] = False
        asked.append(row)
        if not proposed:
            peer.add(tuple(choices.codes[row].tolist()), float(scores[row]))

    take(first, proposed=False)
    repeats = 0
    while len(asked) < budget:
        levels = peer.ask() if repeats < REPEATS else None
        if levels is None:
            take(int(rng.choice(np.flatnonzero(free))), proposed=False)
        elif levels not in rows:
            peer.tell(None)
            distance = choices.distance(levels) + 1e-9 * rng.random(len(scores))
            take(int(np.where(free, distance, np.inf).argmin()), proposed=False)
        else:
            row = rows[levels]
            peer.tell(float(scores[row]))
            if not free[row]:
                repeats += 1
                continue
            take(row, proposed=True)
        repeats = 0
    return asked
