"""Tables and performance profile of a study.

    python -m benchmarks.study.report OUT [--half=report] [--without=proxy] [--picture=profile.png]
        [--losses=mixture]

Normalised regret, (best - found) / (best - median), in the mean over searches; a method's share of
objectives on which its regret is within a factor of that of the best. The same seeds have the
same first architecture, so that methods are compared in pairs; an interval is that of the mean of
paired differences over objectives, by bootstrap.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from benchmarks.study import objectives
from weaknas_jax.measures import stats

_FLOOR = 1e-3  # regrets below it are alike


class Curves(NamedTuple):
    """Results of a study.

    Attributes:
      methods: names, in order.
      cases: (objective, encoding), those that every method has.
      regret: float [methods, cases, searches, queries].
    """

    methods: list[str]
    cases: list[tuple[str, str]]
    regret: np.ndarray


def read(folder: Path, which: str, without: Sequence[str] = ()) -> Curves:
    """The searches of a folder, cut to those that every method has.

    Args:
      folder: ``--out`` of the study.
      which: ``choose``, ``report`` or ``all``.
      without: families to leave out.
    """
    chosen = [name for name in objectives.chosen(which) if name.split("/")[0] not in without]
    names = {name.replace("/", "-"): name for name in chosen}
    curves_of: dict[str, Mapping[tuple[str, str], np.ndarray]] = {}
    for path in sorted(folder.iterdir()):
        curves_of[path.name] = {
            (names[objective], encoding): np.load(file)["regret"]
            for file in sorted(path.glob("*.npz"))
            for objective, _, encoding in [file.stem.rpartition("--")]
            if objective in names
        }
    cases = sorted(set.intersection(*(set(curves) for curves in curves_of.values())))
    if not cases:
        raise SystemExit(f"{folder}: no objective of --half={which} that every method has")
    searches = min(len(curves[case]) for curves in curves_of.values() for case in cases)
    queries = min(curves[case].shape[1] for curves in curves_of.values() for case in cases)
    regret = [
        [curves[case][:searches, :queries] for case in cases] for curves in curves_of.values()
    ]
    return Curves(list(curves_of), cases, np.array(regret))


def profile(regret: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Share of cases within a factor of the best method, [methods, factors].

    >>> profile(np.array([[0.1, 0.4], [0.2, 0.1]]), np.array([1.0, 2.0, 4.0])).tolist()
    [[0.5, 0.5, 1.0], [0.5, 1.0, 1.0]]
    """
    ratio = np.maximum(regret, _FLOOR) / np.maximum(regret, _FLOOR).min(axis=0)
    return (ratio[..., None] <= factors * (1 + 1e-9)).mean(axis=1)


def lines(curves: Curves) -> list[str]:
    """The report as text."""
    at = [query for query in objectives.AT if query <= curves.regret.shape[-1]]
    searches = curves.regret.shape[2]
    out = [f"{len(curves.cases)} cases, {searches} searches each; mean normalised regret at {at}"]
    by_case = curves.regret.mean(axis=2)
    shares = [profile(by_case[:, :, query - 1], np.ones(1))[:, 0] for query in at]
    best = by_case[:, :, at[-1] - 1].mean(axis=1).argmin()
    for i, method in enumerate(curves.methods):
        means = " ".join(f"{by_case[i, :, query - 1].mean():.4f}" for query in at)
        difference = stats.paired_difference(
            by_case[i, :, at[-1] - 1], by_case[best, :, at[-1] - 1]
        )
        met = (curves.regret[i, ..., -1] <= 0).mean()
        first = "/".join(str(int(np.rint(share[i] * len(curves.cases)))) for share in shares)
        text = f"  {method:16} {means}   optimum met {met:.0%}   best in {first}"
        low, high = difference["low"], difference["high"]
        if low is not None:
            text += f"   - {curves.methods[best]}: [{low:+.4f}, {high:+.4f}]"
        out.append(text)
    for case, row in zip(curves.cases, by_case.transpose(1, 0, 2), strict=True):
        cells = "  ".join(
            f"{method} " + "/".join(f"{mean[query - 1]:.3f}" for query in at)
            for method, mean in zip(curves.methods, row, strict=True)
        )
        out.append(f"  {case[0]} ({case[1]}): {cells}")
    return out


def losses(curves: Curves, method: str) -> list[str]:
    """Where another method has less regret: the paired interval of the difference is above 0."""
    at = [query for query in objectives.AT if query <= curves.regret.shape[-1]]
    own, out = curves.methods.index(method), []
    for i, case in enumerate(curves.cases):
        for query in at:
            regret = curves.regret[:, i, :, query - 1]
            others = [at for at in range(len(regret)) if at != own]
            best = min(others, key=lambda other: regret[other].mean())
            difference = stats.paired_difference(regret[own], regret[best])
            if difference["low"] is not None and difference["low"] > 0:
                means = (
                    f"{regret[own].mean():.3f}, {curves.methods[best]} {regret[best].mean():.3f}"
                )
                interval = f"[{difference['low']:+.3f}, {difference['high']:+.3f}]"
                out.append(f"  {case[0]} ({case[1]}) at {query}: {means}, difference {interval}")
    return [f"{method} loses, 95 %: {len(out)} of {len(curves.cases) * len(at)}", *out]


def draw(curves: Curves) -> Figure:
    """The performance profile, a panel for each number of queries."""
    at = [query for query in objectives.AT if query <= curves.regret.shape[-1]]
    factors = np.geomspace(1, 100, 200)
    figure = Figure(figsize=(3.2 * len(at), 3.4), layout="constrained")
    panels = figure.subplots(1, len(at), sharey=True, squeeze=False)[0]
    for axes, query in zip(panels, at, strict=True):
        shares = profile(curves.regret[..., query - 1].mean(axis=2), factors)
        for method, share in zip(curves.methods, shares, strict=True):
            axes.step(factors, share, where="post", label=method)
        axes.set(xscale="log", title=f"{query} queries", xlabel="within a factor of the best")
    panels[0].set(ylabel="share of objectives", ylim=(0, 1.02))
    panels[-1].legend(fontsize="small")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="--out of the study")
    parser.add_argument("--half", default="all", choices=["choose", "report", "all"])
    parser.add_argument("--without", nargs="*", default=[], help="families to leave out")
    parser.add_argument("--losses", help="list where this method loses to the best of the others")
    parser.add_argument("--picture", type=Path, help="file of the performance profile")
    arguments = parser.parse_args()
    curves = read(arguments.folder, arguments.half, arguments.without)
    print("\n".join(lines(curves)))
    if arguments.losses:
        if arguments.losses not in curves.methods:
            parser.error(f"--losses={arguments.losses}: choose from {', '.join(curves.methods)}")
        print("\n".join(losses(curves, arguments.losses)))
    if arguments.picture:
        draw(curves).savefig(arguments.picture, dpi=130)


if __name__ == "__main__":
    main()
