"""Measure the effect of each switch of an evaluation protocol, on NAS-Bench-201 and -101.

    weaknas paper protocols

takes the ``honest`` protocol, changes one switch at a time, and writes the paired differences over
the same seeds to ``protocols.md``, ``.csv`` and ``.png``, and their effect on comparisons between
methods to ``comparisons.csv``. ``--quick``: one data set, few runs.
`paper.switches` defines the measurements, docs/protocols.md reports results.
"""

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from absl import flags

from weaknas_jax.cli import console, entry
from weaknas_jax.cli.help import About
from weaknas_jax.cli.paper import protocols_page, searchers, switches
from weaknas_jax.cli.paper.switches import Row, Shift
from weaknas_jax.core import called
from weaknas_jax.report import provenance, run_folder
from weaknas_jax.storage import files
from weaknas_jax.tables import registry

OUT = flags.DEFINE_string("out", "runs/protocols", "Folder for the results.")
QUICK = flags.DEFINE_bool(
    "quick", False, "Only NAS-Bench-201 / CIFAR-10, and one search on NAS-Bench-101."
)
_help = "Runs on NAS-Bench-201; default: 30, or 8 with --quick. On NAS-Bench-101 2/5 of them."
RUNS = flags.DEFINE_integer("runs", None, _help, lower_bound=2, upper_bound=100_000)
_help = "Root of all random numbers; run i has fold_in(seed, i)."
SEED = flags.DEFINE_integer("seed", 0, _help, lower_bound=0, upper_bound=2**32 - 1)
NAMES = [flag.name for flag in flags.FLAGS.get_flags_for_module(sys.modules[__name__])]
FILES = ("protocols.md", "protocols.csv", "comparisons.csv", "protocols.png")


@entry.checked
def main(argv: list[str]) -> int:
    del argv
    runs, began = RUNS.value or (8 if QUICK.value else 30), time.monotonic()
    runs_101 = max(2, runs * 2 // 5)
    try:
        folder = run_folder.prepare(OUT.value, "protocols", names=FILES)
        with run_folder.locked(folder):
            traces = folder / "traces"
            traces.mkdir(exist_ok=True)
            rows, shifts = measure(runs, runs_101, SEED.value, QUICK.value, traces)
            footer = _footer(time.monotonic() - began)
            for name, records in (("protocols.csv", rows), ("comparisons.csv", shifts)):
                files.write_csv(folder / name, [row._asdict() for row in records])
            files.write_text(
                folder / "protocols.md", text := protocols_page.markdown(rows, shifts, footer)
            )
            protocols_page.draw(rows, folder / "protocols.png")
    except ValueError as error:
        return console.fail(str(error))
    except OSError as error:
        return console.fail(f"--out={OUT.value}: {error}", console.status(error))
    except KeyboardInterrupt:
        return console.fail("interrupted; run the same command line to resume", 130)
    print(text, *(folder / name for name in FILES), sep="\n")
    return 0


def measure(
    runs: int, runs_101: int, seed: int, quick: bool, traces: Path
) -> tuple[list[Row], list[Shift]]:
    """All rows and shifts; ``runs`` runs on NAS-Bench-201, ``runs_101`` on NAS-Bench-101.

    Traces are stored in the folder ``traces`` and reused from there.
    """
    datasets = registry.SHIPPED["nasbench201"].datasets
    search, search_101 = (searchers.searching(n, seed, traces) for n in (runs, runs_101))
    rows: list[Row] = []
    shifts: list[Shift] = []
    on_101 = (searchers.TEN_101,) if quick else searchers.ON_101
    for dataset in datasets[:1] if quick else datasets:
        rows += _with_progress(switches.of_nasbench201(dataset, searchers.ON_201, search))
        shifts += switches.shifts(dataset, search)
    return rows + _with_progress(switches.of_nasbench101(on_101, search_101)), shifts


def _with_progress(rows: Iterable[Row]) -> list[Row]:
    collected, note = [], console.every(20.0, lambda r: f"{r.place}, {r.method}: {r.switch} done")
    for row in rows:
        collected.append(row)
        note(row)
    return collected


def _footer(seconds: float) -> str:
    command = called.this_line()
    versions = ", ".join(f"{name} {version}" for name, version in provenance.versions().items())
    return f"`{command}`: {console.clock(seconds)} on {provenance.device()}; {versions}."


def start() -> NoReturn:
    """Reads the flags, does the work and ends the process."""
    entry.start(main, About("weaknas paper protocols", __doc__, NAMES))
