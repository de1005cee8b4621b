"""Tables of which the lowest label is the best: imported, searched and shown as they are."""

import dataclasses
import json
import re

import numpy as np
import pytest
from absl import flags
from conftest import planted_table, ridge
from helpers import call, calls, summary_of
from hypothesis import given
from hypothesis import strategies as st

import weaknas_jax as wn
from weaknas_jax import TableError, load_table, save_table
from weaknas_jax.cli import search, sweep
from weaknas_jax.core import protocol
from weaknas_jax.measures import metrics, pareto
from weaknas_jax.report import plots, run_folder
from weaknas_jax.runs import replay
from weaknas_jax.tables import read_arrays, read_csv
from weaknas_jax.tables.__main__ import main as tables
from weaknas_jax.tables.importers import direction

FLAGS = flags.FLAGS
QUICK = ["--seeds=3", "--init=5", "--per_round=3", "--top=8", "--budget=20", "--predictor=linear"]


def mirrored(table, factor=-0.03, offset=2.0):
    """The same table with losses in place of accuracies: the order of the labels is turned."""
    losses = [offset + factor * part for part in (table.valid, table.test)]
    return dataclasses.replace(table, valid=losses[0], test=losses[1], minimize=True)


@pytest.fixture
def files(tmp_path):
    table = planted_table(noise=0.3, runs=2)
    table = dataclasses.replace(table, extra={"params": np.arange(64.0)[::-1]})
    save_table(tmp_path / "high.npz", table)
    save_table(tmp_path / "low.npz", mirrored(table))
    return tmp_path


def test_a_search_for_the_lowest_is_that_for_the_highest_turned(files, capsys):
    for name in ("high", "low"):
        line = [f"--table={files / name}.npz", f"--out={files / name}", *QUICK, "--cost=params"]
        assert call(search, *line, "--sampling=greedy") == 0
    printed = capsys.readouterr().out
    assert "best is" in printed
    assert "the lowest score" in printed
    low, high = load_table(files / "low.npz"), summary_of(files / "high")
    assert low.minimize
    found = summary_of(files / "low")
    assert (found["minimize"], found["percent"]) == (True, False)
    traces = [run_folder.load_trace(files / name) for name in ("high", "low")]
    np.testing.assert_array_equal(traces[0].queried, traces[1].queried)
    # What is shown is the table's own: scores, curves, answers, front.
    seen = low.valid_mean[traces[1].queried]
    np.testing.assert_allclose(traces[1].scores, seen, rtol=1e-6)
    best = np.minimum.accumulate(seen, axis=1).mean(axis=0)
    np.testing.assert_allclose(found["curve"]["best_valid"]["mean"], best, rtol=1e-5)
    for key in ("queries_to_optimum",):
        assert found[key] == high[key]
    assert found["queries_to_optimum"]["target_rows"] == [int(low.test_mean.argmin())]
    for key, each in found["final"]["each"].items():
        if each["test_mean"] is not None:
            assert each["regret"] >= 0
            assert each["test_mean"] - each["regret"] == pytest.approx(low.test_mean.min())
            assert each["mean_rank"] == high["final"]["each"][key]["mean_rank"]
    front = [one["row"] for one in found["pareto"]["front"]]
    assert front == [one["row"] for one in high["pareto"]["front"]]
    valid = [one["valid"] for one in found["pareto"]["front"]]
    assert valid == sorted(valid, reverse=True)
    assert (files / "low" / "curve.png").read_bytes().startswith(b"\x89PNG")
    results = [plots.Result(name, summary_of(files / name)) for name in ("low", "low")]
    plots.draw(results, files / "both.svg")
    assert "loss (the lowest is the best)" in (files / "both.svg").read_text()


@pytest.mark.slow  # a search, its files and rereading are here
def test_everything_that_reads_a_run_knows_the_direction(files, capsys):
    line = [f"--table={files / 'low.npz'}", f"--out={files / 'run'}", *QUICK]
    assert call(search, *line) == 0
    before = summary_of(files / "run")["final"]
    capsys.readouterr()
    assert call(search, f"--out={files / 'run'}", "--resume", "--seeds=4") == 0
    assert summary_of(files / "run")["minimize"]
    table, trace = load_table(files / "low.npz"), run_folder.load_trace(files / "run")
    curves = metrics.curves(trace, table, wn.HONEST)
    np.testing.assert_allclose(
        curves.oracle_test[:3, -1], table.test_mean[trace.queried[:3]].min(axis=1)
    )
    assert before["regret"] >= 0
    seen = pareto.measure(trace, table, "params", table.extra["params"])
    assert (np.diff(table.valid_mean[seen.found]) < 0).all()


@pytest.mark.slow  # a replay of a highest score is quick in test_figures
def test_a_replay_finds_the_trace_again(files):
    table = load_table(files / "low.npz")
    problem = wn.task.make(table, wn.HONEST)
    method = wn.weaknas(wn.refit(ridge()), init=5, per_round=3, top=8, budget=14)
    trace, _ = wn.run_many(method, problem, 0, range(2))
    np.testing.assert_allclose(trace.scores, table.valid_mean[trace.queried], rtol=1e-6)
    for run in trace.run:
        assert len(list(replay.replay(method, problem, trace, int(run)))) == 4


def test_a_file_that_states_nothing_takes_the_flag(files, capsys):
    arrays = dict(np.load(files / "low.npz"))
    del arrays["minimize"], arrays["sha256"]
    np.savez(files / "old.npz", **arrays)
    assert not load_table(files / "old.npz").minimize
    assert load_table(files / "old.npz", minimize=True).minimize
    assert (
        call(search, f"--table={files / 'old.npz'}", "--minimize", f"--out={files / 'o'}", *QUICK)
        == 0
    )
    assert call(search, f"--table={files / 'low.npz'}", f"--out={files / 'p'}", *QUICK) == 0
    one, other = (run_folder.load_trace(files / name) for name in "op")
    np.testing.assert_array_equal(one.queried, other.queried)
    assert call(search, "--cost=params", f"--out={files / 'o'}", "--resume", "--nominimize") == 2
    assert "--minimize was true, is false" in capsys.readouterr().err


CONTRADICTIONS = {
    "low, called high": (["--table=low.npz", "--nominimize"], "its lowest labels .*--nominimize"),
    "high, called low": (["--table=high.npz", "--minimize"], "its highest labels .*--minimize"),
    "a benchmark": (["--dataset=cifar10", "--minimize"], "accuracies of nasbench201 are maximized"),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_a_contradiction_is_refused(case, files, capsys, monkeypatch):
    monkeypatch.chdir(files)
    arguments, message = CONTRADICTIONS[case]
    assert call(search, *arguments, "--out=out") == 2
    error = capsys.readouterr().err
    assert re.search(message, error), error
    assert error.count("\n") == 1
    assert not (files / "out").exists()


@pytest.mark.slow  # one search, and all that reads it, are above
def test_a_sweep_and_a_comparison_of_predictors(files):
    line = [f"--table={files / 'low.npz'}", f"--out={files / 's'}", *QUICK, "--top=8,16"]
    line.remove("--top=8")
    assert call(sweep, *line) == 0
    assert (files / "s" / "sweep.csv").read_text().count(",score,lowest") == 2
    line = [f"--table={files / 'low.npz'}", "--predictor=linear", "--runs=2"]
    (done,) = calls("predictors", [*line, f"--out={files / 'q'}"])
    assert done.status == 0, done.err
    assert "note: --n=20,50: the larger defaults exceed the table" in done.err
    content = json.loads((files / "q" / "predictors.json").read_text())
    assert [cell["metrics"]["kendall"] > 0.5 for cell in content["cells"]] == [True] * 4


LABELS = {
    "losses": (0.6, 3.5),
    "log-likelihoods": (-5e4, -3e4),
    "returns": (-300.0, 900.0),
    "latencies": (1e-7, 4e-7),
    "parameters": (1e9, 9e9),
}


QUICK_KINDS = {("latencies", True), ("returns", False)}


@pytest.mark.parametrize(
    ("kind", "minimize"),
    [
        pytest.param(kind, lowest, marks=[pytest.mark.slow] * ((kind, lowest) not in QUICK_KINDS))
        for kind in LABELS
        for lowest in (True, False)
    ],
)
def test_scores_of_any_size_are_searched(kind, minimize, tmp_path):
    """Better than chance, in each direction; and said in their own unit."""
    low, high = LABELS[kind]
    rng = np.random.default_rng(1)
    depth, width = np.meshgrid(np.arange(1, 13), np.arange(1, 13))
    worth = (depth - 1.0).ravel() / 11 + (width - 1.0).ravel() / 11
    labels = low + (high - low) * (worth / 2 + 1e-3 * rng.random(144))
    cells = zip(depth.flat, width.flat, labels.tolist(), strict=True)
    lines = [f"{d},{w},{y!r}" for d, w, y in cells]
    (tmp_path / "t.csv").write_text("\n".join(["depth,width,reward", *lines]))
    table = read_csv(tmp_path / "t.csv", valid=["reward"], minimize=minimize)
    assert table.unit == "score"
    save_table(tmp_path / "t.npz", table)
    back = load_table(tmp_path / "t.npz")
    assert (back.minimize, back.percent) == (minimize, False)
    problem = wn.task.make(back, protocol.resolve("honest", target="valid", report="best_valid"))
    method = wn.weaknas(wn.refit(ridge()), init=6, per_round=4, top=8, budget=26)
    trace, _ = wn.run_many(method, problem, 0, range(3))
    final = metrics.curves(trace, back, wn.HONEST).best_valid[:, -1]
    best = labels.min() if minimize else labels.max()
    assert np.abs(final - best).max() < 0.1 * (high - low)


LOSSES = (
    "loss", "val_loss", "valLoss", "Validation-Loss", "test_err", "top1err", "latency_ms",
    "time", "perplexity", "RMSE", "val_NLL", "WER", "FID", "logloss", "valerror",
    "cross_entropy",
)  # fmt: skip
NO_LOSSES = (
    "valid_1", "val_acc", "accuracy", "top1", "reward", "glossary", "timely", "mercer", "auc",
)  # fmt: skip


@pytest.mark.parametrize("name", LOSSES)
def test_a_label_named_like_a_loss_needs_its_direction(name, tmp_path):
    (tmp_path / "t.csv").write_text(f"d,{name}\n1,0.5\n2,0.7\n")
    np.savez(tmp_path / "t.npz", encoding=np.eye(2), **{name: np.array([0.5, 0.7])})
    for read, path in ((read_csv, "t.csv"), (read_arrays, "t.npz")):
        with pytest.raises(TableError, match=f"'{name}' is named .*--minimize .*--maximize"):
            read(tmp_path / path, valid=[name])
        assert read(tmp_path / path, valid=[name], minimize=True).minimize
        assert not read(tmp_path / path, valid=[name], minimize=False).minimize


@pytest.mark.parametrize("name", NO_LOSSES)
def test_other_names_are_maximized(name, tmp_path):
    (tmp_path / "t.csv").write_text(f"d,{name}\n1,50\n2,70\n")
    assert not read_csv(tmp_path / "t.csv", valid=[name]).minimize


@given(st.text(max_size=20))
def test_any_name_has_words(name):
    assert isinstance(direction.is_loss(name), bool)


@pytest.mark.parametrize(
    ("said", "minimize"), [("--minimize", True), ("--maximize", False), ("--nominimize", False)]
)
def test_import_says_what_is_the_best(said, minimize, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("d,val_loss,test_loss\n1,0.5,0.6\n2,3.7,3.6\n")
    line = ["import", "t.csv", "--out=t.npz", "--valid=val_loss", "--test=test_loss"]
    assert tables(line) == 2
    assert "'val_loss' is named like" in capsys.readouterr().err
    assert tables([*line, said]) == 0
    printed = capsys.readouterr().out
    assert f"best is        the {'lowest' if minimize else 'highest'}" in printed
    assert "%" not in printed.split("the columns")[0]
    assert tables(["info", "t.npz"]) == 0
    row = 0 if minimize else 1
    assert re.search(rf"best valid +\S+  row {row}", capsys.readouterr().out)
    assert load_table("t.npz").minimize is minimize
    assert tables([*line, "--minimize", "--maximize", "--overwrite"]) == 2


@pytest.mark.slow  # reading again is quick in test_repeats, the direction above
def test_rereading_knows_the_direction(files):
    line = [f"--table={files / 'low.npz'}", f"--out={files / 'run'}", *QUICK]
    assert call(search, *line) == 0
    regret = summary_of(files / "run")["final"]["regret"]
    (done,) = calls("reread", [files / "run", "--counting=round"])
    assert done.status == 0, done.err
    assert f"regret {regret:.6g}" in done.out
