"""Reads and checks the architecture to build from the results of a search.

Sources are the ``best.json`` of a search with a single run, the folder of a search with many runs
and the number of a run, the lists ``ks``, ``e`` and ``d`` of a sub-network (or its ``net.config``),
or the content of such a file.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from weaknas_jax.measures.answers import FORMAT
from weaknas_jax.spaces.own_form import own_form

SUBNETWORKS = "mobilenet_v3"
Source = str | Path | Mapping[str, Any]


class AnswerError(ValueError):
    """An architecture that cannot be built; the message names file, field and a remedy."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """An architecture.

    Attributes:
      space: name of the space, as in tables.
      architecture: in the space's own form (`spaces.own_form`).
      dataset: data set of the search; empty = unknown.
      name: its name in the table; None = none.
      costs: its known costs by name.
      where: its source, for messages.
    """

    space: str
    architecture: Any
    dataset: str = ""
    name: str | None = None
    costs: Mapping[str, float] = dataclasses.field(default_factory=dict)
    where: str = "the answer"

    def error(self, field: str, why: str) -> AnswerError:
        """An error about a field."""
        return AnswerError(f"{self.where}: field {field!r}: {why}")


def read(source: Source | Answer, run: int | None = None) -> Answer:
    """Reads the architecture in ``source``.

    >>> read({"ks": [3], "e": [4], "d": [2]}).space
    'mobilenet_v3'

    Args:
      source: see the module.
      run: number of the run, for a folder of many runs.

    Raises:
      AnswerError: it holds no architecture.
    """
    if isinstance(source, Answer):
        return source
    if isinstance(source, Mapping):
        return _of_content(source, "the answer")
    path = Path(source)
    if path.is_dir():
        return _of_folder(path, run)
    if run is not None:
        raise AnswerError(
            f"{path}: is a file with one answer; a run number needs a folder with summary.json"
        )
    return _of_content(_json(path), str(path))


def _of_content(content: Any, where: str) -> Answer:
    if not isinstance(content, Mapping):
        raise AnswerError(f"{where}: holds {type(content).__name__}, but an answer is an object")
    if "format" not in content:
        if {"ks", "e", "d"} <= content.keys() or "blocks" in content:
            return Answer(SUBNETWORKS, content, where=where)
        raise AnswerError(
            f"{where}: has no field 'format', {FORMAT!r} in the best.json of a search on a table, "
            "nor the lists 'ks', 'e', 'd' of a sub-network; what a search with jobs found can only "
            "be built by your own code"
        )
    if content["format"] != FORMAT:
        raise AnswerError(f"{where}: field 'format': is {content['format']!r}, not {FORMAT!r}")
    for field, kind in (("space", str), ("dataset", str)):
        if not isinstance(content.get(field), kind):
            raise AnswerError(f"{where}: field {field!r}: is {content.get(field)!r}, not a text")
    costs, name = content.get("costs"), content.get("name")
    return Answer(
        space=content["space"],
        architecture=content.get("architecture"),
        dataset=content["dataset"],
        name=None if name is None else str(name),
        costs=_numbers(costs) if isinstance(costs, Mapping) else {},
        where=where,
    )


def _of_folder(folder: Path, run: int | None) -> Answer:
    """The answer in the folder of a search: of a given run, or of its only run."""
    where = folder / "summary.json"
    if not where.exists():
        inside = sorted(path.parent.name for path in folder.glob("*/summary.json"))
        hint = f"; name one of the searches inside, such as {folder / inside[0]}" if inside else ""
        raise AnswerError(f"{folder}: has no summary.json of a finished search{hint}")
    summary = _json(where)
    if not isinstance(summary, Mapping):
        raise AnswerError(f"{where}: holds {type(summary).__name__}; expected an object")
    if isinstance(summary.get("best"), list) and summary["best"] and run is None:
        return _of_subnetworks(summary["best"][0], f"{where}: field 'best'")
    if "answers" not in summary:
        raise AnswerError(
            f"{where}: has no field 'answers': it is from an earlier version, whose answers "
            "weaknas reread prints, or not of a search on a table"
        )
    try:
        runs = {int(record["run"]): record for record in summary["answers"]["runs"]}
        if run is None and len(runs) > 1:
            numbers = f"{min(runs)} to {max(runs)}"
            raise AnswerError(
                f"{folder}: holds {len(runs)} runs; name one, {numbers}, with --run=I"
            )
        if run is not None and run not in runs:
            numbers = ", ".join(map(str, sorted(runs)[:5])) + ", ..." * (len(runs) > 5)
            raise AnswerError(f"--run={run}: {folder} holds the runs {numbers}")
        record = runs[run] if run is not None else next(iter(runs.values()))
        if record["row"] is None:
            raise AnswerError(
                f"{where}: run {record['run']} has no answer: none of its queries succeeded"
            )
        fields = {"space": summary["space"], "dataset": summary["dataset"], "format": FORMAT}
        form = own_form(summary["space"], record["name"])
        form = record.get("columns") if form is None else form
        return _of_content({**fields, **record, "architecture": form}, str(where))
    except (KeyError, TypeError, AttributeError, StopIteration) as error:
        raise AnswerError(f"{where}: field 'answers': cannot be read ({error!r})") from None


def _of_subnetworks(best: Any, where: str) -> Answer:
    """The best of a search of sub-networks; its number of parameters identifies the supernet."""
    if not isinstance(best, Mapping) or "arch" not in best:
        raise AnswerError(f"{where}: holds no sub-network")
    costs = _numbers({"params": best.get("parameters")})
    return Answer(SUBNETWORKS, best["arch"], costs=costs, where=where)


def _numbers(costs: Mapping[str, Any]) -> dict[str, float]:
    """The entries that are numbers."""
    return {name: cost for name, cost in costs.items() if type(cost) in (int, float)}


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise AnswerError(
            f"{path}: no such file; name the best.json of a search, or its folder"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise AnswerError(f"{path}: cannot be read as JSON ({error})") from None
