"""Search on a table from Python, with the settings and results of the command line."""

from collections.abc import Callable
from typing import Any, NamedTuple

from weaknas_jax.core.conventions import with_conventions
from weaknas_jax.core.plan import Plan
from weaknas_jax.core.trace import Trace
from weaknas_jax.measures import posterior, repeats
from weaknas_jax.report import provenance, text
from weaknas_jax.runs.config import FIELDS, ConfigError, SearchConfig
from weaknas_jax.runs.prepare import prepare
from weaknas_jax.runs.program import Progress, run_grid
from weaknas_jax.tables.table import Table


class TableSearch(NamedTuple):
    """Result of a search on a table.

    Attributes:
      config: its settings, with all defaults filled in.
      trace: queries and scores of each run.
      summary: the results, as in ``summary.json`` of a run folder.
      notes: defaults that were reduced because the table is small.
    """

    config: SearchConfig
    trace: Trace
    summary: dict[str, Any]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        """The report that the command prints."""
        return text.text(self.summary, [])


@with_conventions
def search_table(
    table: Table,
    *,
    chunk: int | None = None,
    progress: Callable[[Progress], None] | None = None,
    **settings: Any,
) -> TableSearch:
    """Searches a table like the command ``search``, with settings named like its flags.

    >>> import weaknas_jax as wn
    >>> table = wn.load_nasbench201("cifar10")
    >>> result = wn.search_table(table, method="random", seeds=2, budget=20)
    >>> result.trace.queried.shape
    (2, 20)

    Args:
      table: the table, e.g. from `load_table`.
      chunk: architectures scored at once; None = planned.
      progress: called after each call of the program.
      **settings: fields of `SearchConfig`, and numeric settings of the method, predictor,
        acquisition and sampling by name.

    Raises:
      ConfigError: settings are unknown or contradict each other.
      TableError: the table lacks data that a switch of the protocol needs.
      PlanError: the search does not fit into memory.
    """
    if not isinstance(table, Table):
        kind = type(table).__name__
        raise ConfigError(f"table: give a Table, e.g. from load_table(path), not a {kind}")
    fields = {name: value for name, value in settings.items() if name in FIELDS}
    numbers = {name: value for name, value in settings.items() if name not in FIELDS}
    search = prepare(table, SearchConfig(**fields, numbers=numbers))
    config = search.config

    runs = range(config.first_run, config.first_run + config.seeds)
    (trace,), timing = run_grid(
        search.build,
        search.problem,
        config.seed,
        runs,
        [config.point],
        search.settings,
        progress,
        given=Plan(search.lanes, chunk),
    )
    again = chosen = None
    if config.answer == "posterior":
        chosen = posterior.choose(trace, table, search.last_fit(trace, chunk))
    if config.repeat_top:
        again = repeats.ask_again(trace, table, search.protocol, config.seed, config.repeat_top)
    summary = text.summarize(
        trace,
        table,
        search.protocol,
        again,
        posterior=chosen,
        timing=timing._asdict(),
        device=provenance.device(),
        versions=provenance.versions(),
        constraint=None,
        table_size=len(table),
        **config.describe(),
    )
    return TableSearch(config, trace, summary, search.notes)
