"""A method for searches run by other tools: it accepts any evaluation, and asks at any time.

What it suggests depends on the seed, on what it learnt and in which order, and on what is pending,
on nothing else. For the driver is only ever told, and a copy of it is asked: a new follower that
learns the same goes on in the same way, whatever had been suggested before, or by whom.
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

_ABREAST = 4  # pending ones come in multiples: fewer programs
_ROWS, _COLUMNS = (256, 4096), 32  # spaces that may change are filled up to such: fewer programs


class Manner(NamedTuple):
    """Settings of a search.

    Attributes:
      exact: an architecture counts once, by its first score, and a failure bars it. Otherwise
        every evaluation counts, and a failure as the worst score so far: what is near fails too.
      again: what has a score may be suggested once more.
      best: of several scores of an architecture the best counts, in place of their mean: it is
        something else that makes the difference.
    """

    exact: bool = True
    again: bool = False
    best: bool = False


class Follower:
    """One followed search.

    Args:
      predictor, settings: as of `methods.make`.
      choices: the space.
      seed: of all random numbers.
      init: scores before the predictor is asked; until then the rows are random ones.
      pool: rows of a space that is too large to list.
      manner: of the search.
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
        manner: Manner = Manner(),  # noqa: B008
    ):
        self.choices = choices if manner.exact else _Filled.of(choices)
        self.manner = manner
        self._build = functools.partial(method_of, predictor, settings)
        self._seed, self._init, self._pool = seed, init, pool
        self._lessons: list[tuple[Arch, float]] = []
        self._scored: set[bytes] = set()  # architectures, by their codes
        self._failed: set[bytes] = set()
        self._scores, self._worst = 0, np.nan  # how many lessons have one, and the least
        self._driver: Driver | None = None
        self._started: tuple[int, pools.Pool] | None = None
        self._heeded = self._told = 0  # lessons that the driver knows, and scores among them
        self._renewed = 0  # lessons that it knew when its pool was renewed last
        self._by_row: dict[int, list[float]] = {}  # the scores that it was told of each row

    @property
    def whole(self) -> bool:
        """Whether the whole space is ranked, not a sample of it."""
        return self._driver is not None and self._driver.pool.whole

    def learn(self, arch: Arch, score: float) -> None:
        """Records an evaluation; larger is better, NaN or infinite = failed.

        One outside of the space is passed over.
        """
        name = self._name(arch)
        with np.errstate(over="ignore"):
            score = float(np.float32(score))
        if name is None:
            return
        if np.isfinite(score):
            self._worst = np.fmin(self._worst, score)
        if self.manner.exact:
            if name in (self._scored if np.isfinite(score) else self._scored | self._failed):
                return
        elif not np.isfinite(score):
            score = float(self._worst)
        (self._scored if np.isfinite(score) else self._failed).add(name)
        self._lessons.append((arch, score))
        self._scores += bool(np.isfinite(score))

    def suggest(
        self, pending: Iterable[Arch] = (), fixed: Mapping[str, Any] | None = None
    ) -> Arch | None:
        """The architecture to evaluate next; None = nothing is left.

        Args:
          pending: architectures under way, which are taken into account and not suggested.
          fixed: values that are not open; those that there are none of are passed over.
        """
        out = {self._name(arch): arch for arch in pending}
        settled = {None} | (self._scored if self.manner.exact else set())
        out = [arch for name, arch in out.items() if name not in settled]
        self._make_room(self._scores + len(out) + 1)
        try:
            self._tell()
        except BaseException:  # Ctrl-C, say, between two steps
            self._driver = None
            raise
        driver, rows = copy.copy(self._driver), []
        if self.manner.again:
            driver._renew_if_due()  # before rows that are to stay look as if they were not known
            self._close(driver, np.arange(driver.size) >= driver.count, anew=True)
        for arch in out:  # one by one: in a pool a row is safe once it is seen
            rows.append(driver.row(arch))
            driver.see(rows[-1:])
        if fixed:
            self._close(driver, self._differs(driver.pool.codes, fixed))
        rows += [-1] * (-len(rows) % _ABREAST)
        asked = driver.ask(rows if self._told else ())
        return driver.arch(asked[0]) if asked else None

    def _name(self, arch: Arch) -> bytes | None:
        try:
            codes = self.choices.codes(arch)
        except SpaceError:
            return None
        return codes.tobytes() if self.choices.allowed(codes[None])[0] else None

    def _close(self, driver: Driver, rows: np.ndarray, anew: bool = False) -> None:
        """Has the driver ask for none of ``rows``, bool [N], and with ``anew`` for all others."""
        known = driver.state.history
        seen = jnp.asarray(rows) if anew else known.seen | jnp.asarray(rows)
        driver.state = driver.state.replace(history=known.replace(seen=seen))

    def _differs(self, codes: np.ndarray, fixed: Mapping[str, Any]) -> np.ndarray:
        """Which of codes [N, choices] have other values than the ``fixed`` ones, bool [N]."""
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
        if not self.manner.exact and pool.whole:
            filled = len(pool.codes)
            rows = next((rows for rows in _ROWS if rows >= max(filled, budget)), size)
            codes = np.resize(pool.codes, (rows, pool.codes.shape[1]))
            pool = pool._replace(codes=codes, filled=filled)
        budget = min(budget, len(pool.codes))
        if self._driver is None or self._driver.method.budget < budget:
            method = self._build(budget)
            self._driver = Driver(method, self.choices, seed=self._seed, pool=pool)
            self._heeded = self._told = self._renewed = 0
            self._by_row = {}

    def _start(self, size: int) -> pools.Pool:
        """The initial pool, which is slow to find for a tight constraint."""
        if self._started is None or self._started[0] != size:
            self._started = size, pools.start(self.choices, self._seed, size)
        return self._started[1]

    def _tell(self) -> None:
        """Tells the driver the evaluations that it does not have yet."""
        for arch, score in self._lessons[self._heeded :]:
            self._look_for_more()
            if np.isfinite(score) and self._told >= self._init - 1:
                rows = self._driver.mark([arch])  # the initial round is over with the last of it
            else:
                rows = [self._driver.row(arch)]
                self._driver.see(rows)
            if np.isfinite(score):
                self._driver.tell(rows, [self._worth(rows[0], score)])
                self._told += 1
            self._heeded += 1
        self._look_for_more()

    def _look_for_more(self) -> None:
        """Renews the pool of a tight space, if that is due, once for each lesson.

        A copy of the driver would do it as well, when it is asked, and again for each suggestion:
        for nothing, as copies are thrown away. To look takes a while where a constraint is tight.
        """
        if self._driver.pool.looked and self._renewed != self._heeded:
            self._renewed = self._heeded
            self._driver._renew_if_due()

    def _worth(self, row: int, score: float) -> float:
        """What the scores of a row, ``score`` being the latest, are worth: all are told that.

        To be told the mean as often as there are scores is as good as to be told each of them.
        """
        scores = self._by_row.setdefault(row, [])
        scores.append(score)
        if len(scores) == 1:
            return score
        worth = float(np.max(scores) if self.manner.best else np.mean(scores))
        known = self._driver.state.history
        told = jnp.where(known.mask & (known.queried == row), jnp.float32(worth), known.scores)
        self._driver.state = self._driver.state.replace(history=known.replace(scores=told))
        return worth


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
    """The method, which asks for one at a time; ValueError as `methods.make`."""
    return methods.make(predictor, init=1, per_round=1, budget=budget, **settings)
