"""A method driven from the host, one ask and one tell at a time, for jobs and studies.

It uses the pure functions that `runs.program` scans over tables, compiled once each. While queries
are running (*pending*), an ask takes them into account as a kriging believer (Ginsbourger et al.,
2010): it uses a temporary state that was told their expected scores.
"""

import dataclasses
import functools
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from weaknas_jax.core import history
from weaknas_jax.core.conventions import with_conventions
from weaknas_jax.core.keys import run_keys
from weaknas_jax.core.types import Method, Space, check_space
from weaknas_jax.search import methods
from weaknas_jax.spaces import candidates as pools
from weaknas_jax.spaces.choice import whole
from weaknas_jax.spaces.choices import Arch, Choices
from weaknas_jax.spaces.clock import SlowSpaceWarning


class Driver:
    """One search under way.

    Args:
      method: the search method.
      space: named choices, or a `Space` whose architectures are named by their rows.
      seed, run: the run's key is that of run ``run`` of an experiment with ``seed``.
      pool: rows of a space that is too large to list; or such rows, from `spaces.candidates.start`.
      refresh: queries told between two refreshes of such a pool.

    Raises:
      ValueError: the budget is larger than the space or the pool, or an argument is invalid; or
        `SpaceError`.
    """

    @with_conventions
    def __init__(
        self,
        method: Method,
        space: Choices | Space,
        *,
        seed: int = 0,
        run: int = 0,
        pool: int | pools.Pool = pools.SIZE,
        refresh: int = 10,
    ):
        if not isinstance(method, Method):
            kind = type(method).__name__
            raise ValueError(f"method: give one, e.g. methods.make('gp', budget=100), not a {kind}")
        self.method = method
        self.choices = space if isinstance(space, Choices) else None
        self._seed, self._refresh, self._since, self._width = seed, refresh, 0, 1
        self._scratch = None  # a spare state: new buffers cost more than the copying
        self.pool = None
        if self.choices is not None:
            self.pool = _pool(self.choices, seed, pool)
            space = self._space(self.pool.codes)
        check_space(space)
        self.size = space.size  # pyright: ignore[reportAttributeAccessIssue]
        self._check_budget()
        self._pure = method._replace(settings=())  # hashable: what a program is compiled for
        self.state = _init(self._pure, run_keys(seed, [run])[0], space)
        self._close(range(self.count, self.size))

    @property
    def count(self) -> int:
        """Number of architectures found so far that can be asked for."""
        return self.size if self.pool is None else self.pool.held

    @with_conventions
    def prepare(self, pending: int = 0) -> None:
        """Compiles now what asks and tells need, so that no worker waits for it.

        Args:
          pending: the most queries that may be running at an ask that takes them into account.
        """
        width = max(self.method.sizes)
        self._told(self._copy(), _pad([], width), np.full(width, np.nan, np.float32))
        state = self.state
        if pending:
            self._padded([-1] * pending)
            for _ in range(2):  # the second copies into the first
                state = self._believing([])
        _mark(self._pure, *_ask(self._pure, state))

    @with_conventions
    def ask(self, pending: Sequence[int] = ()) -> list[int]:
        """The rows to evaluate next; an empty list = the method has finished.

        Args:
          pending: rows asked for and not told yet, to be taken into account.
        """
        self._renew_if_due()
        known, asked = _ask(self._pure, self._believing(pending) if len(pending) else self.state)
        if len(pending):
            known = _mark(self._pure, self.state.history, asked)
        self._note(known)
        rows = [int(row) for row in np.asarray(asked) if row >= 0]
        if not rows and int(known.asked) < self.method.budget and not self._whole:
            self._warn("the search ends with them")
        return rows

    @with_conventions
    def mark(self, archs: Sequence[Arch | int]) -> list[int]:
        """Records that an ask gave these architectures, on replay; returns their rows."""
        self._renew_if_due()
        rows = [self.row(arch) for arch in archs]
        width = max(self.method.sizes)
        self._note(_mark(self._pure, self.state.history, _pad(rows, width)))
        return rows

    @with_conventions
    def tell(self, rows: Sequence[int], scores: Sequence[float]) -> None:
        """Gives the scores of rows, in this order; NaN = failed."""
        width = max(self.method.sizes)
        for at in range(0, len(rows), width):  # no more at once than a round: one program
            part = np.full(width, np.nan, np.float32)
            some = rows[at : at + width]
            part[: len(some)] = scores[at : at + width]
            self.state = self._told(self.state, _pad(some, width), part)
        self._since += len(rows)

    @with_conventions
    def see(self, rows: Sequence[int]) -> None:
        """Marks rows as evaluated elsewhere: they are never asked for."""
        self._note(_see(self.state.history, self._padded(rows)))

    @with_conventions
    def expected_scores(self, rows: Sequence[int]) -> np.ndarray:
        """The scores that the method expects of rows, float32 [len(rows)]."""
        return np.asarray(_believe(self._pure, self.state, self._padded(rows)))[: len(rows)]

    def arch(self, row: int) -> Arch | int:
        """The architecture of a row; the row itself where the space has no choices."""
        return row if self.choices is None else self.choices.arch(self.pool.codes[row])

    @with_conventions
    def row(self, arch: Mapping[str, Any] | int) -> int:
        """The row of an architecture, which is added to the pool if it is missing.

        Raises:
          ValueError: there is no such architecture.
        """
        if self.choices is None:
            if not (isinstance(arch, int) and 0 <= arch < self.size):
                raise ValueError(f"architecture {arch!r}: give a row below {self.size}")
            return arch
        codes = self.choices.codes(arch)
        row = pools.find(self.pool, codes)
        if row is None:
            row = self._make_room(codes)
        return row

    @property
    def _whole(self) -> bool:
        return self.choices is None or self.pool.whole

    def _believing(self, pending: Sequence[int]) -> Any:
        """A state that was told the expected scores of ``pending``."""
        indices = self._padded(pending)
        believed, scratch = _believe(self._pure, self.state, indices), self._scratch
        self._scratch = None
        bare = self.state.replace(space=None)
        scratch = self._copy() if scratch is None else _copy_into(scratch, bare)
        state = self._told(scratch, indices, believed)
        self._scratch = state.replace(space=None)
        return state

    def _copy(self) -> Any:
        """A copy of the state without the space, for `_told`, which overwrites its argument."""
        return jax.tree.map(lambda a: a.copy(), self.state.replace(space=None))

    def _told(self, state: Any, indices: jax.Array, scores: jax.Array) -> Any:
        """``state`` after a tell, in the same buffers; the space is not copied."""
        space, bare = self.state.space, state.replace(space=None)
        return _tell(self._pure, bare, space, indices, scores).replace(space=space)

    def _note(self, known: history.History) -> None:
        """Sets the history, all that an ask changes: returning the whole state would copy it."""
        self.state = self.state.replace(history=known)

    def _padded(self, rows: Sequence[int]) -> jax.Array:
        """Padded to a power of two that never decreases, so that few programs are compiled."""
        self._width = max(self._width, 1 << max(0, len(rows) - 1).bit_length())
        return _pad(rows, self._width)

    def _renew_if_due(self) -> None:
        known = self.state.history
        if self._whole or known.asked >= self.method.budget:
            return
        spent = self.pool.held < self.size and bool(np.asarray(known.seen).all())
        if self._since < self._refresh and not spent:
            return
        self._since = 0
        scores = np.asarray(known.scores)
        order = np.argsort(-scores, kind="stable")[: int(np.isfinite(scores).sum())]
        best = np.asarray(known.queried)[order]
        worth = getattr(self.state, "prediction", None)
        worth = np.zeros(self.size) if worth is None else np.asarray(worth.mean)
        asked = np.asarray(known.seen)
        looks = pools.LOOKS["last" if spent else "refresh"]
        pool = pools.refresh(self.choices, self.pool, self._seed, asked, best, worth, looks)
        opened = range(self.pool.held, pool.held)
        self._move(pool)
        self._close(opened, False)

    def _make_room(self, codes: np.ndarray) -> int:
        if self.pool.whole or not self.choices.allowed(codes[None])[0]:
            arch = self.choices.arch(codes)
            what = "is not one of the space's list, or does" if self.choices.listed else "does"
            raise ValueError(f"architecture {arch}: {what} not meet the constraint of the space")
        rows, row = self.pool.codes.copy(), self.pool.held
        if row < self.size:  # an empty one
            rows[row] = codes
            self._move(self.pool._replace(codes=rows, filled=row + 1))
            self._close([row], False)
            return row
        free = np.flatnonzero(~np.asarray(self.state.history.seen))
        if not len(free):
            raise ValueError("the pool is full; give the search a larger one")
        row = int(free[-1])
        rows[row] = codes
        self._move(self.pool._replace(codes=rows))
        return row

    def _close(self, rows: Sequence[int], closed: bool = True) -> None:
        """Excludes empty rows of a pool from asks, or allows them again."""
        if len(rows):
            known = self.state.history
            seen = known.seen.at[np.asarray(rows)].set(closed)
            self._note(known.replace(seen=seen))

    def _check_budget(self) -> None:
        budget = self.method.budget
        if budget > self.size and self._whole:
            raise ValueError(
                f"budget={budget} is more than the {self.size:,} architectures of the space; lower "
                "the budget"
            )
        if budget > self.size:
            raise ValueError(
                f"budget={budget} is more than the {self.size:,} rows that are ranked at a time; "
                "give a larger pool, or lower the budget"
            )
        if budget > self.count and not self._whole:
            self._warn("the search looks for more while it lasts")

    def _warn(self, then: str) -> None:
        """Warns of the number of architectures found, which may be fewer than exist."""
        looked = f", {self.pool.looked:,} looked at" if self.pool.looked else ""
        warnings.warn(
            f"budget={self.method.budget}: only {self.count:,} architectures were found that meet "
            f"the constraint of the space{looked}; {then}",
            SlowSpaceWarning,
            stacklevel=3,
        )

    def _move(self, pool: pools.Pool) -> None:
        self.pool = pool
        self.state = _move(self._pure, self.state, self._space(pool.codes))

    def _space(self, codes: np.ndarray) -> Space:
        """The space of codes, with their graphs where the method reads them."""
        space = self.choices.space(codes)
        names = [self.method.settings.get(part) for part in ("method", "predictor")]
        if names[0] not in methods.METHODS or "graph" not in methods.reads(*names):
            return space
        graphs = jax.tree.map(jnp.asarray, self.choices.graphs(codes))
        return dataclasses.replace(space, graphs=graphs)


def _pool(choices: Choices, seed: int, pool: int | pools.Pool) -> pools.Pool:
    if isinstance(pool, pools.Pool):
        return pool
    if whole(pool) is None or pool < 1:
        raise ValueError(f"pool={pool!r}: give a whole number of rows, at least 1")
    return pools.start(choices, seed, int(pool))


def _pad(rows: Sequence[int], width: int) -> jax.Array:
    return jnp.asarray([*rows, *[-1] * (width - len(rows))], jnp.int32)


@functools.partial(jax.jit, static_argnums=0)
def _init(method: Method, key: jax.Array, space: Space) -> Any:
    return method.init(key, space)


@functools.partial(jax.jit, static_argnums=0)
def _ask(method: Method, state: Any) -> tuple[history.History, jax.Array]:
    state, indices = method.ask(state)
    return state.history, indices


@functools.partial(jax.jit, static_argnums=0)
def _believe(method: Method, state: Any, indices: jax.Array) -> jax.Array:
    return method.expected_scores(state, indices)


@functools.partial(jax.jit, static_argnums=0, donate_argnums=1)
def _tell(method: Method, bare: Any, space: Space, indices: jax.Array, scores: jax.Array) -> Any:
    return method.tell(bare.replace(space=space), indices, scores)[0].replace(space=None)


@functools.partial(jax.jit, donate_argnums=0, keep_unused=True)
def _copy_into(scratch: Any, state: Any) -> Any:
    return jax.tree.map(jnp.copy, state)


@functools.partial(jax.jit, static_argnums=0)
def _mark(method: Method, known: history.History, indices: jax.Array) -> history.History:
    return history.ask(known, indices, method.sizes)[0]


@jax.jit
def _see(known: history.History, indices: jax.Array) -> history.History:
    slots = jnp.where(indices >= 0, indices, len(known.seen))
    return known.replace(seen=known.seen.at[slots].set(True, mode="drop"))


@functools.partial(jax.jit, static_argnums=0)
def _move(method: Method, state: Any, space: Space) -> Any:
    return method.rebase(state, space)
