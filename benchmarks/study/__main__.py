"""Searches many objectives by many methods, with paired seeds; resumable.

    python -m benchmarks.study --data=FOLDER --out=FOLDER --half=choose --methods=gp,gbrt

keeps the rows that each search asked for in ``OUT/METHOD/OBJECTIVE--ENCODING.npz`` and goes on
where it stopped; files of fewer seeds or of a smaller budget are made anew (`results`).
`benchmarks.study.report` reads them. Methods of other libraries, such as ``tpe`` and ``smac``, are
those of `peers`.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags

import weaknas_jax as wn
from benchmarks.study import objectives, peers, results

METHODS: dict[str, dict[str, Any]] = {
    "gp": {"predictor": "gp"},
    "gp-columns": {"predictor": "gp", "features": "columns"},
    "gp_ml": {"predictor": "gp_ml"},
    "mixture": {"predictor": "mixture"},
    "gbrt": {"predictor": "gbrt"},
    "evolution": {"method": "evolution"},
    "local_search": {"method": "local_search"},
    "random": {"method": "random"},
}
"""Settings of `search_table` by the name of the method in tables."""

_DATA = flags.DEFINE_string("data", None, "Folder of the public tables.", required=True)
_OUT = flags.DEFINE_string("out", None, "Folder of the results.", required=True)
_HALF = flags.DEFINE_enum("half", "choose", ["choose", "report", "all"], "Which objectives.")
_METHODS = flags.DEFINE_list(
    "methods", list(METHODS), "Methods by name, ours or of other libraries."
)
_ENCODINGS = flags.DEFINE_list("encodings", list(objectives.ENCODINGS), "Encodings.")
_FAMILIES = flags.DEFINE_list("families", [], "Families of objectives; none = all.")
_SEEDS = flags.DEFINE_integer("seeds", 10, "Searches of each.")
_BUDGET = flags.DEFINE_integer("budget", 200, "Queries of a search.")


def search(
    objective: objectives.Objective, encoding: str, method: str, seeds: int, budget: int
) -> np.ndarray:
    """Rows asked for, int32 [S, Q]."""
    if method in peers.PEERS:
        return peers.search(objective, encoding, method, seeds, budget)
    settings = {"init": 1, "per_round": 1} if method == "random" else {}
    settings |= METHODS[method]
    result = wn.search_table(
        objective.table(encoding),
        stop="budget",
        budget=budget,
        seeds=seeds,
        dynamics=False,
        **settings,
    )
    return result.trace.queried


def main(argv: list[str]) -> None:
    del argv
    methods = _METHODS.value
    if unknown := [name for name in methods if name not in METHODS and name not in peers.PEERS]:
        offered = ", ".join([*METHODS, *peers.PEERS])
        raise SystemExit(f"--methods: there is no {unknown[0]!r}; choose from {offered}")
    peers.require(name for name in methods if name in peers.PEERS)
    for name in objectives.chosen(_HALF.value):
        if _FAMILIES.value and name.split("/")[0] not in _FAMILIES.value:
            continue
        objective = objectives.LOADERS[name](Path(_DATA.value))
        for encoding in objective.encodings:
            for method in methods:
                if encoding in _ENCODINGS.value:
                    _search_and_keep(objective, encoding, method)


def _search_and_keep(objective: objectives.Objective, encoding: str, method: str) -> None:
    """Makes the searches that the file of results lacks."""
    asked = _SEEDS.value, _BUDGET.value
    name = objective.name
    path = Path(_OUT.value) / method / f"{name.replace('/', '-')}--{encoding}.npz"
    size = results.missing(path, *asked)
    if size != asked:
        seeds, budget = size or results.size(path)
        if (seeds, budget) != asked:
            verb = "made anew with" if size else "stays with"
            print(f"{path} {verb} {seeds} searches of {budget} queries", flush=True)
    if size is None:
        return
    began = time.perf_counter()
    queried = search(objective, encoding, method, *size)
    regret = np.minimum.accumulate(objective.regret(queried), axis=1)
    seconds = time.perf_counter() - began
    results.write(path, queried, regret, seconds, *size)
    at = [f"{regret[:, q - 1].mean():.3f}" for q in objectives.AT if q <= regret.shape[1]]
    print(f"{name} {encoding} {method}: {' '.join(at)}  {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    app.run(main)
