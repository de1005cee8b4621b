"""The summary of an experiment, as JSON and as the printed report."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from weaknas_jax.core.protocol import Protocol
from weaknas_jax.core.trace import Trace
from weaknas_jax.measures import answers, metrics, stats
from weaknas_jax.measures import posterior as posterior_
from weaknas_jax.measures import repeats as repeats_
from weaknas_jax.measures.repeats import Repeats
from weaknas_jax.report import answer_rows
from weaknas_jax.report.numbers import number
from weaknas_jax.storage.text import columns
from weaknas_jax.tables import registry, targets
from weaknas_jax.tables.table import Table


def summarize(
    trace: Trace,
    table: Table,
    protocol: Protocol,
    repeats: Repeats | None = None,
    costs: Mapping[str, np.ndarray] | None = None,
    posterior: posterior_.Posterior | None = None,
    **more: Any,
) -> dict:
    """The content of ``summary.json``: all results, and the fields ``more``.

    ``costs`` are further costs of the architectures, by name, float64 [N].

    Labels are in the table's unit and direction (``percent``, ``minimize``). ``final`` describes
    the end of each run; its ``test_mean``, ``regret`` and ranks are of the quantity that
    ``protocol.report`` names; a regret is never negative. After ``repeats``
    (`repeats.ask_again`) the best by validation is their answer, and by `posterior.choose` that of
    the predicted mean.
    """
    target = targets.target_mask(table, protocol.target)
    budget = trace.queried.shape[1]
    queries = metrics.queries_to_target(trace, target, protocol)
    curves = metrics.curves(trace, table, protocol)
    test = metrics.test_accuracy(table)
    last = {name: getattr(curves, name)[:, -1] for name in LABELS if name != "best_valid"}
    chosen, before = {}, of_accuracy(last["best_valid_test"], test, table.minimize)
    if repeats is not None:
        chosen["repeats"] = repeats_.summary(repeats, table) | {"before": before}
        last["best_valid_test"] = np.where(repeats.answer >= 0, test[repeats.answer], np.nan)
    if posterior is not None:
        chosen["posterior"] = posterior_.summary(posterior, table) | {"by_label": before}
        last["best_valid_test"] = np.where(posterior.answer >= 0, test[posterior.answer], np.nan)
    found = answers.of_runs(trace, table, repeats, posterior)
    each = {name: of_accuracy(accuracy, test, table.minimize) for name, accuracy in last.items()}
    return {
        "space": table.space,
        "dataset": table.dataset,
        "architectures": len(table),
        "table_version": table.version or None,
        "minimize": table.minimize,
        "percent": table.percent,
        "num_runs": len(trace.run),
        "runs": trace.run.tolist(),
        "queries_made": (trace.queried >= 0).sum(axis=1).tolist(),
        "budget": budget,
        "protocol": {
            "name": protocol.name,
            **protocol.switches(),
            "counts_predicted_top": protocol.predicted_top == "counted",
        },
        "queries_to_optimum": {
            "target": protocol.target,
            "target_rows": table.rows[target].tolist(),
            **stats.queries_to_optimum(queries, budget),
        },
        "milestones": {
            name: stats.queries_to_optimum(metrics.queries_to_target(trace, mask, protocol), budget)
            for name, mask in metrics.milestones(table, protocol).items()
        },
        "curve": {
            "queries": list(range(1, budget + 1)),
            **{name: stats.mean_std(c) for name, c in curves._asdict().items()},
        },
        "final": {
            "report": protocol.report,
            **each.get(protocol.report, of_accuracy(np.array([]), test, table.minimize)),
            "best_valid_mean": stats.mean_std(curves.best_valid)["mean"][-1],
            "each": each,
        },
        "answers": answers.summary(found, table, repeats, costs, posterior),
        "rounds": {
            "queries": np.cumsum(np.bincount(trace.round)).tolist(),
            **{
                name: stats.mean_std(getattr(trace, name))
                for name in ("kendall", "kendall_top50", "top50_probability")
            },
        },
        "broken": {
            str(run): int(round_)
            for run, round_ in zip(trace.run, trace.nan_round, strict=True)
            if round_ >= 0
        },
        "failed_queries": int((np.isnan(trace.scores) & (trace.queried >= 0)).sum()),
        **chosen,
        **more,
    }


def of_accuracy(accuracy: np.ndarray, test: np.ndarray, minimize: bool = False) -> dict:
    """Mean, deviation, regret to the best of the table, mean rank, and rank of the mean.

    Args:
      accuracy: of each run [S]; results are over the ``runs`` in which it is known, and None if it
        is known in none.
      test: accuracies of the table [N], in the same unit.
      minimize: the lowest is the best.
    """
    accuracy = accuracy[np.isfinite(accuracy)]
    keys = ("test_mean", "test_std", "regret", "mean_rank", "rank_of_mean")
    if not len(accuracy):
        return {"runs": 0} | dict.fromkeys(keys)
    sign = -1.0 if minimize else 1.0
    mean, worth, best = float(accuracy.mean()), sign * test, float(np.nanmax(sign * test))
    return {
        "runs": len(accuracy),
        "test_mean": mean,
        "test_std": stats.spread(accuracy),
        "regret": max(0.0, best - sign * mean),
        "mean_rank": float(metrics.rank_of(worth, sign * accuracy).mean()),
        "rank_of_mean": float(metrics.rank_of(worth, sign * mean)),
    }


def axis(summary: dict) -> str:
    """Name of a summary's labels on an axis."""
    if summary["percent"]:
        return "accuracy (%)"
    return "loss (the lowest is the best)" if summary["minimize"] else "score"


TEST_LABELS = "the search saw test labels: not directly comparable with the paper's numbers"
_TIMES = ("run_s", "compile_s")
FRONT = 10  # largest number of printed points of a Pareto front
LABELS = {
    "best_valid_test": "test of best by valid",
    "oracle_test": "best test (oracle)",
    "predicted_best_test": "test of predicted best",
    "best_valid": "best valid",
}


def shared(summaries: list[dict]) -> str:
    """Printed rows that several searches share, and their total time."""
    first, *others = [_setup(summary) for summary in summaries]
    rows = [row for row in first if all(row in other for other in others)]
    shares = [summary.get("timing_of_searches", 1) for summary in summaries]
    spent = [
        sum(s["timing"][part] / n for s, n in zip(summaries, shares, strict=True))
        for part in _TIMES
    ]
    rows.append(
        ("time", f"{spent[0]:.1f} s + {spent[1]:.1f} s compiling, on {_devices(summaries)}")
    )
    return columns(rows, "  ")


def text(summary: dict, files: list[str]) -> str:
    """The printed report of a summary."""
    rows = [*_setup(summary), *_queries(summary["queries_to_optimum"], summary["num_runs"])]
    for name, reached in summary["milestones"].items():
        met = f"in {summary['num_runs'] - reached['censored']} of {summary['num_runs']} runs"
        rows.append((f"queries to {name}", f"median {_median(reached)}, {met}"))
    final, reported, percent = summary["final"], "  <- reported", summary["percent"]
    unit = " %" * percent
    for key, each in final["each"].items():
        if each["test_mean"] is not None:
            value = number(each["test_mean"], percent)
            value += "" if each["test_std"] is None else f" +- {number(each['test_std'], percent)}"
            value += f"{unit}, regret {number(each['regret'], percent)}"
            value += f", mean rank {each['mean_rank']:.1f}"
            if each["runs"] < summary["num_runs"]:
                value += (
                    f" ({each['runs']} of {summary['num_runs']} runs; test unknown in the others)"
                )
            answer = "posterior" in summary and key == "best_valid_test"
            name = "test of the answer" if answer else LABELS[key]
            rows.append((name, value + reported * (key == final["report"])))
    if final["best_valid_mean"] is not None:
        value = number(final["best_valid_mean"], percent) + unit
        rows.append((LABELS["best_valid"], value + reported * (final["report"] == "best_valid")))
    rows += answer_rows.rows(summary)
    if summary.get("repeats"):
        rows += _repeats(summary["repeats"], summary["num_runs"], percent)
    if summary["failed_queries"]:
        rows.append(("failed queries", str(summary["failed_queries"])))
    if summary["broken"]:
        value = ", ".join(f"run {run} in round {at}" for run, at in summary["broken"].items())
        rows.append(("stopped", f"{value}: the predictor returned NaN"))
    if summary.get("pareto"):
        rows += _pareto(summary["pareto"], percent)
    run_s, compile_s = summary["timing"]["run_s"], summary["timing"]["compile_s"]
    together = summary.get("timing_of_searches", 1)
    value = f"{run_s:.1f} s + {compile_s:.1f} s compiling, on {summary['device']}"
    rows.append(("time", value + f", {together} searches together" * (together > 1)))
    rows += [("files" * (i == 0), name) for i, name in enumerate(files)]
    return columns(rows, "  ")


def _devices(summaries: list[dict]) -> str:
    return ", ".join(dict.fromkeys(summary["device"] for summary in summaries))


def _setup(summary: dict) -> list[tuple[str, str]]:
    """Rows of the report: search space, method and protocol."""
    protocol, seeds = summary["protocol"], summary["num_runs"]
    searched = f"{summary['space']} / {summary['dataset']}"
    searched += f" {summary['table_version']}" * bool(summary["table_version"])
    best = "lowest" if summary["minimize"] else "highest"
    unit = "in percent" if summary["percent"] else "in the table's unit"
    is_own_table = summary["space"] not in registry.SHIPPED
    method = summary["method"] + f" with {summary['predictor']}" * bool(summary["predictor"])
    switches = ("labels", "normalize", "counting", "predicted_top")
    choice_names = ("label_transform", "acquisition", "sampling")
    choices = [f"{name}={summary[name]}" for name in choice_names if summary.get(name)]
    return [
        ("searched", f"{searched}, {summary['architectures']:,} architectures"),
        *([("best is", f"the {best} score, {unit}")] if is_own_table else []),
        *([("constraint", _constraint(summary))] if summary.get("constraint") else []),
        ("method", f"{method}, {seeds} run{'s' * (seeds != 1)} of {summary['budget']} queries"),
        *([("", ", ".join(choices))] if choices else []),
        ("protocol", protocol["name"]),
        ("", ", ".join(f"{switch}={protocol[switch]}" for switch in switches)),
        *([("", TEST_LABELS)] if protocol["labels"] == "test" else []),
    ]


def _constraint(summary: dict) -> str:
    met = f"met by {summary['architectures']:,} of {summary['table_size']:,} architectures"
    return f"{summary['constraint']}; {met}"


def _repeats(repeats: dict, seeds: int, percent: bool) -> list[tuple[str, str]]:
    """Rows of the report: repeated trainings at the end, and their effect."""
    if repeats["mean"] is None:
        return [("trained again", "none: the best by label have no other training")]
    counts = f"{repeats['repeats']:.1f} more trainings per run, {repeats['trainings']:.1f} in all"
    changed = f"another answer in {repeats['changed']} of {seeds} run{'s' * (seeds != 1)}"
    mean = number(repeats["mean"], percent)
    if repeats["standard_error"] is not None:
        mean += f" +- {number(repeats['standard_error'], percent)}"
    mean += " %" * percent + f", mean and standard error of its {repeats['count']:.1f} repeats"
    regrets = [number(repeats["valid_regret"][when], percent) for when in ("after", "before")]
    compared = "by mean valid {}, {} without repeats".format(*regrets)
    if repeats["before"]["regret"] is not None:
        compared += f"; by test without them {number(repeats['before']['regret'], percent)}"
    return [
        ("trained again", f"{counts}; {changed}"),
        ("label of the answer", mean),
        ("regret of the answer", compared),
    ]


def _pareto(pareto: dict, percent: bool = True) -> list[tuple[str, str]]:
    """Rows of the report: the front of valid score against cost, its most expensive end."""
    front, size, share = (pareto[key] for key in ("front", "table_front", "share_of_table_front"))
    description = (
        f"{len(front)} evaluated architectures, not dominated in valid and {pareto['cost']}"
    )
    if share is not None:
        description += f"; a run evaluated {100 * share:.0f} % of the {size} of the table"
    if unknown := pareto.get("cost_unknown"):
        description += f"; {unknown:,} of unknown cost are skipped"
    lines = [
        ("cost", "valid", "test", "runs", "row", "name" * any(point["name"] for point in front))
    ]
    for point in front[-FRONT:]:
        test = "-" if point["test"] is None else number(point["test"], percent)
        name = point["name"] or ""
        cost, valid = f"{point['cost']:.7g}", number(point["valid"], percent)
        lines.append((cost, valid, test, str(point["runs"]), str(point["row"]), name))
    table = columns(lines).split("\n")
    if len(front) > FRONT:
        table.insert(1, f"... {len(front) - FRONT} cheaper ones, see summary.json")
    return [("pareto front", description), *(("", line) for line in table)]


def _median(queries: dict) -> str:
    return f"> {queries['budget']}" if queries["median"] is None else f"{queries['median']:g}"


def _queries(optimum: dict, seeds: int) -> list[tuple[str, str]]:
    """Rows of the report: queries to the optimum."""
    budget, censored, (low, high) = optimum["budget"], optimum["censored"], optimum["ci95"]
    bound = ">= " * (censored > 0)
    interval = f" (95% CI {low:.1f} .. {high:.1f})" if low is not None else ""
    value = f"{bound}{optimum['mean']:.1f} mean{interval}, median {_median(optimum)}"
    met = f"target = best by {optimum['target']}; met in {seeds - censored} of {seeds} runs"
    met += f", {censored} censored at {budget} and counted as {budget}" * (censored > 0)
    return [("queries to optimum", value), ("", met)]
