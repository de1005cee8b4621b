"""How the work grows with architectures and queries, up to the 423,624 of NAS-Bench-101.

    python -m benchmarks.scale > benchmarks/results/scale-cpu.txt     # and scale-cpu.png beside it

1. The paper's MLP ranks all of NAS-Bench-101: against scikit-learn's ``predict`` of the same
   weights in float32, and as a share of what a matrix product reaches here, in turn.
2. A round of the Gaussian process (ten labels more on n, then ten picked) on random parts of
   NAS-Bench-101: seconds against N and n.

Needs the extra ``test``.
"""

import itertools
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import sklearn
from absl import app, flags, logging
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.common import HIDDEN, Twin, matmul_limit, spread, timed
from weaknas_jax import Space, mlp
from weaknas_jax.core import plan
from weaknas_jax.predictors import gp, refit
from weaknas_jax.predictors.mlp import init_params
from weaknas_jax.runs import task
from weaknas_jax.search.label_transforms import rank_normal
from weaknas_jax.storage import files
from weaknas_jax.tables import load_nasbench101

_REPEATS = flags.DEFINE_integer("repeats", 3, "Rankings by the MLP.", lower_bound=1)
_ROUNDS = flags.DEFINE_integer("rounds", 7, "Rounds of the Gaussian process at each size.")
_PICTURE = flags.DEFINE_string("picture", "benchmarks/results/scale-cpu.png", "Where it goes.")
PARTS = 15_625, 50_000, 150_000, 423_624
LABELS = 50, 100, 200, 400


def rank_by_mlp(x: np.ndarray) -> None:
    """Prints part 1."""
    shape = (x.shape[1], *HIDDEN, 1)
    flop = 2 * len(x) * sum(a * b for a, b in itertools.pairwise(shape))
    start, chunk, all_x = init_params(jax.random.key(0), shape), plan.first(len(x)).chunk, x
    twin = Twin(start)
    twin.max_iter = 1
    with warnings.catch_warnings(action="ignore"):
        twin.fit(x[:200], np.zeros(200, np.float32))
    twin.coefs_ = [np.array(w) for w, _ in start]
    twin.intercepts_ = [np.array(b) for _, b in start]
    rank = jax.jit(lambda p, x: refit.score_in_chunks(mlp().predict, p, x, chunk).mean)
    x = jnp.asarray(x)
    jax.block_until_ready(rank(start, x))
    shares, ratios, seconds = [], [], []
    for _ in range(_REPEATS.value):
        limit = max(matmul_limit(1024, repeats=5)) * 1e9
        ours_s, ours = timed(rank, start, x)
        theirs_s, theirs = timed(twin.predict, all_x)
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
        shares.append(flop / ours_s / limit)
        ratios.append(theirs_s / ours_s)
        seconds.append(ours_s)
    print(
        f"MLP ranks {len(x):,}: {spread(seconds)} s; share of the matmul limit {spread(shares)}; "
        f"scikit-learn / ours {spread(ratios)}\n",
        flush=True,
    )


def round_of_process(space: Space, n: int) -> float:
    """Seconds of a round that begins with n labels, median."""
    scorer, rng, size = gp(noise=0.3), np.random.default_rng(n), space.size
    chosen = jnp.asarray(rng.choice(size, n + 10, replace=False), jnp.int32)
    mask = jnp.ones(n + 10, bool)
    y = rank_normal(jnp.asarray(rng.normal(size=n + 10), jnp.float32), mask)
    seen, key = jnp.zeros(size, bool).at[chosen].set(True), jax.random.key(0)

    def learn(state, space, new):
        return scorer.update(key, state, space, chosen, y, mask, new)

    def score(prediction):
        return prediction.mean + 2.0 * prediction.std

    def both(state, space, new):
        state, prediction = learn(state, space, new)
        return state, scorer.select(state, space, score, prediction, seen, 10, jnp.int32(10))

    start = scorer.init(space, n + 10)
    state, _ = jax.jit(learn, donate_argnums=0)(start, space, chosen[:n])
    both, times = jax.jit(both, donate_argnums=0), []
    for _ in range(_ROUNDS.value + 1):
        state = state.replace(size=jnp.int32(n))  # as if the round had not been
        spent, (state, _) = timed(both, state, space, chosen[n:])
        times.append(spent)
    return float(np.median(times[1:]))


def main(_):
    logging.set_verbosity(logging.WARNING)
    print(
        f"{jax.devices()[0].device_kind} ({plan.cores()} cores), JAX {jax.__version__}, "
        f"scikit-learn {sklearn.__version__}; median (min..max)\n"
    )
    table = load_nasbench101()
    rank_by_mlp(table.encoding)
    whole = task.features(table)["statistics"]
    order = np.random.default_rng(0).permutation(len(table))

    def part(size: int) -> Space:
        rows = jnp.asarray(np.sort(order[:size]))
        return Space(jnp.asarray(table.encoding)[rows], {"statistics": whole[rows]})

    spaces = {size: part(size) for size in PARTS}
    print("milliseconds of a round of the Gaussian process; power: how it grows with N")
    print(f"{'n':>5}" + "".join(f"{f'N = {size:,}':>14}" for size in PARTS) + f"{'power':>8}")
    seconds = {}
    for n in LABELS:
        times = [round_of_process(spaces[size], n) for size in PARTS]
        seconds[n] = times
        line = "".join(f"{1e3 * s:>14.1f}" for s in times)
        print(f"{n:>5}{line}{_power(PARTS, times):>8.2f}", flush=True)
    powers = [_power(LABELS, column) for column in np.array(list(seconds.values())).T]
    print("power with which it grows with n: " + "  ".join(f"{p:.2f}" for p in powers))
    draw(seconds)


def _power(sizes, times) -> float:
    """p of ``times ~ sizes^p``, by least squares of the logarithms."""
    return np.polyfit(np.log(sizes), np.log(times), 1)[0]


def draw(seconds: dict) -> None:
    """Seconds against architectures and against labels."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for n, times in seconds.items():
        left.plot(PARTS, times, "o-", label=f"{n} labels")
    for size, times in zip(PARTS, np.array(list(seconds.values())).T, strict=True):
        right.plot(list(seconds), times, "o-", label=f"{size:,} architectures")
    for axes, label in ((left, "architectures"), (right, "labels")):
        axes.set(xlabel=label, ylabel="seconds a round, Gaussian process")
        axes.set(xscale="log", yscale="log")
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    Path(_PICTURE.value).parent.mkdir(exist_ok=True, parents=True)
    files.write_picture(_PICTURE.value, figure, 120)


if __name__ == "__main__":
    app.run(main)
