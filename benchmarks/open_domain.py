"""What searches among sub-networks reach, by the accuracy predictor of Once-for-all.

    python -m benchmarks.open_domain --oracle=FILE --out=benchmarks/results/open_domain

The paper's setting (gradient-boosted trees on the reference's 45 numbers, 100 random, then 100 a
round drawn evenly in the predicted top 1000 of 10,000) against ours (Gaussian process, 10 random,
then one at a time, pool refreshed every 5), and what changes in either. Each search has a pool of
its own. **The labels are predicted, not measured.** Ours was chosen on seeds 100 to 104 at 224
pixels and 550 to 600 million multiply-adds; seeds from 0 are reported, and another image size and
window that nothing was chosen on.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import app, flags
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from weaknas_jax.report import provenance
from weaknas_jax.search import methods
from weaknas_jax.spaces.mobilenet import config
from weaknas_jax.spaces.mobilenet import window as pool
from weaknas_jax.spaces.mobilenet.encodings import SubNetworks
from weaknas_jax.storage import files
from weaknas_jax.supernets import search
from weaknas_jax.supernets.mobilenet import oracle

_ORACLE = flags.DEFINE_string("oracle", None, "Accuracy predictor of OFA (.npz).", required=True)
_OUT = flags.DEFINE_string("out", None, "Text and picture to write, without an ending.")
_SEEDS = flags.DEFINE_integer(
    "seeds", 20, "Searches of the two main rows; of the others a quarter."
)

PAPER = {"predictor": "gbrt", "init": 100, "per_round": 100, "top": 1000, "budget": 1000}
PAPER |= {"encoding": "org", "refresh": None}
OURS = {"predictor": "gp", "init": 10, "per_round": 1, "budget": 100, "refresh": 5}


class Row(NamedTuple):
    """A line of the table: settings, share of the seeds, image size and window."""

    name: str
    settings: dict[str, Any]
    share: float = 0.25
    size: int = 224
    window: pool.Window = pool.Window()


OTHER = {"size": 160, "window": pool.Window(350, 400)}
ROWS = [
    Row("paper: GBRT, uniform in top 1000", PAPER, 1.0),
    Row("ours: Gaussian process", OURS, 1.0),
    Row("GBRT, uniform in top 100", PAPER | {"top": 100}),
    Row("GBRT, uniform in top 500", PAPER | {"top": 500}),
    Row("GBRT, uniform in top 5000", PAPER | {"top": 5000}),
    Row("GBRT, linear decay in top 1000", PAPER | {"sampling": "linear"}),
    Row("GBRT, exponential decay in top 1000", PAPER | {"sampling": "exponential"}),
    Row("GBRT, the best 100", PAPER | {"sampling": "greedy"}),
    Row("GBRT, N falls 1000 to 100", PAPER | {"top_end": 100}),
    Row("GBRT, inactive blocks left out", PAPER | {"encoding": "one_hot"}),
    Row("GBRT, pool refreshed every round", PAPER | {"refresh": 100}),
    Row("random search", {"method": "random", **PAPER}),
    Row("ours, the pool stays", OURS | {"refresh": None}),
    Row("ours, 10 a round", OURS | {"per_round": 10, "refresh": 10}),
    Row("160 px, 350-400 M: paper", PAPER, 0.25, **OTHER),
    Row("160 px, 350-400 M: ours", OURS, 0.25, **OTHER),
]
AT = (20, 40, 60, 100, 200, 500, 1000)


def curves(row: Row, layers, supernet, seeds: int) -> np.ndarray:
    """Best so far, float64 [seeds, Q]."""
    settings = dict(row.settings)
    refresh, encoding = settings.pop("refresh"), settings.pop("encoding", "one_hot")
    space = SubNetworks(supernet, row.window, 236, encoding)
    method = methods.make(**settings)

    def label(arch) -> dict[str, float]:
        return {"score": float(oracle.predict(layers, supernet, arch, row.size))}

    runs = [search.run(method, space, label, seed=s, refresh=refresh) for s in range(seeds)]
    return np.stack([run.curve() for run in runs])


def main(argv: list[str]) -> None:
    del argv
    supernet, layers, results = config.mobilenet_v3(1.2), oracle.read(_ORACLE.value), {}
    lines = [
        f"{provenance.device()}, {provenance.versions()}",
        "predicted top-1 (%), best so far: mean +- deviation (least) over searches",
        "",
    ]
    lines.append(f"{'':38}" + "".join(f"{q:>26}" for q in AT) + "  searches")
    for row in ROWS:
        seeds = max(2, round(row.share * _SEEDS.value))
        results[row.name] = best = curves(row, layers, supernet, seeds)
        cells = [
            f"{best[:, q - 1].mean():.3f} +- {best[:, q - 1].std(ddof=1):.3f} "
            f"({best[:, q - 1].min():.3f})"
            if q <= best.shape[1]
            else ""
            for q in AT
        ]
        lines.append(f"{row.name:38}" + "".join(f"{cell:>26}" for cell in cells) + f"{seeds:>10}")
        print(lines[-1], flush=True)
    paper, ours, *_, other_paper, other_ours = results.values()
    lines.append("")
    for name, theirs, mine in (("224 px", paper, ours), ("160 px", other_paper, other_ours)):
        goal = theirs[:, -1].mean()
        met = np.where((mine >= goal).any(1), (mine >= goal).argmax(1) + 1.0, np.inf)
        mean = mine.mean(0) >= goal
        after = int(mean.argmax()) + 1 if mean.any() else None
        lines.append(
            f"{name}: the paper's setting reaches {goal:.3f} in {theirs.shape[1]} queries; ours in "
            f"the mean after {after}; single searches after {np.median(met):g} "
            f"({met.min():g} to {met.max():g})"
        )
    text = "\n".join(lines)
    print("\n".join(lines[-2:]))
    if _OUT.value:
        files.write_text(f"{_OUT.value}.txt", text + "\n")
        _draw(results, Path(f"{_OUT.value}.png"))


def _draw(results: dict[str, np.ndarray], path: Path) -> None:
    figure = Figure(figsize=(7, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    shown = [ROWS[i].name for i in (0, 1)] + [
        "random search",
        "ours, the pool stays",
        "GBRT, pool refreshed every round",
    ]
    for at, name in enumerate(shown):
        best = results[name]
        queries, mean, sd = np.arange(1, best.shape[1] + 1), best.mean(0), best.std(0, ddof=1)
        axes.plot(queries, mean, f"C{at}", label=name)
        axes.fill_between(queries, mean - sd, mean + sd, color=f"C{at}", alpha=0.2, lw=0)
    axes.set(xscale="log", xlim=(5, 1000), ylim=(81.8, None), xlabel="queries")
    axes.set_ylabel("best so far: top-1 (%), predicted, not measured")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", loc="lower right")
    files.write_picture(path, figure)


if __name__ == "__main__":
    app.run(main)
