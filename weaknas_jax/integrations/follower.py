"""A method for searches run by other tools: evaluations and suggestions in any order.

A suggestion depends only on the seed, the evaluations in their order, and the pending
architectures. The driver only receives scores; suggestions come from a copy of it. So a new
follower with the same evaluations continues in the same way, whatever was suggested before.
"""

import copy
import functools
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from weaknas_jax.core.types import Method, Space
from weaknas_jax.jobs.driver import Driver
from weaknas_jax.search import methods
from weaknas_jax.spaces import candidates as pools
from weaknas_jax.spaces.choices import Arch, Choices, SpaceError

BUDGET = 100
"""Scores that the first driver holds; a full driver is replaced by one of twice the size."""

_ABREAST = 4  # pending rows are padded to a multiple: fewer programs
_ROWS, _COLUMNS = (256, 4096), 32  # padded sizes of spaces that may change: fewer programs


class FollowerSettings(NamedTuple):
    """Settings of a search.

    Attributes:
      exact: the first score of an architecture counts, and a failed one is not suggested again.
        Otherwise every evaluation counts, a failure as the worst score so far, since architectures
        near it are likely to fail too.
      again: architectures with a score may be suggested again.
      best: the best of several scores of an architecture counts, not their mean, since they differ
        by something outside of the space.
    """

    exact: bool = True
    again: bool = False
    best: bool = False


class Follower:
    """The state of one search that another tool runs.

    Args:
      predictor, settings: see `methods.make`.
      choices: the space.
      seed: for all random numbers.
      init: scores before the predictor is used; until then suggestions are random.
      pool: rows sampled from a space that is too large to list.
      mode: settings of the search.
    """

    def __init__(
        self,
        predictor: str,
        settings: Mapping[str, Any],
        choices: Choices,
        *,
        seed: int,
        init: int,
        pool: int,
        mode: FollowerSettings = FollowerSettings(),  # noqa: B008
    ):
        self.choices = choices if mode.exact else _Filled.of(choices)
        self.mode = mode
        self._build = functools.partial(method_of, predictor, settings)
        self._seed, self._init, self._pool = seed, init, pool
        self._evaluations: list[tuple[Arch, float]] = []
        self._scored: set[bytes] = set()  # architectures, by their codes
        self._failed: set[bytes] = set()
        self._scores, self._worst = 0, np.nan  # number of scores, and the lowest
        self._driver: Driver | None = None
        self._started: tuple[int, pools.Pool] | None = None
        self._passed = self._passed_scores = (
            0  # evaluations passed to the driver, and scores among them
        )
        self._renewed = 0  # evaluations passed when its pool was last renewed
        self._by_row: dict[int, list[float]] = {}  # the scores passed to it, by row

    @property
    def whole(self) -> bool:
        """Whether the whole space is ranked, not a sample of it."""
        return self._driver is not None and self._driver.pool.whole

    def learn(self, arch: Arch, score: float) -> None:
        """Records an evaluation; larger is better, NaN or infinite = failed.

        Architectures outside the space are ignored.
        """
        name = self._name(arch)
        with np.errstate(over="ignore"):
            score = float(np.float32(score))
        if name is None:
            return
        if np.isfinite(score):
            self._worst = np.fmin(self._worst, score)
        if self.mode.exact:
            if name in (self._scored if np.isfinite(score) else self._scored | self._failed):
                return
        elif not np.isfinite(score):
            score = float(self._worst)
        (self._scored if np.isfinite(score) else self._failed).add(name)
        self._evaluations.append((arch, score))
        self._scores += bool(np.isfinite(score))

    def suggest(
        self, pending: Iterable[Arch] = (), fixed: Mapping[str, Any] | None = None
    ) -> Arch | None:
        """The architecture to evaluate next; None = none is left.

        Args:
          pending: architectures being evaluated; they are not suggested.
          fixed: required values of choices, by name; unknown names and values are ignored.
        """
        out = {self._name(arch): arch for arch in pending}
        settled = {None} | (self._scored if self.mode.exact else set())
        out = [arch for name, arch in out.items() if name not in settled]
        self._make_room(self._scores + len(out) + 1)
        try:
            self._tell()
        except BaseException:  # Ctrl-C, say, between two steps
            self._driver = None
            raise
        driver, rows = copy.copy(self._driver), []
        if self.mode.again:
            driver._renew_if_due()  # before rows with scores are marked unseen
            self._close(driver, np.arange(driver.size) >= driver.count, anew=True)
        for arch in out:  # one by one: a row stays in the pool once it is seen
            rows.append(driver.row(arch))
            driver.see(rows[-1:])
        if fixed:
            self._close(driver, self._differs(driver.pool.codes, fixed))
        rows += [-1] * (-len(rows) % _ABREAST)
        asked = driver.ask(rows if self._passed_scores else ())
        return driver.arch(asked[0]) if asked else None

    def _name(self, arch: Arch) -> bytes | None:
        try:
            codes = self.choices.codes(arch)
        except SpaceError:
            return None
        return codes.tobytes() if self.choices.allowed(codes[None])[0] else None

    def _close(self, driver: Driver, rows: np.ndarray, anew: bool = False) -> None:
        """Excludes ``rows``, bool [N], from suggestions; ``anew``: and allows all others."""
        history = driver.state.history
        seen = jnp.asarray(rows) if anew else history.seen | jnp.asarray(rows)
        driver.state = driver.state.replace(history=history.replace(seen=seen))

    def _differs(self, codes: np.ndarray, fixed: Mapping[str, Any]) -> np.ndarray:
        """Which rows of codes [N, choices] differ from the ``fixed`` values, bool [N]."""
        differs = np.zeros(len(codes), bool)
        for column, (name, choice) in zip(codes.T, self.choices.choices.items(), strict=True):
            if name in fixed and fixed[name] in choice.options:
                differs |= column != choice.options.index(fixed[name])
        return differs

    def _make_room(self, scores: int) -> None:
        if self._driver is not None and scores <= self._driver.method.budget:
            return
        budget = BUDGET
        while budget < scores:
            budget *= 2
        size = max(self._pool, 4 * budget)
        pool = self._start(size)
        if not self.mode.exact and pool.whole:
            filled = len(pool.codes)
            rows = next((rows for rows in _ROWS if rows >= max(filled, budget)), size)
            codes = np.resize(pool.codes, (rows, pool.codes.shape[1]))
            pool = pool._replace(codes=codes, filled=filled)
        budget = min(budget, len(pool.codes))
        if self._driver is None or self._driver.method.budget < budget:
            method = self._build(budget)
            self._driver = Driver(method, self.choices, seed=self._seed, pool=pool)
            self._passed = self._passed_scores = self._renewed = 0
            self._by_row = {}

    def _start(self, size: int) -> pools.Pool:
        """The initial pool, cached since it is slow to find under a tight constraint."""
        if self._started is None or self._started[0] != size:
            self._started = size, pools.start(self.choices, self._seed, size)
        return self._started[1]

    def _tell(self) -> None:
        """Passes new evaluations to the driver."""
        for arch, score in self._evaluations[self._passed :]:
            self._renew_pool()
            if np.isfinite(score) and self._passed_scores >= self._init - 1:
                rows = self._driver.mark([arch])  # the last score of the initial round ends it
            else:
                rows = [self._driver.row(arch)]
                self._driver.see(rows)
            if np.isfinite(score):
                self._driver.tell(rows, [self._row_score(rows[0], score)])
                self._passed_scores += 1
            self._passed += 1
        self._renew_pool()

    def _renew_pool(self) -> None:
        """Renews the pool of a tight space, if that is due, once per evaluation.

        Done here, since a copy of the driver would repeat the slow search for each suggestion.
        """
        if self._driver.pool.looked and self._renewed != self._passed:
            self._renewed = self._passed
            self._driver._renew_if_due()

    def _row_score(self, row: int, score: float) -> float:
        """The best or mean score of a row, ``score`` being the latest; replaces its earlier scores.

        The mean, repeated once per score, is equivalent to the scores themselves.
        """
        scores = self._by_row.setdefault(row, [])
        scores.append(score)
        if len(scores) == 1:
            return score
        row_score = float(np.max(scores) if self.mode.best else np.mean(scores))
        history = self._driver.state.history
        scores_by_query = jnp.where(
            history.mask & (history.queried == row), jnp.float32(row_score), history.scores
        )
        self._driver.state = self._driver.state.replace(
            history=history.replace(scores=scores_by_query)
        )
        return row_score


class _Filled(Choices):
    """The same space, padded to a number of columns that other spaces share."""

    @classmethod
    def of(cls, choices: Choices) -> "_Filled":
        return cls(choices.choices, constraint=choices.constraint)

    def space(self, codes: np.ndarray) -> Space:
        return jax.tree.map(_filled, super().space(codes))


def _filled(block: jax.Array) -> jax.Array:
    """``block`` [N, d] with columns of zeros up to the next multiple of `_COLUMNS`."""
    return jnp.pad(block, ((0, 0), (0, -block.shape[1] % _COLUMNS)))


def method_of(predictor: str, settings: Mapping[str, Any], budget: int) -> Method:
    """The method, one query a round; raises ValueError as `methods.make` does."""
    return methods.make(predictor, init=1, per_round=1, budget=budget, **settings)
