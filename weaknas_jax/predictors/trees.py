"""The paper's tree predictors (section 4.1): XGBoost and scikit-learn, fitted on the host.

A host predictor is a `Scorer` whose update is one `jax.pure_callback`: it fits all lanes, each in
its own thread, and scores the whole space at once. The table stays with the callback; its arguments
are the words of a key, queries, labels and mask. It has no state, so that it may run once, twice or
not at all, and a lane's result depends on that lane alone.

Both libraries release Python's lock while they score, so that threads score in parallel. Fits take
and release it for every tree, and two of them take about as long side by side as in turn.
"""

import functools
import importlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np

from weaknas_jax.core.keys import jitter
from weaknas_jax.core.plan import cores
from weaknas_jax.core.types import Prediction, Scorer

Learn = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""``learn(words uint32 [W], x [n, D], y [n], table [N, D]) -> [P, N]``, n > 0: see `on_host`."""


def gbrt(encoding: np.ndarray | None = None, *, trees: int = 1000, depth: int = 20) -> Scorer:
    """Gradient-boosted regression trees by XGBoost (Chen & Guestrin, 2016), otherwise its defaults.

    Args:
      encoding: [N, D] of the whole table; None = the space's, which may then change.
      trees: rounds of boosting.
      depth: of each tree, at most.

    Raises:
      ValueError: XGBoost is not installed.
    """
    xgboost = _package("xgboost", "gbrt")

    def learn(words, x, y, table):
        data = xgboost.DMatrix(x, y, nthread=1)
        booster = xgboost.Booster({"max_depth": depth, "nthread": 1}, [data])
        for i in range(trees):  # xgboost.train, without its look-ups under the lock in each round
            booster.update(data, i)
        return booster.inplace_predict(table)[None]

    return on_host(learn, encoding)


def forest(
    encoding: np.ndarray | None = None, *, trees: int = 1000, depth: int = 10, draws: int = 0
) -> Scorer:
    """A random forest (Breiman, 2001) by scikit-learn; its deviation is that of the trees.

    Args:
      encoding: [N, D] of the whole table; None = the space's, which may then change.
      trees: number of trees.
      depth: of each tree, at most.
      draws: E, trees that come with each prediction, for Thompson sampling.

    Raises:
      ValueError: scikit-learn is not installed.
    """
    ensemble = _package("sklearn.ensemble", "forest")

    def learn(words, x, y, table):
        model = ensemble.RandomForestRegressor(
            trees, max_depth=depth, n_jobs=1, random_state=np.random.RandomState(words)
        ).fit(x, y)
        total, squares, drawn = np.zeros(len(table)), np.zeros(len(table)), []
        for tree in model.estimators_:  # one at a time: all together would take trees x N
            scores = tree.predict(table, check_input=False)
            total, squares = total + scores, squares + scores**2
            if len(drawn) < draws:
                drawn.append(scores)
        mean = total / trees
        return np.stack([mean, np.sqrt(np.maximum(squares / trees - mean**2, 1e-6)), *drawn])

    return on_host(learn, encoding, 2 + draws)


def on_host(learn: Learn, encoding: np.ndarray | None, rows: int = 1) -> Scorer:
    """The `Scorer` that fits and scores on the host.

    Ties, which are frequent among predictions of trees, are broken at random by the key.

    Args:
      learn: fits and scores all N, with one thread and without JAX, which may wait for the
        callback. It returns mean, deviation and draws, ``rows`` in all.
      encoding: [N, D]; None = the space's, which is then passed in each call.
      rows: P; 1 = no deviation, 2 = no draws.
    """

    table = None if encoding is None else np.ascontiguousarray(encoding, np.float32)

    def init(space, budget):
        del space, budget
        return ()

    def update(key, state, space, queried, y, mask, indices):
        del indices
        operands = (jax.random.key_data(key), queried, y, mask)
        scores = jax.pure_callback(
            functools.partial(score_lanes, learn, table, rows),
            jax.ShapeDtypeStruct((rows, space.size), jnp.float32),
            *(operands if table is not None else (*operands, space.encoding)),
            vmap_method="broadcast_all",
        )
        mean, ties = scores[0], jitter(key, space.size)
        std = scores[1] if rows > 1 else None
        return state, Prediction(mean + ties, std, scores[2:] + ties if rows > 2 else None)

    return Scorer(init, update)


def score_lanes(
    learn: Learn, table: np.ndarray | None, rows: int, *operands: jax.Array
) -> np.ndarray:
    """The callback of `on_host`: float32 [..., P, N], zeros where there is no label.

    Args:
      learn, table, rows: see `on_host`.
      *operands: words of the key [..., W], queried, labels and mask [..., Q]; where ``table`` is
        None also the encoding [..., N, D], the same in all lanes.
    """
    arrays = [np.asarray(a) for a in operands]
    batch = arrays[3].shape[:-1]
    if table is None:
        encoding = arrays.pop()
        table = np.ascontiguousarray(encoding.reshape(-1, *encoding.shape[-2:])[0])

    def one(words, queried, y, mask):
        if not mask.any():
            return np.zeros((rows, len(table)), np.float32)
        return learn(words, table[queried[mask]], y[mask], table).astype(np.float32)

    lanes = list(zip(*(a.reshape(-1, a.shape[-1]) for a in arrays), strict=True))
    names = [b"".join(a.tobytes() for a in lane) for lane in lanes]
    distinct = dict(zip(names, lanes, strict=True))  # idle lanes repeat another
    with ThreadPoolExecutor(min(len(distinct), cores())) as pool:
        results = pool.map(lambda lane: one(*lane), distinct.values())
        scores = dict(zip(distinct, results, strict=True))
    return np.stack([scores[name] for name in names]).reshape(*batch, rows, len(table))


def _package(module: str, predictor: str) -> ModuleType:
    """An optional package, imported when a predictor that needs it is built."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = {"sklearn.ensemble": "scikit-learn"}.get(module, module)
        raise ValueError(
            f"--predictor={predictor} needs {package}: pip install -e '.[trees]'"
        ) from error
