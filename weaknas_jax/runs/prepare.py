"""Search of a table by a configuration, ready to be compiled."""

from collections.abc import Callable
from typing import NamedTuple

from weaknas_jax.core import plan
from weaknas_jax.core.protocol import Protocol
from weaknas_jax.core.trace import Trace
from weaknas_jax.core.types import Method
from weaknas_jax.predictors.registry import PREDICTORS
from weaknas_jax.runs import last_fit, task
from weaknas_jax.runs.config import SearchConfig
from weaknas_jax.runs.lanes import Settings
from weaknas_jax.runs.last_fit import LastFit
from weaknas_jax.search import defaults, methods
from weaknas_jax.tables.table import Table

ROUNDS_PER_CALL = 25
"""Rounds of one call of the program, where a round takes milliseconds."""


class Search(NamedTuple):
    """A search on a table, ready to run.

    Attributes:
      config: resolved.
      table, protocol, problem: the table, the rules, and the task of both.
      build: ``build(chunk=..., **point) -> Method``.
      settings: of the program.
      lanes: the number that suits the predictor; None = the plan decides.
      notes: for the user, before the search begins.
    """

    config: SearchConfig
    table: Table
    protocol: Protocol
    problem: task.Task
    build: Callable[..., Method]
    settings: Settings
    lanes: int | None
    notes: tuple[str, ...]

    @property
    def goes_on(self) -> bool:
        """Whether the predictor's fits go on from the round before (`PredictorRecord.goes_on`)."""
        return self.config.record.predictor and PREDICTORS[self.config.predictor].goes_on

    def last_fit(self, trace: Trace, chunk: int | None) -> LastFit:
        """The last fit (`runs.last_fit`) of runs of this search."""
        return last_fit.fit(
            self.build,
            self.problem,
            trace,
            seed=self.config.seed,
            point=self.config.point,
            chunk=chunk,
            by_rounds=self.goes_on,
        )


def prepare(
    table: Table,
    config: SearchConfig,
    *,
    problem: Callable[[Protocol, tuple], task.Task] | None = None,
    constraint: str | None = None,
) -> Search:
    """The search of a table by a configuration.

    Args:
      table: the table.
      config: its settings, resolved here.
      problem: ``problem(protocol, layout)`` in place of ``task.make(table, protocol, *layout)``,
        for callers that reuse tasks.
      constraint: the expression that restricted the table, for messages.

    Raises:
      ConfigError: settings do not go together, or with the table.
      TableError: the table cannot serve a switch of the protocol.
      ValueError: the package of a predictor is not installed.
    """
    config, notes = config.resolve(
        table.space, len(table), test=table.test is not None, signal=table.signal
    )
    config.check(len(table), constraint)
    rule = config.rule
    transform = task.transform_for(table, rule, config.label_transform)
    accepted = methods.numeric(**config.parts(table.space))

    def build(chunk: int | None = None, **point: float) -> Method:
        if not config.record.predictor:
            point = {name: value for name, value in point.items() if name in accepted}
        return methods.make(
            config.predictor,
            method=config.method,
            encoding=table.encoding,
            label_transform=transform,
            acquisition=config.acquisition,
            sampling=config.sampling,
            chunk=chunk,
            predicted_best_first=rule.predicted_top == "counted",
            near_best=config.near_best,
            pseudo_labels=config.pseudo_labels,
            init=config.init,
            per_round=config.per_round,
            budget=config.budget,
            **point,
        )

    build(**config.point)  # raises for missing packages and refused settings
    prepared = problem(rule, config.layout) if problem else task.make(table, rule, *config.layout)
    predictor = config.predictor if config.record.predictor else None
    host = predictor is not None and PREDICTORS[predictor].host
    quick = defaults.of(config.method, predictor, table.space).quick
    return Search(
        config=config,
        table=table,
        protocol=rule,
        problem=prepared,
        build=build,
        settings=Settings(
            stop_at_target=config.stop == "optimum",
            free_look=rule.predicted_top == "free",
            measure=config.dynamics,
            rounds_per_call=ROUNDS_PER_CALL if quick else 1,
        ),
        lanes=plan.cores() if host else None,
        notes=tuple(notes),
    )
