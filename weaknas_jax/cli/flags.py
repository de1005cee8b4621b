"""The flags of a search on a table, shared by the mains that do one or many."""

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
_help = "Replace the experiment of ours that --out holds. What others put there always stays."
OVERWRITE = flags.DEFINE_bool("overwrite", False, _help)
_help = "Go on with the experiment in --out, finished or not; its flags need not be repeated."
RESUME = flags.DEFINE_bool("resume", False, _help)
_help = "Seconds between checkpoints; 0 = after every round."
EVERY = _float("checkpoint_every", 10.0, _help, lower_bound=0.0)
SPACE = _enum("space", "nasbench201", [*registry.SHIPPED, "table"], "What is searched.")
DATASET = _enum("dataset", None, registry.datasets(), "Data set of the benchmark.")
TABLE = flags.DEFINE_string("table", None, "Canonical table (.npz) to search instead.")
_help = "The lowest labels of --table are the best; default: as it states."
MINIMIZE = flags.DEFINE_bool("minimize", None, _help)
_help = "Edition of the benchmark; default: its first."
VERSION = _enum("table_version", None, registry.versions(), _help)
_help = "Search only what meets this condition on the table's columns: 'params<5e6'."
CONSTRAINT = flags.DEFINE_string("constraint", None, _help)
_help = "Column, or formula of some, that the report sets the score against (Pareto front)."
COST = flags.DEFINE_string("cost", None, _help)
for _field in dataclasses.fields(SearchConfig):
    if _field.name in FIELDS:
        define(_field)
define_numbers()
DEVICES = _int("devices", None, "How many devices; default: all.", lower_bound=1)
_help = "Runs side by side on a device; default: planned."
LANES = _int("lanes", None, _help, lower_bound=1, upper_bound=4096)
CHUNK = _int("chunk", None, "Architectures scored at once; default: planned.", lower_bound=8)
_help = "MiB of each device that may be used; default: half of a CPU's, 9/10 of another's."
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


def may_resume(what: str) -> None:
    """Raises ValueError where --resume cannot be meant; ``what`` is to be gone on with."""
    if not OUT.value:
        raise ValueError(f"--resume needs --out=FOLDER, the {what} to go on with")
    if OVERWRITE.value:
        raise ValueError("--resume and --overwrite exclude one another; drop one")


def adopt(stored: Mapping[str, Any], kept: Collection[str] = ("table",)) -> None:
    """Gives flags that are not in this call their ``stored`` values.

    Args:
      stored: values by name.
      kept: of those that may differ, the ones that are taken over all the same.
    """
    for name in NAMES:
        taken = name in stored and (name not in FREE or name in kept)
        if taken and not flags.FLAGS[name].present:
            flags.FLAGS[name].value = stored[name]


def values() -> dict[str, Any]:
    """Of all flags, by name."""
    return {name: flags.FLAGS[name].value for name in NAMES}
