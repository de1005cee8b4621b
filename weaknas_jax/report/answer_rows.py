"""Rows of the report with the architectures that a search found."""

from collections.abc import Mapping, Sequence
from typing import Any

from weaknas_jax.report.numbers import cost, number
from weaknas_jax.spaces.own_form import in_words

MOST = 3  # largest number of printed answers of many runs
LONGEST = 120  # largest number of characters of a name


def rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The answer of a single run, or the most frequent answers of several runs.

    Summaries of version 0.1 have no answers: no rows.
    """
    answers, percent = summary.get("answers"), summary.get("percent", True)
    if answers is None:
        return []
    counts, seeds, num_without = answers["counts"], len(answers["runs"]), answers["without"]
    chosen = _chosen(summary, percent) if summary.get("posterior") else []
    if not counts:
        runs_text = "the run" if seeds == 1 else "any run"
        return [("the answer", f"none: no query of {runs_text} returned a label")]
    if seeds == 1:
        (answer,) = answers["runs"]
        lines = [name(answer), values(answer, percent), *_words(summary["space"], answer)]
        return [("the answer", lines[0]), *(("", line) for line in lines[1:]), *chosen]
    head = f"{len(counts)} different in {seeds} runs; the most frequent"
    head += f"; none in {num_without}, whose queries returned no label" * bool(num_without)
    out = [("answers", head)]
    for answer in counts[:MOST]:
        out.append(("", f"{name(answer)} in {answer['runs']} of {seeds} runs"))
        out.append(("", f"  {values(answer, percent)}"))
    if len(counts) > MOST:
        out.append(("", f"... and {len(counts) - MOST} more, see summary.json"))
    return out + chosen


def _chosen(summary: Mapping[str, Any], percent: bool) -> list[tuple[str, str]]:
    """Rows that say that the answers are those by predicted mean, and how those by label are."""
    posterior, runs = summary["posterior"], summary["answers"]["runs"]
    by_mean = sum(run["by"] == "posterior" for run in runs)
    text = f"predicted mean after a last fit on all labels, in {by_mean} of {len(runs)} runs"
    text += f"; another answer than by label in {posterior['changed']}"
    regrets = [number(posterior["valid_regret"][by], percent) for by in ("mean", "label")]
    compared = "by mean valid {}, {} of the best by label".format(*regrets)
    if (test := summary["final"]["each"]["best_valid_test"]["regret"]) is not None:
        label = number(posterior["by_label"]["regret"], percent)
        compared += f"; by test {number(test, percent)} and {label}"
    return [("chosen by", text), ("regret of the answer", compared)]


def of_several(titles: Sequence[str], summaries: Sequence[Mapping[str, Any]]) -> str:
    """The most frequent answer of each search, a line each; searches of version 0.1 are skipped."""
    lines = []
    for title, summary in zip(titles, summaries, strict=True):
        answers = summary.get("answers")
        if answers and answers["counts"]:
            answer, runs = answers["counts"][0], len(answers["runs"])
            lines.append((title, f"{name(answer)}, {answer['runs']} of {runs} runs"))
    width = max((len(title) for title, _ in lines), default=0)
    return "\n".join(f"  {title:<{width}}  {line}" for title, line in lines)


def name(answer: Mapping[str, Any]) -> str:
    """The name and row of an answer; without a name its columns and row."""
    text = answer["name"]
    if text is None:
        columns = answer.get("columns", {}).items()
        text = ", ".join(f"{column}={value}" for column, value in columns)
    return f"{_short(text)} (row {answer['row']})" if text else f"row {answer['row']}"


def values(answer: Mapping[str, Any], percent: bool) -> str:
    """The scores and known costs of an answer."""
    scores = [(key, answer[key]) for key in ("valid", "test") if answer[key] is not None]
    label = answer.get("label")
    if label is not None and not any(_same(label, value, percent) for _, value in scores):
        scores.append(("label in the search", label))
    if (predicted := answer.get("predicted")) is not None:
        scores.append(("predicted", predicted))
    parts = [f"{key} {number(value, percent)}" for key, value in scores]
    parts += [f"{column} {cost(value)}" for column, value in answer["costs"].items()]
    return ", ".join(parts)


def _same(label: float, mean: float, percent: bool) -> bool:
    """Whether a label equals a mean, to the precision of labels (`metrics.resolved`)."""
    return abs(label - mean) <= 1e-5 * max(abs(mean), percent)


def _words(space: str, answer: Mapping[str, Any]) -> list[str]:
    """A name that is a code, in words."""
    words = in_words(space, answer["name"])
    if words is None and answer["name"] is not None and answer.get("columns"):
        words = ", ".join(f"{column}={value}" for column, value in answer["columns"].items())
    return [] if words is None else [_short(words, 2 * LONGEST)]


def _short(text: str, longest: int = LONGEST) -> str:
    """A text with its middle cut out, if it is too long for a line."""
    text = " ".join(text.split())
    half = longest // 2 - 2
    return text if len(text) <= longest else f"{text[:half]} ... {text[-half:]}"
