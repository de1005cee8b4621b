"""Tasks: a table under a protocol, as arrays on device that a search runs against."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from weaknas_jax.core import keys
from weaknas_jax.core.conventions import with_conventions
from weaknas_jax.core.protocol import Protocol
from weaknas_jax.core.types import Number, Space
from weaknas_jax.predictors.registry import PREDICTORS
from weaknas_jax.search import label_transforms
from weaknas_jax.spaces import registry
from weaknas_jax.spaces.choice import SpaceError
from weaknas_jax.spaces.graph_arrays import CellGraphs
from weaknas_jax.storage.npz import TableError
from weaknas_jax.tables import targets
from weaknas_jax.tables.table import Table


@struct.dataclass
class Task:
    """The arrays of a search on a table.

    Attributes:
      space: what the method may see.
      scores: float32 [N, R], the possible scores of a query, by `Table.worth`; NaN = no such run.
      truth: float32 [N], the mean of them, against which predictions are judged.
      target: bool [N], the optimum (more than one in a tie).
      noise: float32 [], deviation of the noise on each label, in their unit.
      minimize: scores and truth are the negative of the table's.
    """

    space: Space
    scores: jax.Array
    truth: jax.Array
    target: jax.Array
    noise: jax.Array
    minimize: bool = struct.field(pytree_node=False, default=False)


@with_conventions
def make(
    table: Table,
    protocol: Protocol,
    kind: str = "space",
    without: str | None = None,
    neighbours: bool = False,
    described: bool = True,
    graphs: bool = False,
) -> Task:
    """The `Task` of a table under a protocol.

    >>> import weaknas_jax as wn
    >>> scores = np.array([[90.0], [92.0], [91.0]])
    >>> encoding = np.eye(3, dtype=np.float32)
    >>> table = wn.Table("table", "data", encoding, scores, test=scores)
    >>> make(table, wn.HONEST).target.tolist()
    [False, True, False]

    Args:
      table: the table.
      protocol: the switches.
      kind, without, neighbours, described, graphs: see `space`.

    Raises:
      TableError: the table cannot serve a switch; the message names the flag.
    """
    return Task(
        space=space(table, kind, without, neighbours, described, graphs),
        scores=targets.possible_scores(table, protocol.labels),
        truth=jnp.asarray(table.worth(table.valid_mean), jnp.float32),
        target=jnp.asarray(targets.target_mask(table, protocol.target)),
        noise=jnp.float32(protocol.label_noise),
        minimize=table.minimize,
    )


@with_conventions
def space(
    table: Table,
    kind: str = "space",
    without: str | None = None,
    neighbours: bool = False,
    described: bool = True,
    graphs: bool = False,
) -> Space:
    """The space of a table: its architectures as methods may see them.

    Args:
      table: the table.
      kind, without: see `features`.
      neighbours: whether to add neighbours and prefixes (`Space`), which some methods need.
      described: whether to add the feature blocks, which some predictors read.
      graphs: whether to add the graphs, which other predictors read.

    Raises:
      TableError: there is no such block, or the table has no graphs.
    """
    encoding = jnp.asarray(table.encoding, jnp.float32)
    blocks, preset = _features(table, kind, without) if described else ({}, "")
    walks = ()
    if neighbours:
        cells = table.space, table.names, table.encoding
        walks = (registry.neighbours(*cells), registry.prefixes(*cells))
    cells = jax.tree.map(jnp.asarray, _graphs(table)) if graphs else None
    return Space(encoding, blocks, *map(jnp.asarray, walks), preset=preset, graphs=cells)


def has_graphs(table: Table) -> bool:
    """Whether a table's architectures are known as graphs, its own or those of its space."""
    return table.graphs is not None or registry.has_graphs(
        table.space, table.names, table.structure
    )


def need_graphs(table: Table) -> None:
    """Raises TableError where a table has no graphs; says which predictors need none."""
    if not has_graphs(table):
        others = [name for name, record in PREDICTORS.items() if record.reads != "graph"]
        raise TableError(
            f"{table.space}/{table.dataset} has no graphs, which the predictor reads: give the "
            "table its structure (--structure) or graphs (Table.graphs), or use one that needs "
            f"none: --predictor={', '.join(others)}"
        )


def _graphs(table: Table) -> CellGraphs | None:
    """The architectures as graphs; TableError where there are none."""
    need_graphs(table)
    where = table.structure, table.columns
    try:
        return registry.graphs(table.space, table.names, table.encoding, *where, table.graphs)
    except SpaceError as error:
        raise TableError(f"{table.space}/{table.dataset}: structure: {error}") from None


@with_conventions
def features(table: Table, kind: str = "space", without: str | None = None) -> dict[str, jax.Array]:
    """The feature blocks of a table by name, float32 [N, d] each.

    Args:
      table: the table.
      kind: ``space``, the blocks of the table's structure, or else of its space (of its columns,
        where the space has no record in `spaces.registry`); ``columns``, blocks of the encoding
        alone (`spaces.columns`); or ``all``, both.
      without: a block to leave out (ablation).

    Raises:
      TableError: there is no such block, or the structure is not that of the columns.
    """
    return _features(table, kind, without)[0]


def _features(table: Table, kind: str, without: str | None) -> tuple[dict[str, jax.Array], str]:
    """The blocks, and the preset of kernels on them."""
    where = table.structure, table.columns
    try:
        blocks, preset = registry.features(table.space, table.names, table.encoding, kind, *where)
    except SpaceError as error:
        raise TableError(f"{table.space}/{table.dataset}: structure: {error}") from None
    if without is not None and without not in blocks:
        raise TableError(f"--without={without}: choose one of the blocks {', '.join(blocks)}")
    return {name: jnp.asarray(block) for name, block in blocks.items() if name != without}, preset


@with_conventions
def draw_labels(key: jax.Array, problem: Task) -> jax.Array:
    """Labels of all architectures in one run, float32 [N].

    A label is one of the architecture's scores, drawn uniformly among those that exist, and noise.
    """
    scores = problem.scores
    run = jnp.argmax(_chances(key, scores), axis=1)
    drawn = jnp.sum(jnp.where(jnp.arange(scores.shape[1]) == run[:, None], scores, 0.0), axis=1)
    key = jax.random.fold_in(keys.key_for(key, keys.LABELS), 1)
    return drawn + problem.noise * jax.random.normal(key, drawn.shape)


def draw_repeats(
    key: jax.Array, scores: jax.Array, noise: Number, rows: jax.Array, places: jax.Array
) -> jax.Array:
    """Labels of further trainings of some architectures in one run, float32 [K].

    An architecture's scores are in a random order, of which `draw_labels` took the first: the rest
    follow without replacement, then NaN. In a table of one column the same score comes again. Noise
    is drawn anew each time.

    Args:
      key: of the run.
      scores: float32 [N, R], those of a `Task`.
      noise: deviation, percent.
      rows: int32 [K]; the draw of a row does not depend on the others.
      places: int32 [K], number of the further training of each row, 0 = the first.
    """
    if scores.shape[1] == 1:
        again = scores[rows, 0]
    else:
        order = jnp.argsort(-_chances(key, scores)[rows], axis=1)
        column = jnp.minimum(places + 1, scores.shape[1] - 1)
        run = jnp.take_along_axis(order, column[:, None], axis=1)[:, 0]
        again = jnp.where(places + 1 < scores.shape[1], scores[rows, run], jnp.nan)

    def fresh(row: jax.Array, place: jax.Array) -> jax.Array:
        one = jax.random.fold_in(keys.key_for(key, keys.REPEAT, place), row)
        return jax.random.normal(one, dtype=jnp.float32)

    return again + noise * jax.vmap(fresh)(rows, places)


def _chances(key: jax.Array, scores: jax.Array) -> jax.Array:
    """Random priority of each score in a run, [N, R]; below 0 where there is no score."""
    chance = jax.random.uniform(keys.key_for(key, keys.LABELS), scores.shape, jnp.float32)
    return jnp.where(jnp.isfinite(scores), chance, -1.0)


def transform_for(table: Table, protocol: Protocol, name: str = "standardize"):
    """The label transform ``name`` of `label_transforms.TRANSFORMS`, scaled as the protocol says.

    ``normalize=table`` scales by the labels of the whole table, where the transform has a scale.
    """
    record = label_transforms.TRANSFORMS[name]
    if protocol.normalize == "observed" or record.by_table is None:
        return record.apply
    mean = table.worth(table.valid_mean)
    return record.by_table(float(np.nanmean(mean)), float(np.nanstd(mean)))
