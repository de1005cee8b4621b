"""One round of WeakNAS with the paper's MLP, ours against scikit-learn's, side by side.

    python -m benchmarks.mlp_round > benchmarks/results/mlp_round-cpu.txt

A round is a fit on n architectures of NAS-Bench-201 and a ranking of all 15,625. Both start from
the same weights on the same batch, so that both run the same epochs but for late rounding (for
n > 200 the shuffles differ too); the epochs of both are shown.
The two are timed in turn, so that a change of the machine's speed meets both; ratios are pair by
pair. Needs the extra ``test``.
"""

import itertools
import platform
import time
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import sklearn
import threadpoolctl
from absl import app, flags, logging

from benchmarks.common import HIDDEN, Twin, labelled, matmul_limit, spread, timed
from weaknas_jax import mlp
from weaknas_jax.core import plan
from weaknas_jax.predictors import refit
from weaknas_jax.predictors.mlp import CPU_WIDTHS, init_params, train

_REPEATS = flags.DEFINE_integer("repeats", 5, "Pairs for each n and type.", lower_bound=1)
_SIZES = flags.DEFINE_list("sizes", ["10", "50", "100", "200"], "Values of n.")
SHAPE = (30, *HIDDEN, 1)
FLOP = 2 * sum(a * b for a, b in itertools.pairwise(SHAPE))  # of one row, forward


def main(_):
    logging.set_verbosity(logging.WARNING)
    warnings.filterwarnings("ignore")
    x, y = labelled()
    blas = threadpoolctl.threadpool_info()
    blas = [
        f"{b['internal_api']} {b['version']} ({b['num_threads']} threads)"
        for b in blas
        if b["user_api"] == "blas"
    ]
    print(
        f"{platform.processor() or platform.machine()}, {jax.devices()[0].device_kind}, "
        f"JAX {jax.__version__}, scikit-learn {sklearn.__version__}, NumPy {np.__version__}, "
        f"{blas[0]}"
    )
    capacity = max(200, *map(int, _SIZES.value))
    chunk = plan.first(len(x)).chunk
    device_x = jnp.asarray(x)

    def rank(params):
        predict = mlp().predict
        return refit.score_in_chunks(predict, params, device_x, chunk).mean

    began = time.perf_counter()
    struct = jax.ShapeDtypeStruct
    start = init_params(jax.random.key(0), SHAPE)
    fit = (
        jax.jit(train)
        .lower(
            jax.random.key(0),
            start,
            struct((capacity, 30), jnp.float32),
            struct((capacity,), jnp.float32),
            struct((capacity,), bool),
        )
        .compile()
    )
    rank = jax.jit(rank).lower(start).compile()
    print(f"compile, once: {time.perf_counter() - began:.1f} s ({len(CPU_WIDTHS)} batch widths)")
    print("seconds: median (min..max); ratio = scikit-learn / ours, pair by pair")
    print(
        "limit: float32 matmul of 1024 rows, the faster of NumPy and JAX, measured with each pair\n"
    )
    print(
        f"{'n':>4} {'dtype':>8} {'epochs':>12} {'fit ours':>20} {'fit sklearn':>20} "
        f"{'rank ours':>20} {'rank sklearn':>20} {'ratio of the round':>22} {'share of limit':>24}"
    )
    for n in map(int, _SIZES.value):
        for dtype in (np.float32, np.float64):
            rows = []
            for seed in range(_REPEATS.value):
                chosen = np.random.default_rng(seed).choice(len(x), n, replace=False)
                start = init_params(jax.random.key(seed), SHAPE)
                mask = np.arange(capacity) < n
                xs, ys = np.zeros((capacity, 30), np.float32), np.zeros(capacity, np.float32)
                xs[:n], ys[:n] = x[chosen], y[chosen]
                fit_s, (params, info) = timed(fit, jax.random.key(seed), start, xs, ys, mask)
                rank_s, ours = timed(rank, params)
                twin, wide = Twin(start), x.astype(dtype)
                sk_fit_s, _ = timed(
                    lambda t=twin, c=chosen, w=wide, d=dtype: t.fit(w[c], y[c].astype(d)) and None
                )
                sk_rank_s, theirs = timed(twin.predict, wide)
                assert n > 200 or np.corrcoef(ours, theirs)[0, 1] > 0.95
                flop = FLOP * (3 * n * int(info.epochs) + len(x))
                limit = max(matmul_limit(1024, repeats=5)) * 1e9
                ratio = (sk_fit_s + sk_rank_s) / (fit_s + rank_s)
                share = 100 * flop / (fit_s + rank_s) / limit
                epochs = (int(info.epochs), twin.n_iter_)
                rows.append((*epochs, fit_s, sk_fit_s, rank_s, sk_rank_s, ratio, share))
            columns = np.array(rows).T
            epochs = f"{columns[0].mean():.1f} / {columns[1].mean():.1f}"
            times = " ".join(f"{spread(c):>20}" for c in columns[2:6])
            ratio, share = spread(columns[6]), spread(columns[7])
            print(
                f"{n:>4} {np.dtype(dtype).name:>8} {epochs:>12} {times} {ratio:>22} {share:>22} %"
            )


if __name__ == "__main__":
    app.run(main)
