"""Flags without effect are refused, by name and with the flag that makes them so."""

import math
import re

import pytest
from absl import flags
from absl.testing import flagsaver
from conftest import planted_table
from helpers import call
from hypothesis import given, settings
from hypothesis import strategies as st

from weaknas_jax import save_table
from weaknas_jax.cli import entry, idle, search, sweep
from weaknas_jax.cli.flags import NAMES, values
from weaknas_jax.predictors import PREDICTORS
from weaknas_jax.search import methods

FLAGS = flags.FLAGS


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("idle") / "t.npz"
    save_table(path, planted_table())
    return path


def said(*arguments):
    """The exit status of a search, or of a sweep if an argument lists several values."""
    lists = sweep.split(["main", *map(str, arguments)])[1]
    return call(sweep if lists else search, *arguments)


SIZES = ["--seeds=1", "--init=4", "--per_round=2", "--budget=8"]
BESIDE = {
    "--predictor=mlp": "--predictor: --method=random has no predictor",
    "--acquisition=ucb": "--acquisition: --method=random",
    "--top=5": "--top: --method=random",
    "--near_best=3": "--near_best: --method=random",
    "--pseudo_labels=3": "--pseudo_labels: --method=random",
    "--features=columns": "--features: --method=random",
    "--chunk=8": "--chunk: --method=random",
    "--normalize=table": "--normalize: --method=random",
    "--dynamics": "--dynamics: --method=random",
    "--noise=0.1": "--noise=0.1: --method=random has no such setting",
}
IDLE = {
    **{flag: (["--method=random", flag], says) for flag, says in BESIDE.items()},
    "data set of a table": (["--dataset=cifar10"], "--dataset=cifar10: --table="),
    "edition of a table": (["--table_version=nats"], "--table_version=nats: --table="),
    "space of a table": (["--space=nasbench101"], "--space=nasbench101: --table="),
    "N of what takes the best": (
        ["--predictor=gp", "--top=9"],
        "--top=9: --sampling=greedy takes the best",
    ),
    "N that rises": (
        ["--predictor=linear", "--top=9", "--top_end=10"],
        "--top_end=10 is above --top=9",
    ),
    "scale of ranks": (
        ["--predictor=linear", "--label_transform=rank", "--normalize=table"],
        "--normalize: --label_transform=rank",
    ),
    "chunk of a process": (["--predictor=gp", "--chunk=8"], "--chunk: --predictor=gp"),
    "chunk above the space": (["--predictor=linear", "--chunk=72"], "--chunk=72: .* at most 64"),
    "blocks of an encoding": (
        ["--predictor=linear", "--features=columns"],
        "--features=columns: --predictor=linear",
    ),
    "in no search of a sweep": (["--method=random,lanas", "--predictor=mlp"], "--predictor: "),
    "an axis that nothing reads": (["--method=random", "--predictor=mlp,knn"], "--predictor: "),
    "replaces what?": (["--predictor=linear", "--overwrite"], "--overwrite needs --out"),
}


@pytest.mark.parametrize("case", IDLE)
def test_what_has_no_effect_is_refused(case, table, tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments, says = IDLE[case]
    assert said(f"--table={table}", *SIZES, *arguments) == 2
    error = capfd.readouterr().err
    assert error.startswith("error: ")
    assert len(error.splitlines()) == 1
    assert re.search(says, error), error
    assert not list(tmp_path.iterdir())


@pytest.mark.slow  # its refusals are quick
def test_what_one_search_of_a_sweep_reads_is_fine(table, tmp_path):
    shared = ["--predictor=linear", "--top=8", "--noise=0.1", f"--out={tmp_path / 'o'}"]
    assert said(f"--table={table}", *SIZES, "--method=weaknas,random", *shared) == 0


def test_a_default_is_read_by_every_method_and_predictor_or_not_said():
    """Nothing that was not written is ever refused, whatever is chosen."""
    with flagsaver.flagsaver():
        FLAGS.unparse_flags()
        FLAGS(["nasbench"])
        for method in methods.METHODS:
            for predictor in PREDICTORS:
                chosen = values() | {"method": method, "predictor": predictor}
                assert set(idle.unread(chosen)) <= set(NAMES)
                idle.refuse(idle.present(NAMES), [(chosen, 64)])
                reads = set(NAMES) - set(idle.unread(chosen))
                assert {"init", "per_round", "budget", "seeds", "table", "stop"} <= reads
                assert ("predictor" in reads) == methods.METHODS[method].predictor


FLOATS = [n for n in NAMES if isinstance(FLAGS[n].parser, flags.FloatParser)]
WHOLE = [n for n in NAMES if isinstance(FLAGS[n].parser, flags.IntegerParser)]
TEXTS = ["table", "constraint", "cost", "without", "out"]


@given(name=st.sampled_from(FLOATS), value=st.floats())
@settings(deadline=None)
def test_numbers_are_finite_and_zero_has_no_sign(name, value):
    if math.isfinite(value) and abs(value) <= 3.4e38:
        kept = entry.usable(name, value)
        assert kept == value
        assert math.copysign(1, kept) == 1 or value < 0
    else:
        with pytest.raises(ValueError, match=f"--{name}="):
            entry.usable(name, value)


@given(name=st.sampled_from(WHOLE), value=st.integers(2**31, 2**70))
def test_whole_numbers_fit_into_32_bits(name, value):
    if FLAGS[name].parser.upper_bound is None:
        with pytest.raises(ValueError, match=f"--{name}={value}: give at most"):
            entry.usable(name, value)


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_value_is_named(name, value, capsys):
    assert said(f"--{name}={value}") == 2
    assert f"--{name}= is empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("--label_noise=nan", "--label_noise=nan: give a finite number"),
        ("--checkpoint_every=inf", "--checkpoint_every=inf: give a finite number"),
        ("--noise=1e400", "--noise=inf: give a finite number"),
        ("--label_noise=1e39", "--label_noise=1e.39: give a finite number"),
        ("--budget=2147483648", "--budget=2147483648: give at most 2147483647"),
        ("--memory=99999999999999", "--memory=99999999999999: give at most"),
        ("--seeds=2000000000", "--seeds=2000000000: this machine's memory holds at most"),
        ("--noise=0.1,nan", "--noise=nan: give a finite number"),
        ("--without=slots,", "--without= is empty"),
    ],
)
def test_bounds_name_the_flag(argument, says, table, capsys):
    assert said(f"--table={table}", "--predictor=gp", argument) == 2
    assert re.search(says, capsys.readouterr().err)


def test_too_many_lanes_are_no_flag():
    with pytest.raises(flags.Error, match="lanes=1000000"):
        said("--lanes=1000000")
