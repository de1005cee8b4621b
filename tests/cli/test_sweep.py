"""Sweeps: the same queries as single searches, one program where one will do, resumed."""

import csv
import functools
import json
import re
import signal

import jax.numpy as jnp
import numpy as np
import pytest
from absl import flags
from conftest import planted_table
from helpers import call

from weaknas_jax import Prediction, Predictor, Program, save_table
from weaknas_jax.cli import execute, search, sweep
from weaknas_jax.core import called
from weaknas_jax.predictors import PREDICTORS
from weaknas_jax.report import compare, run_folder

FLAGS = flags.FLAGS
QUICK = ["--seeds=2", "--init=5", "--per_round=3", "--budget=14", "--predictor=linear"]


@pytest.fixture
def file(tmp_path):
    save_table(tmp_path / "planted.npz", planted_table(noise=0.3, runs=3))
    return tmp_path / "planted.npz"


@pytest.fixture
def programs(monkeypatch):
    """Counts what is compiled."""
    compiled, init = [], Program.__init__

    def counting(self, *arguments, **keywords):
        compiled.append(len(keywords["points"]))
        init(self, *arguments, **keywords)

    monkeypatch.setattr(Program, "__init__", counting)
    return compiled


def test_numbers_share_a_program_and_choices_do_not(file, tmp_path, programs, capsys):
    out = tmp_path / "out"
    line = [f"--table={file}", f"--out={out}", *QUICK]
    line += ["--top=8,20", "--sampling=uniform,greedy", "--noise=0.01,0.1"]
    assert call(sweep, *line) == 0
    assert programs == [4, 4]
    with open(out / "sweep.csv", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [(r["top"], r["sampling"], r["noise"]) for r in rows] == [
        (top, sampling, noise)
        for top in ("8", "20")
        for sampling in ("uniform", "greedy")
        for noise in ("0.01", "0.1")
    ]
    printed = capsys.readouterr().out
    assert "queries to optimum" in printed
    assert (out / "sweep.md").read_text().count("\n") == 10
    assert (out / "sweep.png").read_bytes().startswith(b"\x89PNG")

    alone = tmp_path / "alone"
    single = ["--top=20", "--noise=0.1", "--sampling=uniform", f"--out={alone}"]
    assert call(search, f"--table={file}", *QUICK, *single) == 0
    a = run_folder.load_trace(out / "top=20_sampling=uniform_noise=0.1")
    b = run_folder.load_trace(alone)
    np.testing.assert_array_equal(a.queried, b.queried)
    np.testing.assert_array_equal(a.scores, b.scores)
    summary = json.loads((out / "top=8_sampling=greedy_noise=0.01" / "summary.json").read_text())
    assert rows[2]["queries"] == str(summary["queries_to_optimum"]["mean"])


def test_goes_on_where_it_stopped(file, tmp_path, programs, monkeypatch, capsys):
    out, whole = tmp_path / "out", tmp_path / "whole"
    line = [f"--table={file}", *QUICK, "--top=8,20", "--acquisition=mean,ucb"]
    assert call(sweep, *line, f"--out={whole}") == 0
    work, calls = Program.work, []

    def interrupted(self, *arguments):
        for step in work(self, *arguments):
            calls.append(1)
            if len(calls) == 6:
                signal.raise_signal(signal.SIGINT)
            yield step

    with monkeypatch.context() as patch:
        patch.setattr(Program, "work", interrupted)
        assert call(sweep, *line, f"--out={out}") == 130
    assert f"resume with {called.line('--out=')}" in capsys.readouterr().err
    assert call(sweep, f"--out={out}", "--resume", "--top=8,21") == 2
    assert '--top was ["8", "20"], is ["8", "21"]; only' in capsys.readouterr().err
    assert call(sweep, f"--out={out}", "--resume", "--budget=15") == 2
    assert call(sweep, *line, f"--out={out}") == 2
    assert "holds a sweep" in capsys.readouterr().err
    assert call(sweep, f"--out={out}", "--resume") == 0
    for folder in sorted(whole.glob("*/")):
        a, b = (run_folder.load_trace(f / folder.name) for f in (whole, out))
        for field in a._fields:
            np.testing.assert_array_equal(getattr(a, field), getattr(b, field), err_msg=field)
    assert not (out / ".weaknas-checkpoints").exists()
    before = len(programs)
    assert call(sweep, f"--out={out}", "--resume") == 0  # nothing is left to do
    assert len(programs) == before


@pytest.mark.slow  # what a sweep removes is quick in test_ownership
def test_replaced_as_a_whole(file, tmp_path, capsys):
    out = tmp_path / "out"
    line = [f"--table={file}", f"--out={out}", *QUICK, "--seeds=1"]
    assert call(sweep, *line, "--top=8,20") == 0
    (out / "checkpoints" / "0").mkdir(parents=True)  # not ours: our folder has a private name
    assert call(sweep, *line, "--top=9,21", "--overwrite") == 0
    assert sorted(f.parent.name for f in out.glob("*/trace.npz")) == ["top=21", "top=9"]
    assert (out / "checkpoints" / "0").is_dir()
    for more in ([], ["--overwrite"]):
        assert call(search, *line, *more) == 2
        assert "holds a sweep" in capsys.readouterr().err


@pytest.mark.slow  # another sweep is above
def test_the_main_job_is_a_sweep_over_the_data_sets(tmp_path, capsys):
    out = tmp_path / "out"
    line = [f"--out={out}", "--seeds=1", "--budget=4"]
    assert call(search, *line) == 0
    found = sorted(f.parent.name for f in out.glob("*/trace.npz"))
    assert found == ["dataset=cifar10", "dataset=cifar100", "dataset=imagenet16"]
    assert call(search, f"--out={out}", "--resume", "--seeds=2") == 0
    for name in found:
        summary = run_folder.load_summary(out / name)
        assert (summary["num_runs"], summary["stop"]) == (2, "optimum")
        assert summary["predictor"] == "mixture"
    assert call(search, f"--out={out / found[0]}", "--resume") == 0
    assert "finished already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--top=8,x"], "--top=x: "),
        (["--sampling=uniform,best"], "--sampling=best: "),
        (["--seeds=2,3"], "--seeds: cannot be a list"),
        (["--nonsense=2,3"], "--nonsense: cannot be a list"),
        (["--top=8,8"], "--top=8,8: a value is listed twice"),
        (["--top=8,2"], "top=2: --per_round=3 .M. is more than --top=2"),
        (["--acquisition=mean,percentile", "--predictor=gp_ml"], "percentile needs draws"),
    ],
)
def test_bad_lists_are_named_before_anything_runs(arguments, message, file, tmp_path, capsys):
    line = [f"--table={file}", f"--out={tmp_path / 'out'}", *QUICK]
    assert call(sweep, *line, *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert re.search(message, error), error
    assert not (tmp_path / "out").exists()


def test_a_predictor_that_returns_nan_ends_its_run_and_is_named(
    file, tmp_path, monkeypatch, capsys
):
    """In round 2, in those runs whose third label is above the mean of what they know."""
    good = PREDICTORS["linear"]()

    def fit(key, x, y, mask):
        return good.fit(key, x, y, mask), (mask.sum() >= 8) & (y[2] > 0)

    def predict(params, x):
        fitted, fails = params
        return Prediction(jnp.where(fails, jnp.nan, good.predict(fitted, x).mean))

    record = PREDICTORS["linear"]
    builder = functools.wraps(record.build)(lambda **unused: Predictor(fit, predict))
    monkeypatch.setitem(PREDICTORS, "linear", record._replace(build=builder))
    out = tmp_path / "out"
    code = call(search, f"--table={file}", f"--out={out}", *QUICK, "--seeds=8", "--top=8")
    assert code == 1
    captured = capsys.readouterr()
    trace = run_folder.load_trace(out)
    stopped = trace.nan_round >= 0
    assert 0 < stopped.sum() < 8
    for run in trace.run[stopped]:
        assert f"run {run} in round {trace.nan_round[run]}" in captured.err
        assert (trace.queried[run] >= 0).sum() == 5 + 3 * trace.nan_round[run]
    assert ((trace.queried[~stopped] >= 0).sum(axis=1) == 14).all()
    assert "--seed=0" in captured.err
    assert "the predictor returned NaN" in captured.out


def test_a_row_says_when_the_mean_is_a_bound():
    optimum = {"mean": 9.5, "mean_is_lower_bound": True, "standard_error": 1.0, "median": None}
    optimum |= {"ci95": [8.0, 10.0], "censored": 3, "budget": 10}
    final = {"report": "best_valid", "test_mean": None, "test_std": None, "regret": None}
    final["best_valid_mean"] = 70.0
    unit = {"percent": True, "minimize": False}
    rows = [
        compare.row(
            {"top": "5"}, {"num_runs": 4, "queries_to_optimum": optimum, "final": final, **unit}
        )
    ]
    assert ">= 9.5" in compare.text(rows)
    assert "> 10" in compare.markdown(rows)
    assert "70.000" in compare.markdown(rows)
    assert execute.broken([{"broken": {}}], ["f"], 0) is None
