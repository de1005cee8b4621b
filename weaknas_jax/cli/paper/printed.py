"""The paper's tables as data: its printed numbers, and our search for each row.

Tables 1-4 of "Stronger NAS with Weaker Predictors" give test accuracy in percent on NAS-Bench-101;
the paper searches by validation labels, ours by test labels (`text.TEST_LABELS`). Table 5 gives
queries to the test optimum, ours on NAS-Bench-201.
"""

from typing import Any, NamedTuple

SETTING = {"init": 100, "per_round": 10, "acquisition": "mean", "sampling": "uniform", "top": 100}

SEARCHES: dict[str, dict[str, Any]] = {
    "weak": SETTING | {"budget": 2000},
    "strong": SETTING | {"init": 1900, "per_round": 100, "budget": 2000},
    "exponential": SETTING | {"sampling": "exponential", "budget": 1000},
    "linear": SETTING | {"sampling": "linear", "budget": 1000},
    "top10": SETTING | {"top": 10, "budget": 1000},
    "top1000": SETTING | {"top": 1000, "budget": 1000},
    "bayesian": SETTING | {"acquisition": "ei", "sampling": "greedy", "budget": 1000},
    "own_defaults": {"budget": 1000},
    "random": {"method": "random", "init": 100, "per_round": 100, "budget": 2000},
    **{f"init{n}": SETTING | {"init": n, "budget": 400} for n in (10, 20, 50, 200)},
}
"""Flags of each search; all others have their defaults."""


class Printed(NamedTuple):
    """Printed numbers: mean test accuracy, its deviation over runs, regret, mean rank."""

    test: float
    sd: float | None = None
    regret: float | None = None
    rank: float | None = None


class Row(NamedTuple):
    """One row of a table.

    Attributes:
      name: label of the row.
      queries: number of queries after which accuracy is reported.
      search: key of `SEARCHES`; None = another method, with printed numbers only.
      printed: numbers of the paper; None = it has no such row.
    """

    name: str
    queries: int
    search: str | None = None
    printed: Printed | None = None


class Table(NamedTuple):
    """A table: title, rows, and a note on the rows."""

    title: str
    rows: tuple[Row, ...]
    note: str = ""


def _weak(queries: int, *printed: float) -> Row:
    return Row("weak predictors, ten queries each", queries, "weak", Printed(*printed))


def _others(queries: int, **printed: float) -> list[Row]:
    return [
        Row(name.replace("_", " "), queries, None, Printed(test)) for name, test in printed.items()
    ]


def _ours(queries: int, printed: float | None = None) -> list[Row]:
    weaknas = Row("WeakNAS", queries, "weak", None if printed is None else Printed(printed))
    own = [Row("the predictor's own defaults", queries, "own_defaults")] if queries <= 1000 else []
    return [weaknas, *own]


TABLES: dict[str, Table] = {
    "1": Table(
        "Table 1: one strong predictor against many weak ones",
        (
            Row("one strong predictor", 2000, "strong", Printed(93.92, 0.08, 0.40, 135.0)),
            _weak(100, 93.42, 0.37, 0.90, 6652.1),
            _weak(200, 94.18, 0.14, 0.14, 5.6),
            _weak(1000, 94.25, 0.04, 0.07, 1.7),
            _weak(2000, 94.26, 0.04, 0.06, 1.6),
        ),
        "The strong predictor is fitted on 1900 uniform samples and queried for its best 100; the "
        "first round of the weak ones is the best of 100 uniform samples.",
    ),
    "2": Table(
        "Table 2: sampling of the ten architectures of a round",
        (
            Row(
                "exponential decay in the top 100",
                1000,
                "exponential",
                Printed(93.96, 0.10, 0.36, 85.0),
            ),
            Row("linear decay in the top 100", 1000, "linear", Printed(94.06, 0.08, 0.26, 26.1)),
            Row("uniform in the top 100", 1000, "weak", Printed(94.25, 0.04, 0.07, 1.7)),
            Row("uniform in the top 1000", 1000, "top1000", Printed(94.10, 0.19, 0.22, 14.1)),
            Row("the top 10", 1000, "top10", Printed(94.24, 0.04, 0.08, 1.9)),
        ),
    ),
    "3": Table(
        "Table 3: against Bayesian optimisation",
        (
            Row("weak predictors", 1000, "weak", Printed(94.25, 0.04, 0.07, 1.7)),
            Row("expected improvement", 1000, "bayesian", Printed(94.12, 0.15, 0.20, 8.7)),
            Row("the predictor's own defaults", 1000, "own_defaults"),
        ),
        "The paper's own variant is its ensemble of MLPs: `--predictor=ensemble`.",
    ),
    "4": Table(
        "Table 4 and Figure 6: accuracy against queries, beside other methods",
        (
            Row("random search", 2000, "random", Printed(93.64)),
            *_others(2000, NAO=93.90, Regularized_Evolution=93.96, Semi_NAS=94.02),
            *_others(2000, Neural_Predictor=94.04),
            *_ours(2000, 94.26),
            *_others(1000, Semi_Assessor=94.01, LaNAS=94.10, BONAS=94.22),
            *_ours(1000, 94.25),
            *_others(400, arch2vec=94.10),
            *_ours(400, 94.24),
            *_others(200, LaNAS=93.90, BONAS=94.09),
            *_ours(200, 94.18),
            *_others(150, NASBOWLr=94.09, CATE=94.10),
            *_ours(150, 94.10),
            *_ours(100),
            *_ours(50)[1:],
        ),
        "Numbers of other methods are those printed in the paper.",
    ),
    "m0": Table(
        "Ablation: random architectures at the start (M0)",
        tuple(
            Row(f"M0 = {n}", queries, "weak" if n == 100 else f"init{n}")
            for queries in (200, 400)
            for n in (10, 20, 50, 100, 200)
            if n < queries
        ),
    ),
}


class Table5Row(NamedTuple):
    """A row of Table 5.

    Attributes:
      name: label of the row.
      flags: flags of the search.
      runs: default number of runs; fewer where a run takes long.
      printed: mean queries on CIFAR-10, CIFAR-100 and ImageNet16-120; None = not in the paper.
    """

    name: str
    flags: dict[str, Any]
    runs: int = 100
    printed: tuple[float, float, float] | None = None


_WEAKNAS = {"init": 10, "per_round": 10, "acquisition": "mean", "sampling": "uniform"}
DATASETS = ("cifar10", "cifar100", "imagenet16")
OPTIMUM: dict[str, Table5Row] = {
    "own_defaults": Table5Row("WeakNAS, the predictor's own defaults", {"budget": 400}),
    "weak": Table5Row(
        "WeakNAS as the paper draws", _WEAKNAS | {"budget": 600}, 100, (182.1, 78.4, 268.4)
    ),
    "near_best": Table5Row(
        "WeakNAS as the paper draws, near the ten best",
        _WEAKNAS | {"near_best": 10, "budget": 600},
    ),
    "pseudo": Table5Row(
        "WeakNAS as the paper draws, 100 pseudo-labels",
        _WEAKNAS | {"pseudo_labels": 100, "budget": 600},
        20,
    ),
    "bananas": Table5Row("BANANAS", {"method": "bananas", "budget": 300}, 20),
    "lanas": Table5Row("LaNAS", {"method": "lanas", "budget": 1000}, 50, (247.1, 187.5, 292.4)),
    "local_search": Table5Row("local search", {"method": "local_search", "budget": 5000}),
    "mcts": Table5Row("MCTS", {"method": "mcts", "budget": 2000}, 20, (528.3, 405.4, 578.2)),
    "evolution": Table5Row(
        "Regularized Evolution", {"method": "evolution", "budget": 5000}, 100, (563.2, 438.2, 715.1)
    ),
    "random": Table5Row(
        "random search",
        {"method": "random", "init": 100, "per_round": 100, "budget": 15_625},
        100,
        (7782.1, 7621.2, 7726.1),
    ),
}
"""Rows of Table 5; every other one is compared with the first."""
