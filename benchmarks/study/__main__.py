"""Searches many objectives by many methods, with paired seeds; resumable.

    python -m benchmarks.study --data=FOLDER --out=FOLDER --half=choose --methods=gp,gbrt

keeps the rows that each search asked for in ``OUT/METHOD/OBJECTIVE--ENCODING.npz`` and goes on
where it stopped; `benchmarks.study.report` reads them.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags

import weaknas_jax as wn
from benchmarks.study import objectives
from weaknas_jax.storage.npz import write_npz

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
_METHODS = flags.DEFINE_list("methods", list(METHODS), "Methods by name.")
_ENCODINGS = flags.DEFINE_list("encodings", list(objectives.ENCODINGS), "Encodings.")
_FAMILIES = flags.DEFINE_list("families", [], "Families of objectives; none = all.")
_SEEDS = flags.DEFINE_integer("seeds", 10, "Searches of each.")
_BUDGET = flags.DEFINE_integer("budget", 200, "Queries of a search.")


def search(objective: objectives.Objective, encoding: str, method: str) -> np.ndarray:
    """Rows asked for, int32 [S, Q]."""
    settings = {"init": 1, "per_round": 1} if method == "random" else {}
    settings |= METHODS[method]
    found = wn.search_table(
        objective.table(encoding),
        stop="budget",
        budget=_BUDGET.value,
        seeds=_SEEDS.value,
        dynamics=False,
        **settings,
    )
    return found.trace.queried


def main(argv: list[str]) -> None:
    del argv
    for name in objectives.chosen(_HALF.value):
        if _FAMILIES.value and name.split("/")[0] not in _FAMILIES.value:
            continue
        objective = objectives.LOADERS[name](Path(_DATA.value))
        for encoding in objective.encodings:
            for method in _METHODS.value:
                path = Path(_OUT.value) / method / f"{name.replace('/', '-')}--{encoding}.npz"
                if encoding not in _ENCODINGS.value or path.exists():
                    continue
                began = time.perf_counter()
                queried = search(objective, encoding, method)
                path.parent.mkdir(parents=True, exist_ok=True)
                regret = np.minimum.accumulate(objective.regret(queried), axis=1)
                seconds = time.perf_counter() - began
                write_npz(path, {"queried": queried, "regret": regret, "seconds": seconds})
                ats = (q for q in objectives.AT if q <= _BUDGET.value)
                at = [f"{regret[:, q - 1].mean():.3f}" for q in ats]
                print(f"{name} {encoding} {method}: {' '.join(at)}  {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    app.run(main)
