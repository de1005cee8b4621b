"""The types of the framework: `Space`, `Prediction`, `Predictor`, `Scorer` and `Method`.

Shape legend, the same letters in every docstring:

|   |                                       |   |                                    |
|---|---------------------------------------|---|------------------------------------|
| S | seeds (independent runs)              | B | queries in one round (padded)      |
| N | architectures in the space            | T | rounds after the initial one       |
| D | encoding features                     | R | training runs behind a label       |
| Q | query budget (padded)                 | K | top-K                              |
| H | settings (points)                     | E | members of an ensemble, draws      |

A search method is three pure functions (`Method`), a predictor two (`Predictor`). The loop calls a
`Scorer`, which is updated with labels and scores the whole space.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from weaknas_jax.core.conventions import with_conventions

Number = jax.Array | float
"""A numeric setting that may be traced, so that it can differ between lanes of one program."""


def numbers(builder: Callable[..., Any]) -> dict[str, float]:
    """The numeric settings of a builder with their defaults: its keywords of type `Number`.

    >>> def builder(width: int, *, noise: Number = 0.5): ...
    >>> numbers(builder)
    {'noise': 0.5}
    """
    keywords = inspect.signature(builder).parameters.values()
    return {k.name: k.default for k in keywords if k.annotation == Number}


@struct.dataclass
class Space:
    """The architectures that a method searches, described without training any of them.

    >>> Space(jnp.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])).size
    3

    Attributes:
      encoding: float32 [N, D], one row an architecture.
      features: feature blocks by name, float32 [N, d] each; `spaces.registry` lists them.
      neighbours: int32 [N, d], the rows one edit away from each row, -1 = none; None = not built
        (see `task.space`).
      prefixes: int32 [L, N], for L choices made one after another: rows that agree in the first
        l + 1 choices have the same number in row l; in the last row all differ. None where
        ``neighbours`` is.
      preset: the kernel of a Gaussian process on the features, a name in
        `predictors.presets.PRESETS`; empty = the preset with the most of them.
      graphs: a `spaces.graph_arrays.CellGraphs`, the architectures as graphs; None = not built.
    """

    encoding: jax.Array
    features: Mapping[str, jax.Array] = struct.field(default_factory=dict)
    neighbours: jax.Array | None = None
    prefixes: jax.Array | None = None
    preset: str = struct.field(pytree_node=False, default="")
    graphs: Any = None

    def need_neighbours(self, method: str) -> None:
        """Raises ValueError where the space has no neighbours, which ``method`` needs."""
        if self.neighbours is None:
            raise ValueError(
                f"method={method} needs the neighbours of architectures, and this space has none: "
                "make it by task.space(table, neighbours=True)"
            )

    @property
    def size(self) -> int:
        """N."""
        return self.encoding.shape[0]


def check_space(space: Any) -> None:
    """Raises ValueError, one sentence, unless ``space`` is a `Space` of finite numbers.

    On the host only: inside a compiled program the arrays of a space have no values to check.
    """
    if not isinstance(space, Space):
        raise ValueError(
            "space: give Choices, or a Space of an encoding [N, D], one row an architecture; this "
            f"is a {type(space).__name__}"
        )
    if not isinstance(space.features, Mapping):
        kind = type(space.features).__name__
        raise ValueError(f"space: features must be arrays by name, not a {kind}")
    size = _check_rows("encoding", space.encoding, None)
    for name, block in space.features.items():
        _check_rows(f"features[{name!r}]", block, size)
    for name, array, axis in (("neighbours", space.neighbours, 0), ("prefixes", space.prefixes, 1)):
        if array is None:
            continue
        shape, dtype = np.shape(array), getattr(array, "dtype", np.dtype(object))
        if len(shape) != 2 or shape[axis] != size or dtype.kind not in "iu":
            wanted = ("[N, d]", "[L, N]")[axis]
            raise ValueError(
                f"space: {name} must be whole numbers {wanted} with N={size:,}, not {dtype} "
                f"{list(shape)}"
            )
        if size and np.asarray(array).max(initial=-1) >= size:
            raise ValueError(f"space: {name} has a row number that is not below N={size:,}")


def _check_rows(name: str, array: Any, size: int | None) -> int:
    """Returns N; raises ValueError unless ``array`` is a finite [N, D]."""
    shape, dtype = getattr(array, "shape", None), getattr(array, "dtype", None)
    if shape is None or dtype is None:
        raise ValueError(f"space: {name} must be an array [N, D], not a {type(array).__name__}")
    shape = tuple(shape)
    if len(shape) != 2 or 0 in shape or size not in (None, shape[0]):
        wanted = "[N, D] with N and D at least 1" if size is None else f"[{size:,}, d]"
        raise ValueError(f"space: {name} must be an array {wanted}, not {list(shape)}")
    if not (jnp.issubdtype(dtype, jnp.floating) or dtype.kind in "biu"):
        raise ValueError(f"space: {name} must be real numbers, not {dtype}")
    with np.errstate(over="ignore"):
        finite = np.isfinite(np.asarray(array).astype(np.float32))
    if not finite.all():
        row = int(np.flatnonzero(~finite.all(axis=1))[0])
        raise ValueError(f"space: {name} has a value in row {row} that is not a finite number")
    return shape[0]


class Prediction(NamedTuple):
    """Predicted scores of n architectures, larger is better, on the scale of the fitted labels."""

    mean: jax.Array  # float32 [n]
    std: jax.Array | None = None  # float32 [n], the deviation, or None: the predictor gives none
    draws: jax.Array | None = None  # float32 [E, n], of the whole function, e.g. an ensemble's


class _Predictor(NamedTuple):
    fit: Callable[..., Any]
    predict: Callable[..., Prediction]


class Predictor(_Predictor):
    """A regressor that is fitted from scratch on the evaluated architectures.

    ``fit(key, x [Q, D], y [Q], mask bool [Q]) -> params``; rows where ``mask`` is False are
    padding and never influence the result, whatever they hold.
    ``predict(params, x [n, D]) -> Prediction [n]``.
    """

    __slots__ = ()

    def __new__(cls, fit: Callable[..., Any], predict: Callable[..., Prediction]) -> "Predictor":
        return super().__new__(cls, with_conventions(fit), with_conventions(predict))


class _Scorer(NamedTuple):
    init: Callable[..., Any]
    update: Callable[..., tuple[Any, Prediction]]
    select: Callable[..., jax.Array] | None = None


class Scorer(_Scorer):
    """A predictor as the search loop uses it: learns from new labels, scores all N architectures.

    ``init(space, budget) -> state``;
    ``update(key, state, space, queried int32 [Q], y [Q], mask [Q], indices int32 [B])
    -> (state, Prediction [N])``, where ``queried, y, mask`` are all evaluated architectures with
    their labels, and ``indices`` (-1 = none) the new ones.
    The state holds only what the next update needs, since every lane and checkpoint stores it. For
    the same reason the space is an argument.
    Optional, for a scorer that chooses the queries of a round jointly:
    ``select(state, space, score, prediction, seen [N], batch, count) -> int32 [batch]``, the
    ``count`` best to ask for together, -1 = none; ``score(Prediction) -> [N]`` is to be maximised.
    """

    __slots__ = ()

    def __new__(
        cls,
        init: Callable[..., Any],
        update: Callable[..., tuple[Any, Prediction]],
        select: Callable[..., jax.Array] | None = None,
    ) -> "Scorer":
        select = select and with_conventions(select)
        return super().__new__(cls, with_conventions(init), with_conventions(update), select)


class Info(NamedTuple):
    """Report of a method after each ``tell``."""

    prediction: Prediction | None = None  # of all N, or None: the method has no predictor
    top: Number | None = None  # N of the next draw, where there is one


class MethodState(Protocol):
    """The fields of a method's state that lanes, drivers and replays use; any Flax struct has them.

    Attributes:
      key: of the run.
      space: the architectures; None in a stored state, and put back before the next `ask`.
      history: a `core.history.History`, queries and scores.
    """

    key: jax.Array
    space: Space | None
    history: Any

    def replace(self, **changes: Any) -> "MethodState":
        """A copy with some fields changed."""
        ...


class _Method(NamedTuple):
    init: Callable[..., Any]
    ask: Callable[..., Any]
    tell: Callable[..., Any]
    expected_scores: Callable[..., jax.Array]
    rebase: Callable[..., Any]
    sizes: tuple[int, ...]
    settings: Mapping[str, Any] = MappingProxyType({})


class Method(_Method):
    """A search method: three pure functions, and two more for training jobs.

    ``init(key, space) -> state``, a `MethodState`;
    ``ask(state) -> (state, indices int32 [B])``, -1 = none (all -1: the method has finished);
    ``tell(state, indices [B], scores float32 [B]) -> (state, Info)``, NaN = a failed evaluation.
    The same object is scanned over a table and drives real training jobs (`jobs.driver`), which use
    two more functions:
    ``expected_scores(state, indices [B]) -> float32 [B]``: predicted scores, NaN = none;
    ``rebase(state, space) -> state``: the state in another space of N rows, where all queries have
    kept their rows.
    ``sizes``: queries of each round, the initial one first; T+1 numbers, B the largest.
    ``settings``: the settings of `methods.make`.

    Its functions run under `conventions`, whatever JAX is set to. Called by hand under
    ``jax_debug_nans``, ``init`` raises a ValueError, since NaN marks failed and missing scores.
    """

    __slots__ = ()

    def __new__(
        cls,
        init: Callable[..., Any],
        ask: Callable[..., Any],
        tell: Callable[..., Any],
        expected_scores: Callable[..., jax.Array],
        rebase: Callable[..., Any],
        sizes: tuple[int, ...],
        settings: Mapping[str, Any] = MappingProxyType({}),
    ) -> "Method":
        functions = map(with_conventions, (ask, tell, expected_scores, rebase))
        ask, tell, expected_scores, rebase = functions
        init = _needs_nans(with_conventions(init))
        return super().__new__(cls, init, ask, tell, expected_scores, rebase, sizes, settings)

    @property
    def budget(self) -> int:
        """Q, the most queries of a run."""
        return sum(self.sizes)


def _needs_nans(init: Callable[..., Any]) -> Callable[..., Any]:
    """``init`` with a clear error where JAX is set to stop at the first NaN."""
    if hasattr(init, "needs_nans"):
        return init

    @functools.wraps(init)
    def checked(key: jax.Array, space: Space) -> Any:
        if jax.config.jax_debug_nans:  # pyright: ignore[reportAttributeAccessIssue]
            raise ValueError(
                "jax_debug_nans is on, and NaN stands for scores that failed or are not there "
                "yet: drive the method under jax.debug_nans(False), or call weaknas_jax.run or "
                "jobs.search, which do"
            )
        return init(key, space)

    checked.needs_nans = True  # pyright: ignore[reportAttributeAccessIssue]
    return checked
