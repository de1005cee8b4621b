"""A round of our Gaussian process and of our ensemble against scikit-learn's, side by side.

    python -m benchmarks.closed_form > benchmarks/results/closed_form-cpu.txt

A round has n labels of NAS-Bench-201 and scores all 15,625 architectures. The Gaussian process
(Hamming kernel on the one-hot columns, fixed, in both) gives mean and deviation; ours is timed as
the search runs it, one label more on n - 1 that are known, and anew from all n. The ensemble is
five MLPs of the paper in both. The two are timed in turn; ratios are pair by pair, median
(min..max). Needs the extra ``test``.
"""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import sklearn
from absl import app, flags, logging
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF
from sklearn.neural_network import MLPRegressor

from benchmarks.common import labelled, spread, timed
from weaknas_jax import Space, refit
from weaknas_jax.predictors import ensemble, gp
from weaknas_jax.predictors.kernels import Block

_REPEATS = flags.DEFINE_integer("repeats", 9, "Pairs for each n, of Gaussian processes.")
_NETWORKS = flags.DEFINE_integer("networks", 3, "Pairs for each n, of ensembles.")
LENGTH, NOISE = 6.0, 0.1


def processes(space, x, y, n):
    """Seconds of (ours, one label more; ours, anew; scikit-learn's), a row a pair."""
    scorer = gp((Block("rbf", "columns", 1.0, LENGTH),), noise=NOISE)
    update, grow = jax.jit(scorer.update), jax.jit(scorer.update, donate_argnums=1)
    rows = []
    for pair in range(-1, _REPEATS.value):  # the first, not counted, compiles
        chosen = np.random.default_rng(pair + 1).choice(len(x), n, replace=False).astype(np.int32)
        key, labels, mask = jax.random.key(0), y[chosen], np.ones(n, bool)
        start = scorer.init(space, n)
        before, _ = update(key, start, space, chosen, labels, mask, np.append(chosen[:-1], -1))
        jax.block_until_ready(before)
        more, _ = timed(grow, key, before, space, chosen, labels, mask, chosen[-1:])
        anew, (_, ours) = timed(update, key, start, space, chosen, labels, mask, chosen)
        theirs = GaussianProcessRegressor(RBF((LENGTH / 2) ** 0.5), alpha=NOISE, optimizer=None)

        def whole(model=theirs, chosen=chosen, labels=labels):
            return model.fit(x[chosen], labels).predict(x, return_std=True)

        sklearn_s, (mean, std) = timed(whole)
        np.testing.assert_allclose(ours.mean, mean, atol=2e-3)
        np.testing.assert_allclose(ours.std, std, atol=2e-3)
        if pair >= 0:
            rows.append((more, anew, sklearn_s))
    return np.array(rows)


def ensembles(space, x, y, n):
    """Seconds of (ours; five of scikit-learn's), a row a pair."""
    update = jax.jit(refit(ensemble()).update)
    rows = []
    for pair in range(-1, _NETWORKS.value):
        chosen = np.random.default_rng(pair + 1).choice(len(x), n, replace=False).astype(np.int32)
        key, mask = jax.random.key(pair + 1), np.ones(n, bool)
        ours, _ = timed(update, key, (), space, chosen, y[chosen], mask, chosen)

        def whole(chosen=chosen):
            models = [
                MLPRegressor(hidden_layer_sizes=(1000,) * 4, max_iter=100, random_state=i)
                for i in range(5)
            ]
            return [model.fit(x[chosen], y[chosen]).predict(x) for model in models]

        if pair >= 0:
            rows.append((ours, timed(whole)[0]))
    return np.array(rows)


def main(_):
    logging.set_verbosity(logging.WARNING)
    warnings.filterwarnings("ignore")
    x, y = labelled()
    space = Space(jnp.asarray(x), {"columns": jnp.asarray(x)})
    print(
        f"{jax.devices()[0].device_kind}, JAX {jax.__version__}, scikit-learn {sklearn.__version__}"
    )
    print("ratio = scikit-learn / ours\n\nGaussian process")
    for n in (20, 50, 100, 200):
        more, anew, theirs = processes(space, x, y, n).T
        ours = f"{1e3 * np.median(more):.1f} ms, anew {1e3 * np.median(anew):.1f} ms"
        print(
            f"n = {n:>3}: ours {ours}, scikit-learn {1e3 * np.median(theirs):.1f} ms; "
            f"ratio {spread(theirs / more)}, anew {spread(theirs / anew)}",
            flush=True,
        )
    print("\nensemble of five, float32 in both")
    for n in (20, 50, 100):
        ours, theirs = ensembles(space, x, y, n).T
        print(
            f"n = {n:>3}: ours {np.median(ours):.2f} s, scikit-learn {np.median(theirs):.2f} s; "
            f"ratio {spread(theirs / ours)}",
            flush=True,
        )


if __name__ == "__main__":
    app.run(main)
