"""Flags of a search on a table, shared by the commands that run one or many."""

import dataclasses
import sys
from collections.abc import Collection, Mapping
from typing import Any

from absl import flags

from weaknas_jax.cli.define import define, define_numbers
from weaknas_jax.runs.config import FIELDS, SearchConfig
from weaknas_jax.tables import registry

_enum, _int, _float = flags.DEFINE_enum, flags.DEFINE_integer, flags.DEFINE_float

OUT = flags.DEFINE_string("out", None, "Folder for the results; default: a new one below runs/.")
_help = "Replace the experiment in --out; files that are not part of it always stay."
OVERWRITE = flags.DEFINE_bool("overwrite", False, _help)
_help = "Resume the experiment in --out, finished or not; its flags need not be repeated."
RESUME = flags.DEFINE_bool("resume", False, _help)
_help = "Seconds between checkpoints; 0 = after every round."
EVERY = _float("checkpoint_every", 10.0, _help, lower_bound=0.0)
SPACE = _enum("space", "nasbench201", [*registry.SHIPPED, "table"], "Benchmark to search.")
DATASET = _enum("dataset", None, registry.datasets(), "Data set of the benchmark.")
TABLE = flags.DEFINE_string(
    "table", None, "Canonical table (.npz) to search instead of a benchmark."
)
_help = "The lowest labels of --table are the best; default: as the file states."
MINIMIZE = flags.DEFINE_bool("minimize", None, _help)
_help = "Edition of the benchmark; default: the first."
VERSION = _enum("table_version", None, registry.versions(), _help)
_help = "Search only rows that meet this condition on the table's columns, e.g. 'params<5e6'."
CONSTRAINT = flags.DEFINE_string("constraint", None, _help)
_help = "Column of the table, or formula of columns, as the cost of the Pareto front."
COST = flags.DEFINE_string("cost", None, _help)
for _field in dataclasses.fields(SearchConfig):
    if _field.name in FIELDS:
        define(_field)
define_numbers()
DEVICES = _int("devices", None, "Number of devices; default: all.", lower_bound=1)
_help = "Runs in parallel on each device; default: planned."
LANES = _int("lanes", None, _help, lower_bound=1, upper_bound=4096)
CHUNK = _int("chunk", None, "Architectures scored at once; default: planned.", lower_bound=8)
_help = "Memory limit per device, MiB; default: 1/2 of a CPU's, 9/10 of an accelerator's."
MEMORY = _int("memory", None, _help, lower_bound=1)
PRECISION = _enum(
    "matmul_precision",
    "default",
    ["default", "high", "highest", "bfloat16", "tensorfloat32", "float32"],
    "Precision of float32 matrix products on accelerators (a CPU always has float32).",
)
NAMES = [flag.name for flag in flags.FLAGS.get_flags_for_module(sys.modules[__name__])]
FREE = {"out", "overwrite", "resume", "checkpoint_every", "seeds", "first_run", "devices"}
FREE |= {"memory", "table"}  # may differ when an experiment is resumed


def may_resume(kind: str) -> None:
    """Raises ValueError where --resume lacks --out or contradicts --overwrite.

    Args:
      kind: what --out holds, for the message.
    """
    if not OUT.value:
        raise ValueError(f"--resume needs --out=FOLDER, the {kind} to resume")
    if OVERWRITE.value:
        raise ValueError("--resume and --overwrite exclude each other; drop one")


def adopt(stored: Mapping[str, Any], also: Collection[str] = ("table",)) -> None:
    """Sets flags that this command line leaves out to their ``stored`` values.

    Args:
      stored: values by name.
      also: flags among `FREE` that are set as well.
    """
    for name in NAMES:
        adopted = name in stored and (name not in FREE or name in also)
        if adopted and not flags.FLAGS[name].present:
            flags.FLAGS[name].value = stored[name]


def values() -> dict[str, Any]:
    """Values of all flags, by name."""
    return {name: flags.FLAGS[name].value for name in NAMES}
