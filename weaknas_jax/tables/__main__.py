"""Show and verify tables, and import them from other files.

    weaknas table {list,info,verify,import}    (or python -m weaknas_jax.tables)

To add an official format, add a reader to `READERS`, chosen by `kinds.kind_of`.
"""

import argparse
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, NoReturn

from weaknas_jax.core import called, endings
from weaknas_jax.spaces import graphs_file, structures_file
from weaknas_jax.spaces.choice import SpaceError
from weaknas_jax.spaces.nasbench101 import cells
from weaknas_jax.storage import files, ownership
from weaknas_jax.storage.npz import TableError, content_sha256, read_npz
from weaknas_jax.tables import describe, registry
from weaknas_jax.tables.canonical import load_table, save_table
from weaknas_jax.tables.importers import kinds, official101, official201
from weaknas_jax.tables.importers.user import Imported, import_arrays, import_csv
from weaknas_jax.tables.table import Table


class _Reader(NamedTuple):
    read: Callable[..., Table | Imported]
    options: tuple[str, ...]
    what: str


_LABELS = ("valid", "test", "scale", "minimize", "merge_repeats")
_COLUMNS = (*_LABELS, "name", "extra", "dataset", "structure", "graphs")
READERS = {
    "csv": _Reader(import_csv, (*_COLUMNS, "features", "one_hot"), "CSV"),
    "npz": _Reader(import_arrays, (*_COLUMNS, "encoding"), ".npz of arrays"),
    "pth": _Reader(official201.read_nasbench201, ("dataset",), "official NAS-Bench-201 file"),
    "tfrecord": _Reader(
        official101.read_nasbench101, ("dataset", "epochs"), "official NAS-Bench-101 file"
    ),
}
LARGE = 200_000_000  # bytes
SHOWN = 40  # decisions


def list_tables(args: argparse.Namespace) -> None:
    print(f"{'name':<32} {'size':>7} {'best valid':>11} {'best test':>10}  --labels")
    for name in registry.names():
        table = registry.load(name)
        valid = "-" if table.signal == "test" else f"{table.valid_mean.max():.3f}"
        best = f"{valid:>11} {table.test_mean.max():>10.3f}"
        print(f"{name:<32} {len(table):>7,} {best}  {', '.join(describe.labels(table))}")


def show_info(args: argparse.Namespace) -> None:
    if args.table.partition("/")[0] in registry.SHIPPED and not Path(args.table).exists():
        packed = f"{registry.checksum(args.table)} (of the packed file)"
        print(describe.info(registry.load(args.table), packed))
        return
    if not Path(args.table).exists():
        raise TableError(
            f"{args.table}: no such file; shipped tables are {', '.join(registry.names())}"
        )
    print(describe.info(*_canonical(args.table)))


def verify(args: argparse.Namespace) -> int:
    wrong = 0
    for name in () if args.files else registry.SHIPPED:
        found = registry.faults(name)
        wrong += len(found)
        for fault in found:
            _say_error(fault)
        if not found:
            print(f"{name}: ok, sha256 {registry.checksum(name)} and the known optima")
    for path in args.files:
        try:
            table, checksum = _canonical(path)
            describe.info(table, checksum)  # also finds that an optimum exists
            print(f"{path}: ok, {describe.title(table)}, {len(table):,} architectures, {checksum}")
        except TableError as error:
            wrong += 1
            _say_error(str(error))
    return 2 if wrong else 0


def import_table(args: argparse.Namespace) -> None:
    out = _free(args.out, args.file, args.overwrite)
    kind = kinds.kind_of(args.file)
    reader = READERS[kind]
    options = {option for other in READERS.values() for option in other.options}
    given = {name: value for name in options if (value := getattr(args, name)) is not None}
    if stray := sorted(set(given) - set(reader.options)):
        flag = "maximize" if given.get("minimize") is False and stray[0] == "minimize" else stray[0]
        raise TableError(
            f"--{flag} means nothing for {args.file}, which is an {reader.what}; "
            f"its options are {', '.join('--' + option for option in reader.options)}"
        )
    if (size := Path(args.file).stat().st_size) > LARGE:
        print(f"reading {size / 1e9:.1f} GB, which may take minutes ...", file=sys.stderr)
    for option, load in (("structure", structures_file.load), ("graphs", graphs_file.load)):
        if option in given:
            try:
                given[option] = load(given[option])
            except SpaceError as error:
                raise TableError(f"--{option}: {error}") from None
    read = reader.read(args.file, **given)
    table, decisions, remarks = read if isinstance(read, Imported) else Imported(read, [], [])
    try:
        save_table(out, table, args.overwrite)
    except OSError as error:
        raise TableError(f"--out={out}: could not be written ({error.strerror})") from None
    print(describe.info(*_canonical(out)))
    if kind == "pth":
        _compare(table)
    if kind == "tfrecord":
        same, known = official101.agreement(table)
        print(f"the file has {len(table):,} of the {cells.SIZE:,} architectures")
        print(f"test means equal to the shipped ones: {same:,} of {known:,} with three repeats")
    if decisions:
        print("the columns were taken as (other options: --one_hot, --features, --extra)")
        more = [f"and {len(decisions) - SHOWN} more"] * (len(decisions) > SHOWN)
        print(*(f"  {line}" for line in (*decisions[:SHOWN], *more)), sep="\n")
    for line in remarks:
        print(f"note: {line}")
    print(f"{out}: written. To search it:")
    print(f"  {called.another('search', f'--table={out}')}")


def _compare(table: Table) -> None:
    if len(table) < registry.SHIPPED["nasbench201"].size:
        print(f"the file has {len(table):,} of the 15,625 architectures; the rows are those")
    for match in official201.agreement(table):
        print(
            f"means equal to the shipped {match.version}: valid {match.valid:,} "
            f"and test {match.test:,} of {match.rows:,} architectures"
        )


def _canonical(path: str | Path) -> tuple[Table, str]:
    """A canonical table and its checksum."""
    return load_table(path), content_sha256(read_npz(path))


def _free(out: str, source: str, overwrite: bool) -> Path:
    """The path to write, checked before a long import."""
    path = Path(out)
    if os.path.isdir(path) or not path.name:
        raise TableError(f"--out={out}: a folder; name a file, such as mine.npz")
    if not os.path.isdir(path.parent):
        raise TableError(f"--out={out}: the folder {path.parent} does not exist")
    if os.path.exists(path) and os.path.exists(source) and path.samefile(source):
        raise TableError(f"--out={out}: the file to import itself; name another")
    try:
        ownership.check(path, overwrite=True)
        files.probe(path.parent)
        if os.path.lexists(path) and not overwrite:
            raise TableError(f"--out={out}: exists; add --overwrite to replace it")
    except OSError as error:
        raise TableError(f"--out={out}: cannot be written ({error.strerror})") from None
    return path


def _columns(text: str) -> list[str]:
    if not all(names := [name.strip() for name in text.split(",")]):
        raise argparse.ArgumentTypeError(f"{text!r} has an empty name between its commas")
    return names


def _factor(text: str) -> float:
    try:
        factor = float(text)
    except ValueError:
        factor = math.nan
    if not 0 < factor < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0, such as 100")
    return factor


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise TableError(f"{message} (see {self.prog} --help)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(called.line(), description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="{list,info,verify,import}")

    def command(name: str, run: Callable, text: str, more: str = "") -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text + more, allow_abbrev=False)
        made.set_defaults(run=run)
        return made

    command("list", list_tables, "The tables in the package.")
    one = command("info", show_info, "What a table holds.")
    one.add_argument("table", metavar="NAME|FILE", help="nasbench201/cifar10@v1.1, or a .npz")
    some = command("verify", verify, "Check the package's tables, or files.")
    some.add_argument("files", metavar="FILE", nargs="*", help="canonical tables (.npz)")
    make = command(
        "import",
        import_table,
        "Make a canonical table of a CSV, an .npz or an official file of NAS-Bench-101 or 201.",
        " That of NAS-Bench-201 (.pth, 4.7 GB) is held in memory as a whole, as objects of "
        "several times its size, for many minutes, and needs PyTorch: see docs/tables.md.",
    )
    make.add_argument(
        "file", metavar="FILE", help="told by its content: CSV, .npz, .pth, .tfrecord"
    )
    add = make.add_argument
    add("--out", required=True, metavar="OUT.npz", help="the canonical table to write")
    add("--overwrite", action="store_true", help="replace the file --out, whatever it holds")
    add(
        "--dataset",
        metavar="NAME",
        help="of a .pth: cifar10 (default), cifar100 or imagenet16; else the name to give",
    )
    add("--epochs", type=int, help="of a .tfrecord: 108 (default); its full file has 4, 12, 36 too")
    columns = {"type": _columns, "metavar": "COL[,COL]"}
    add(
        "--valid",
        **columns,
        help="labels to search by, a column a run; default valid, valid_1 ..",
    )
    add("--test", **columns, help="labels that judge it; default test or test_1 ..")
    add("--name", metavar="COL", help="names of the architectures; default name")
    add("--features", **columns, help="CSV: describe the architecture; default all others")
    add("--one_hot", **columns, help="CSV: features that are choices although they are numbers")
    add("--encoding", **columns, help=".npz: arrays of features; default encoding")
    add("--extra", **columns, help="kept beside: costs, other accuracies")
    add("--scale", type=_factor, help="multiplies labels; 100 makes fractions percent")
    best = make.add_mutually_exclusive_group()
    named = "of labels named like a loss it must be said"
    lowest = f"the lowest labels are the best; {named}"
    best.add_argument("--minimize", action="store_true", default=None, help=lowest)
    best.add_argument(
        *("--maximize", "--nominimize"),
        action="store_false",
        dest="minimize",
        default=None,
        help="the highest are (default)",
    )
    add(
        "--merge_repeats",
        action="store_true",
        default=None,
        help="rows that agree in all features are runs of one architecture",
    )
    add(
        "--structure",
        metavar="FILE.json",
        help="says that columns are a cell's edges or a chain's layers: see docs/tables.md",
    )
    add("--graphs", metavar="FILE.json", help="the architectures as graphs: see docs/tables.md")
    return parser


def _say_error(message: str) -> None:
    print(f"error: {message}", file=sys.stderr)


def main(argv: list[str] | None = None) -> int:
    """Runs a command; returns the exit status: 0, 2, or 130 where it was interrupted."""
    return endings.settled(_run, argv)


def _run(argv: list[str] | None) -> int:
    try:
        args = _parser().parse_args(argv)
        return args.run(args) or 0
    except (TableError, ownership.NotOurs) as error:
        _say_error(str(error))
        return 2


def start() -> NoReturn:
    """Runs the command of this process and ends it."""
    sys.exit(endings.run(main))


if __name__ == "__main__":
    start()
