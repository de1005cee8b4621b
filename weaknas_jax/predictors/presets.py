"""Kernels of the Gaussian process by name; the record of a space names its own.

They were chosen (docs/results.md) on NAS-Bench-201 / CIFAR-10, ``cell`` for its space and ``table``
for a table of unknown origin, on NAS-Bench-101, ``graph``, and on the published accuracy predictor
of Once-for-all, ``supernet``. ``cell_and_others``, for a structure with other choices beside it
(`spaces.structures`), was not measured. Noise and weights are for labels of variance one.
"""

from weaknas_jax.core.types import Space
from weaknas_jax.predictors.kernels import DISTANCE, Block

CELL = (
    Block("cauchy", "paths", 1 / 3, 10.0),
    Block("cauchy", "grams", 1 / 3, 20.0),
    Block("cauchy", "counts", 1 / 3, 2.0),
    Block("linear", "grams", 0.3),
)
CELL_AND_OTHERS = (
    *CELL,
    Block("cauchy", "others", 1 / 3, 0.5, relative=True),
    Block("linear", "others", 0.15),
)
GRAPH = (Block("rbf", "statistics", 1.0, 6.0),)
TABLE = (
    Block("cauchy", "slots", 1 / 2, 0.5, relative=True),
    Block("linear", "effects", 0.15),
    Block("quadratic", "effects", 0.45),
    Block("cauchy", "counts", 1 / 3, 0.6, relative=True),
    Block("linear", "counts", 0.15),
)
SUPERNET = (
    Block("cauchy", "hot", 0.4, 1.0, relative=True),
    Block("linear", "stages", 0.6),
)
PRESETS = {"table": TABLE, "cell": CELL, "graph": GRAPH, "supernet": SUPERNET}
PRESETS["cell_and_others"] = CELL_AND_OTHERS


def blocks_of(space: Space) -> tuple[Block, ...]:
    """The kernel of a space's preset, on those of its feature blocks that the space has.

    The weights of missing kernels of a distance go to the first block. A space without a preset has
    the preset with which it shares most blocks.

    >>> import jax.numpy as jnp
    >>> space = Space(jnp.eye(2), {"statistics": jnp.eye(2)}, preset="graph")
    >>> blocks_of(space) == GRAPH
    True

    Raises:
      ValueError: the space has no feature blocks, or none of its preset.
    """
    if not space.features:
        raise ValueError(
            "a Gaussian process needs feature blocks: Space(encoding, task.features(table))"
        )
    if space.preset and space.preset not in PRESETS:
        raise ValueError(f"preset={space.preset!r}: choose one of {', '.join(PRESETS)}")
    whole = PRESETS[space.preset or _nearest(space)]
    present = [block for block in whole if block.feature in space.features]
    if not present:
        wanted = ", ".join(dict.fromkeys(block.feature for block in whole))
        features = ", ".join(space.features)
        raise ValueError(f"the space has none of the feature blocks {wanted}, only {features}")
    missing = sum(b.weight for b in whole if b not in present and b.kind in DISTANCE)
    return (present[0]._replace(weight=present[0].weight + missing), *present[1:])


def _nearest(space: Space) -> str:
    """The preset that shares most blocks with the space; of equal ones the first."""
    shared = {n: {b.feature for b in p} & set(space.features) for n, p in PRESETS.items()}
    return max(PRESETS, key=lambda name: len(shared[name]))
