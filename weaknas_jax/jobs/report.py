"""Output files of a search with jobs: table, summary, best architecture and figure."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from weaknas_jax.jobs import Evaluation, Repeated, Result
from weaknas_jax.measures import pareto
from weaknas_jax.measures import summary as summaries
from weaknas_jax.report import canvas
from weaknas_jax.spaces.choices import Choices
from weaknas_jax.storage import files
from weaknas_jax.storage.journal_lines import key
from weaknas_jax.storage.text import to_csv, to_json

FILES = ("results.csv", "best.json", "curve.png", "summary.json")


class Findings(NamedTuple):
    """Data of a report; made by `gather`.

    Attributes:
      result: of the search.
      space: the search space.
      sign: -1 where the user minimises and scores are negated.
      costs: of each evaluation, float64 [n], NaN = unknown; None = the space has no cost.
    """

    result: Result
    space: Choices
    sign: float
    costs: np.ndarray | None


def gather(result: Result, space: Choices, sign: float = 1.0) -> Findings:
    """The result of a search and the costs of its evaluations."""
    return Findings(result, space, sign, _costs(result.evaluations, space))


def _costs(done: Sequence[Evaluation], space: Choices) -> np.ndarray | None:
    if space.cost is None or not done:
        return None if space.cost is None else np.zeros(0)
    codes = np.stack([space.codes(e.arch) for e in done])
    try:
        costs = np.asarray(space.costs(codes), np.float64)
    except Exception:  # the user's function failed for some architecture
        costs = np.array([_cost(row, space) for row in codes], np.float64)
    return np.where(np.isfinite(costs), costs, np.nan)


def _cost(codes: np.ndarray, space: Choices) -> float:
    try:
        return float(space.costs(codes[None])[0])
    except Exception:  # a failing cost must not lose the scores
        return np.nan


def summarize(findings: Findings, **extra: Any) -> dict[str, Any]:
    """Everything that ``summary.json`` holds; ``extra`` is added to it."""
    (result, space, sign, costs) = findings
    done, best, repeats = result.evaluations, result.best, result.repeats
    summary = {
        "complete": result.complete,
        "finished": len(done),
        "failed": sum(e.score is None for e in done),
        "job_seconds": sum(e.seconds for e in [*done, *(r.repeat for r in repeats)]),
        "busy": result.busy,
        "best": None if best is None else _entry(best, done.index(best), sign),
        "best_so_far": [None if np.isnan(b) else sign * b for b in best_so_far(done)],
        **extra,
    }
    if repeats:
        each = [_entry(r.first, done.index(r.first), sign) | _spread(r, sign) for r in repeats]
        summary["repeats"] = {"top": len(repeats), "each": each}
        for one in each:
            if one["query"] == summary["best"]["query"]:
                summary["best"] = one
    if result.expected:
        summary["answer"] = "posterior"
        if best is not None:
            summary["best"]["expected"] = sign * result.expected[done.index(best)]
    if costs is not None:
        summary["cost"] = space.describe()["cost"]
        summary["cost_unknown"] = int(np.isnan(costs).sum())
        summary["pareto"] = [
            _entry(done[i], int(i), sign) | {"cost": float(costs[i])}
            for i in pareto.front(costs, _scores(done))
        ]
    return summary


def save(folder: Path, findings: Findings, summary: dict[str, Any]) -> list[str]:
    """Writes the files; returns their paths."""
    best = findings.result.best
    contents = {
        "results.csv": table(findings),
        "best.json": None if best is None else to_json(best.arch),
        "curve.png": lambda path: draw(path, findings, summary),
        "summary.json": lambda path: summaries.write(path, "jobs", summary),
    }
    return write(folder, contents)


def write(folder: Path, contents: Mapping[str, str | Callable[[Path], Any] | None]) -> list[str]:
    """Writes files in their order, so that the last one marks completeness.

    Args:
      folder: to write to.
      contents: by name: the text, a function that writes to a path, or None = no such file.

    Returns:
      The paths of those that exist now.
    """
    for name, content in contents.items():
        if callable(content):
            content(folder / name)
        elif content is not None:
            files.write_text(folder / name, content)
    return [str(folder / name) for name in contents if (folder / name).exists()]


def table(findings: Findings) -> str:
    """The evaluations as comma-separated text, in the order in which the method was told.

    Repeated queries also have the mean of their scores, its standard error and their number
    ``n``; an answer by expected score adds ``expected``. An unknown cost is empty.
    """
    (result, space, sign, costs) = findings
    done, repeats = result.evaluations, result.repeats
    info = list(dict.fromkeys(name for e in done for name in e.info))
    spreads = {key(r.first.arch): _spread(r, sign) for r in repeats}
    added = ["mean", "mean_error", "n"] if repeats else []
    cost = [] if costs is None else ["cost"]
    added += ["expected"] if result.expected else []

    def row(at: int, e: Evaluation) -> list[Any]:
        score = None if e.score is None else sign * e.score
        spread = spreads.get(key(e.arch), {})
        values = [spread.get(name) for name in ("mean", "error", "n")] if repeats else []
        if result.expected:
            own = result.expected[at]
            values.append(None if np.isnan(own) else sign * own)
        if costs is not None:
            values.append(costs[at] if np.isfinite(costs[at]) else None)
        values += [*e.arch.values(), *(e.info.get(n) for n in info)]
        return [at + 1, score, *values, f"{e.seconds:.3f}", e.attempts, e.error]

    head = ["query", "score", *added, *cost, *space.names, *info, "seconds", "attempts", "error"]
    return to_csv([head, *(row(at, e) for at, e in enumerate(done))])


def text(summary: dict, paths: Sequence[str]) -> str:
    """The summary as printed text."""
    best, lines = summary["best"], []
    if best is not None:
        score = _with_error(best) if best.get("error") is not None else f"{best['score']:.6g}"
        if "expected" in best:
            score += f", expected {best['expected']:.6g}"
        lines.append(f"best      {score}, query {best['query']}")
        lines.append(f"          {json.dumps(best['arch'])}")
    lines.append(
        f"queries   {summary['finished']} finished, {summary['failed']} failed, "
        f"{summary['job_seconds']:.1f} s of jobs"
    )
    if "repeats" in summary:
        lines += _repeats_text(summary["repeats"]["each"])
    if "pareto" in summary:
        lines.append(f"front of score against cost = {summary['cost']}:")
        lines += [
            f"  {p['cost']:>12.6g} {p['score']:>12.6g}  {json.dumps(p['arch'])}"
            for p in summary["pareto"]
        ]
        if unknown := summary["cost_unknown"]:
            every = "every one" if unknown == summary["finished"] else f"{unknown}"
            lines.append(f"  left out: {every} of {summary['finished']}, whose cost is unknown")
    return "\n".join([*lines, *(f"          {path}" for path in paths)])


def _repeats_text(each: Sequence[dict]) -> list[str]:
    lines = [f"repeats   the {len(each)} best by their score once more, by the mean of both:"]
    for one in each:
        scores = ", ".join(f"{score:.6g}" for score in one["scores"])
        mean = _with_error(one) if one["n"] > 1 else "it failed"
        lines.append(f"  {mean}: {scores}; query {one['query']}")
    pairs = [one["scores"] for one in each if one["n"] > 1]
    if pairs and all(len(set(scores)) == 1 for scores in pairs):
        lines.append(
            "  every repeat gave the very score of before: if that is a fixed seed, take "
            "WEAKNAS_REPEAT (0, in a repeat 1) into it"
        )
    return lines


def _with_error(one: dict) -> str:
    return f"{one['mean']:.6g} +- {one['error']:.2g} (mean of {one['n']})"


def best_so_far(done: Sequence[Evaluation]) -> np.ndarray:
    """The best score up to each query, float64 [n], NaN before the first success."""
    return np.fmax.accumulate(_scores(done)) if len(done) else np.zeros(0)


def _scores(done: Sequence[Evaluation]) -> np.ndarray:
    return np.array([np.nan if e.score is None else e.score for e in done], np.float64)


def _spread(r: Repeated, sign: float) -> dict[str, Any]:
    scores = [sign * score for score in r.scores]
    return {"scores": scores, "mean": sign * r.mean, "error": r.error, "n": len(scores)}


def _entry(e: Evaluation, at: int, sign: float) -> dict[str, Any]:
    return {"query": at + 1, "score": sign * e.score, "arch": e.arch, "info": dict(e.info)}


def draw(path: Path, findings: Findings, summary: dict) -> Figure:
    """Score against queries and, where there is one, against cost; returns the figure saved."""
    sign, done = findings.sign, findings.result.evaluations
    with_cost = "pareto" in summary
    figure = canvas.blank(10 if with_cost else 5.5, 4.2)
    panels = figure.subplots(1, 2 if with_cost else 1, squeeze=False)[0]
    queries, scores = np.arange(1, len(done) + 1), sign * _scores(done)
    best = sign * best_so_far(done)
    low, high = canvas.limits([best], scores) or (-np.inf, np.inf)
    outside = int(((scores < low) | (scores > high)).sum())
    each = "each query" + f" ({outside} lie outside of the picture)" * bool(outside)
    panels[0].plot(queries, scores, ".", color="0.6", label=each)
    panels[0].step(queries, best, where="post", label="best so far")
    panels[0].set(xlabel="queries", ylabel="score")
    canvas.whole_numbers(panels[0])
    if with_cost:
        panels[1].plot(findings.costs, scores, ".", color="0.6", label=each)
        front = [(p["cost"], p["score"]) for p in summary["pareto"]]
        panels[1].step(*np.reshape(front, (-1, 2)).T, "o-", where="post", ms=3, label="front")
        cost = canvas.wrapped(f"cost = {summary['cost']}", 5)
        panels[1].set(xlabel=cost, ylabel="score")
    for axes in panels:
        if np.isfinite(low):
            axes.set_ylim(low, high)
        axes.grid(alpha=0.3)
    canvas.legends(*panels)
    return canvas.save(figure, path)
