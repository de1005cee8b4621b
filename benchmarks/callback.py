"""A round of a tree predictor through JAX against the same by XGBoost alone, side by side.

    python -m benchmarks.callback > benchmarks/results/callback-cpu.txt

A round is a fit of ``gbrt`` at its full size on n architectures of NAS-Bench-201 and the scores of
all 15,625, with one thread. Ours is compared with the same calls (what it adds is the callback, its
thread and the order of ties) and with ``xgboost.train``, which gives the same trees. They are timed
in turn, in either order; ratios are of one turn. Needs the extra ``trees``.
"""

import time

import jax
import jax.numpy as jnp
import numpy as np
import xgboost
from absl import app, flags, logging

from benchmarks.common import labelled
from weaknas_jax import Space
from weaknas_jax.core.keys import jitter
from weaknas_jax.predictors import gbrt

_REPEATS = flags.DEFINE_integer("repeats", 40, "Turns.", lower_bound=1)
_N = flags.DEFINE_integer("n", 100, "Labels to fit on.", lower_bound=1)
SETTINGS = {"max_depth": 20, "nthread": 1}


def main(_):
    logging.set_verbosity(logging.WARNING)
    (x, y), n = labelled(), _N.value
    space, scorer = Space(jnp.asarray(x)), gbrt(x)
    print(
        f"{jax.devices()[0].device_kind}, JAX {jax.__version__}, XGBoost {xgboost.__version__}, "
        f"NumPy {np.__version__}; n = {n}, N = {len(x):,}, 1000 trees of depth 20"
    )

    @jax.jit
    def through_jax(key, queried, labels, mask):
        return scorer.update(key, (), space, queried, labels, mask, queried)[1].mean

    def same_calls(key, queried, labels, mask):
        data = xgboost.DMatrix(x[queried], labels, nthread=1)
        booster = xgboost.Booster(SETTINGS, [data])
        for i in range(1000):
            booster.update(data, i)
        return booster.inplace_predict(x)

    def train(key, queried, labels, mask):
        data = xgboost.DMatrix(x[queried], labels, nthread=1)
        return xgboost.train(SETTINGS, data, 1000).inplace_predict(x)

    names = {through_jax: "ours", same_calls: "the same calls", train: "xgboost.train"}
    seconds = {one: [] for one in names}
    for turn in range(-1, _REPEATS.value):  # the first, not counted, compiles
        rows = np.random.default_rng(turn + 1).choice(len(x), n, replace=False)
        arguments = jax.random.key(turn + 1), rows.astype(np.int32), y[rows], np.ones(n, bool)
        means = {}
        for one in list(names)[:: 1 if turn % 2 else -1]:
            began = time.perf_counter()
            means[one] = jax.block_until_ready(one(*arguments))
            if turn >= 0:
                seconds[one].append(time.perf_counter() - began)
        ties = jitter(arguments[0], len(x))
        for one in (same_calls, train):
            np.testing.assert_allclose(means[through_jax], means[one] + ties, rtol=1e-6, atol=1e-7)
    for one, name in names.items():
        milli = 1e3 * np.array(seconds[one])
        print(f"{name:>14}: {np.median(milli):6.1f} ms ({milli.min():.1f}..{milli.max():.1f})")
    for one in (same_calls, train):
        ratio = np.array(seconds[through_jax]) / np.array(seconds[one])
        low, high = np.quantile(ratio, (0.25, 0.75))
        print(
            f"ours / {names[one]}: median {np.median(ratio):.3f}, quartiles {low:.3f}..{high:.3f}, "
            f"all {ratio.min():.3f}..{ratio.max():.3f}; {len(ratio)} turns, equal scores"
        )


if __name__ == "__main__":
    app.run(main)
