"""A method that follows a search that somebody else keeps: told of anything, asked at any time.

What it suggests depends on the seed, on what it learnt and in which order, and on what is pending,
on nothing else. For the driver is only ever told, and a copy of it is asked: a new follower that
learns the same goes on in the same way, whatever had been suggested before, or by whom.
"""

import copy
import functools
from collections.abc import Iterable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from weaknas_jax import methods
from weaknas_jax.drive import Driver
from weaknas_jax.spaces import pool as pools
from weaknas_jax.spaces.choices import Arch, Choices, SpaceError
from weaknas_jax.types import Method

BUDGET = 100
"""Scores that a driver has room for at first; one that is full gives way to one of twice that."""

_ABREAST = 4  # pending ones come in multiples: fewer programs


class Follower:
    """One search that is followed.

    Args:
      predictor, settings: as of `methods.make`.
      choices: the space.
      seed: of all random numbers.
      init: scores before the predictor is asked; until then the rows are random ones.
      pool: rows of a space that is too large to list.
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
    ):
        self.choices = choices
        self._build = functools.partial(method_of, predictor, settings)
        self._seed, self._init, self._pool = seed, init, pool
        self._lessons: list[tuple[Arch, float]] = []
        self._scored: set[bytes] = set()  # architectures, by their codes
        self._failed: set[bytes] = set()
        self._driver: Driver | None = None
        self._heeded = self._told = 0  # lessons that the driver knows, and scores among them

    def learn(self, arch: Arch, score: float) -> None:
        """Takes note of an evaluation; larger is better, NaN or infinite = failed.

        An architecture counts once, by its first score; a failure bars it until it has one. One
        outside of the space is passed over.
        """
        name = self._name(arch)
        with np.errstate(over="ignore"):
            score = float(np.float32(score))
        known = self._scored if np.isfinite(score) else self._scored | self._failed
        if name is not None and name not in known:
            (self._scored if np.isfinite(score) else self._failed).add(name)
            self._lessons.append((arch, score))

    def suggest(
        self, pending: Iterable[Arch] = (), fixed: Mapping[str, Any] | None = None
    ) -> Arch | None:
        """The architecture to evaluate next; None = nothing is left.

        Args:
          pending: architectures under way, which are taken into account and not suggested.
          fixed: values that are not open; those that there are none of are passed over.
        """
        out = {self._name(arch): arch for arch in pending}
        out = [arch for name, arch in out.items() if name not in {None, *self._scored}]
        self._make_room(len(self._scored) + len(out) + 1)
        try:
            self._tell()
        except BaseException:  # Ctrl-C, say, between two steps
            self._driver = None
            raise
        driver, rows = copy.copy(self._driver), []
        for arch in out:  # one by one: in a pool a row is safe once it is seen
            rows.append(driver.row(arch))
            driver.see(rows[-1:])
        if fixed:
            seen = driver.state.history.seen | jnp.asarray(self._differs(driver.pool.codes, fixed))
            known = driver.state.history.replace(seen=seen)
            driver.state = driver.state.replace(history=known)
        rows += [-1] * (-len(rows) % _ABREAST)
        asked = driver.ask(rows if self._told else ())
        return driver.arch(asked[0]) if asked else None

    def _name(self, arch: Arch) -> bytes | None:
        try:
            codes = self.choices.codes(arch)
        except SpaceError:
            return None
        return codes.tobytes() if self.choices.allowed(codes[None])[0] else None

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
        pool = max(self._pool, 4 * budget)
        rows = pools.start(self.choices, self._seed, pool)
        size = len(rows.codes)
        if self._driver is None or self._driver.method.budget < min(budget, size):
            method = self._build(min(budget, size))
            self._driver = Driver(method, self.choices, seed=self._seed, pool=rows)
            self._heeded = self._told = 0

    def _tell(self) -> None:
        """Tells the driver what it does not know yet."""
        for arch, score in self._lessons[self._heeded :]:
            if np.isfinite(score) and self._told >= self._init - 1:
                rows = self._driver.mark([arch])  # the initial round is over with the last of it
            else:
                rows = [self._driver.row(arch)]
                self._driver.see(rows)
            if np.isfinite(score):
                self._driver.tell(rows, [score])
                self._told += 1
            self._heeded += 1


def method_of(predictor: str, settings: Mapping[str, Any], budget: int) -> Method:
    """The method, which asks for one at a time; ValueError as `methods.make`."""
    return methods.make(predictor, init=1, per_round=1, budget=budget, **settings)
