"""Seconds of a round of predictors, a fit and a ranking of NAS-Bench-201, for one lane and several.

    python -m benchmarks.graph_fits > benchmarks/results/graph_fits-cpu.txt

Each lane has 100 labels of its own. Times are medians of a few rounds, after compilation; the ratio
is that of a lane alone to a lane of several.
"""

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from benchmarks.common import timed
from weaknas_jax import HONEST, PREDICTORS, Scorer, load_nasbench201, refit, task
from weaknas_jax.predictors import make
from weaknas_jax.search import defaults, label_transforms

NAMED = ["gp", "mixture", "mlp"]
NAMED += [n for n, record in PREDICTORS.items() if record.reads == "graph" and not record.printed]
_PREDICTORS = flags.DEFINE_list("predictors", NAMED, "Predictors by name.")
_LANES = flags.DEFINE_integer("lanes", 8, "Lanes beside one.", lower_bound=2)
_LABELS = flags.DEFINE_integer("labels", 100, "Labels of a fit.", lower_bound=2)
_REPEATS = flags.DEFINE_integer("repeats", 3, "Rounds of each.", lower_bound=1)


def main(argv: list[str]) -> None:
    del argv
    table = load_nasbench201("cifar10")
    space = task.make(table, HONEST, graphs=True).space
    count, lanes = _LABELS.value, _LANES.value
    print(f"{jax.devices()[0].device_kind}, JAX {jax.__version__}, {count} labels, {len(table):,}")
    print(f"{'':26} compile     1 lane    {lanes} lanes, each    ratio")
    for name in _PREDICTORS.value:
        made = make(name, table.encoding)
        scorer = made if isinstance(made, Scorer) else refit(made)
        transform = label_transforms.TRANSFORMS[defaults.of("weaknas", name).label_transform]

        def round_(key, queried, scores, scorer=scorer, transform=transform):
            mask = jnp.ones(count, bool)
            state = scorer.init(space, count)
            y = transform(scores, mask)
            return scorer.update(key, state, space, queried, y, mask, queried)[1].mean

        rng = np.random.default_rng(0)
        rows = np.stack([rng.choice(len(table), count, replace=False) for _ in range(lanes)])
        labels = table.valid_mean[rows].astype(np.float32)
        keys = jax.random.split(jax.random.key(0), lanes)
        alone, together = jax.jit(round_), jax.jit(jax.vmap(round_))
        one, several = (keys[0], rows[0], labels[0]), (keys, rows, labels)
        compiling = timed(alone, *one)[0]
        timed(together, *several)
        seconds = np.median([timed(alone, *one)[0] for _ in range(_REPEATS.value)])
        each = np.median([timed(together, *several)[0] for _ in range(_REPEATS.value)]) / lanes
        ratio = seconds / each
        print(
            f"{name:26} {compiling:6.1f} s {seconds:8.3f} s {each:12.3f} s {ratio:12.2f}",
            flush=True,
        )


if __name__ == "__main__":
    app.run(main)
