"""The flags of a search on a table, shared by the mains that do one or many."""

import sys
from collections.abc import Collection, Mapping
from typing import Any

from absl import flags

from weaknas_jax.cli.configure import CHOICES, NUMBERS
from weaknas_jax.core import protocol
from weaknas_jax.predictors import PREDICTORS
from weaknas_jax.search import methods
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
METHOD = _enum("method", "weaknas", list(methods.METHODS), "Search method.")
PREDICTOR = _enum("predictor", "gp", list(PREDICTORS), "Weak predictor.")
_helps = {
    "label_transform": "What the predictor is fitted on: labels scaled, or normal scores of ranks.",
    "acquisition": "What architectures are ranked by; the paper's is the predicted mean.",
    "sampling": "How the M are drawn: in the top N by place (the paper: uniform), or the best.",
}
for _name, _help in _helps.items():
    _enum(_name, None, list(CHOICES[_name]), f"{_help} Default: by predictor.")
for _name in sorted({name for of in NUMBERS.values() for name in of}):
    _of = ", ".join(f"{user[2:]} ({of[_name]:g})" for user, of in NUMBERS.items() if _name in of)
    _float(_name, None, f"Numeric setting of (default): {_of}.")
_help = "Feature blocks of kernels: the space's, or what its columns alone tell."
FEATURES = _enum("features", "space", ["space", "columns"], _help)
WITHOUT = flags.DEFINE_string("without", None, "A feature block to leave out (ablation).")
PROTOCOL = _enum("protocol", "honest", list(protocol.PRESETS), "Preset of the switches below.")
_helps = {
    "labels": "What a query returns.",
    "normalize": "Whose mean and deviation scale the labels.",
    "target": "Which optimum is to be met. For a table without test: valid.",
    "report": "Which accuracy stands for a run. For a table without test: best_valid.",
    "counting": "When a met optimum counts: at its query, or at the end of its round.",
    "predicted_top": "The predictor's best: seen if queried, first of the M, or a free look.",
}
for _name, _help in _helps.items():
    _enum(_name, None, list(protocol.CHOICES[_name]), f"{_help} Default: that of --protocol.")
_help = "Deviation of noise on each label (percent), drawn anew in each run, such as 0.2."
NOISE = _float("label_noise", 0.0, _help, lower_bound=0.0)
_help = "So many trainings more at the end for the best by noisy label, by successive halving."
REPEAT_TOP = _int("repeat_top", 0, _help, lower_bound=0)
_help = "Only neighbours of so many of the best are candidates (local search inside WeakNAS)."
NEAR_BEST = _int("near_best", 0, _help, lower_bound=0)
_help = "So many predicted scores of others are labels of a second fit (Semi-NAS inside WeakNAS)."
PSEUDO = _int("pseudo_labels", 0, _help, lower_bound=0)
_by = "Default: by predictor"
_help = f"A run ends with its budget, or when it met its target. {_by}."
STOP = _enum("stop", None, ["budget", "optimum"], _help)
SEEDS = _int("seeds", None, f"How many runs. {_by}.", lower_bound=1)
FIRST_RUN = _int("first_run", 0, "Number of the first run.", lower_bound=0)
_help = "Root of all random numbers; run i has fold_in(seed, i)."
SEED = _int("seed", 0, _help, lower_bound=0, upper_bound=2**32 - 1)
INIT = _int("init", None, f"M0, random architectures at the start. {_by}.", lower_bound=1)
PER_ROUND = _int("per_round", None, f"M, queries of each later round. {_by}.", lower_bound=1)
TOP = _int("top", 100, "N, the predicted best among which they are drawn.", lower_bound=1)
_help = "N of the last round, where N falls from --top to it; default: it stays."
TOP_END = _int("top_end", None, _help, lower_bound=1)
BUDGET = _int("budget", None, f"Q, queries of a run. {_by}.", lower_bound=1)
_help = "Measure the predictor in each round (Figure 3). Default: yes, unless rounds are quick."
DYNAMICS = flags.DEFINE_bool("dynamics", None, _help)
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
