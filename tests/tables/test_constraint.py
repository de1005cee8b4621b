"""``--constraint`` and ``--cost`` as a person meets them: a smaller table, a front, errors."""

import dataclasses
import re

import numpy as np
import pytest
from absl import flags
from conftest import planted_table
from helpers import call, calls, summary_of

from weaknas_jax import save_table
from weaknas_jax.cli import search, sweep
from weaknas_jax.cli.configure import load
from weaknas_jax.measures import pareto
from weaknas_jax.report import run_folder
from weaknas_jax.tables import constraints

FLAGS = flags.FLAGS
SIZES = ["--seeds=3", "--init=5", "--per_round=3", "--budget=14"]
QUICK = [*SIZES, "--top=8", "--predictor=linear"]
CHOICES = np.array(np.meshgrid(*[np.arange(4)] * 3, indexing="ij")).reshape(3, -1).T


@pytest.fixture
def table():
    """Cost is a sum of the choices, unknown for two; the best architecture is the dearest."""
    params = CHOICES.sum(axis=1).astype(np.float64)
    params[[3, 17]] = np.nan
    kind = np.array(["dense", "sparse"])[CHOICES[:, 0] % 2]
    extra = {"params": params, "kind": kind, "wide": CHOICES[:, 2] > 1, "none": params * np.nan}
    return dataclasses.replace(planted_table(noise=0.3, runs=2), extra=extra)


@pytest.fixture
def file(table, tmp_path):
    save_table(tmp_path / "planted.npz", table)
    return tmp_path / "planted.npz"


def test_a_constrained_search_is_one_of_a_smaller_table(file, table, tmp_path, capsys):
    out, apart = tmp_path / "out", tmp_path / "apart"
    said = "params < 6 and kind == 'dense'"
    assert call(search, f"--table={file}", f"--constraint={said}", f"--out={out}", *QUICK) == 0
    printed = capsys.readouterr().out
    keep = (table.extra["params"] < 6) & (table.extra["kind"] == "dense")
    assert 14 < keep.sum() < 32
    summary = summary_of(out)
    assert (summary["constraint"], summary["architectures"]) == (said, keep.sum())
    assert summary["table_size"] == 64
    assert f"{said}; met by {keep.sum()} of 64 architectures" in printed
    best = np.flatnonzero(keep)[np.argmax(table.test_mean[keep])]
    assert summary["queries_to_optimum"]["target_rows"] == [best]
    assert "pareto" not in summary
    assert not (out / "pareto.png").exists()

    smaller = table.where(keep)
    save_table(tmp_path / "smaller.npz", smaller)
    assert call(search, f"--table={tmp_path / 'smaller.npz'}", f"--out={apart}", *QUICK) == 0
    one, other = run_folder.load_trace(out), run_folder.load_trace(apart)
    np.testing.assert_array_equal(one.queried, other.queried)
    np.testing.assert_array_equal(one.scores, other.scores)
    assert summary["final"] == summary_of(apart)["final"]
    assert summary_of(apart)["queries_to_optimum"]["target_rows"] == [best]
    assert (summary_of(apart)["constraint"], summary_of(apart)["table_size"]) == (None, keep.sum())


@pytest.mark.slow  # fronts: test_pareto; that of a search: test_minimize
def test_the_front_is_reported_and_drawn(file, table, tmp_path, capsys):
    out = tmp_path / "out"
    line = [f"--table={file}", f"--out={out}", *SIZES, "--method=random", "--budget=20"]
    assert call(search, *line, "--constraint=params >= 1", "--cost=2*params + 1") == 0
    printed, summary = capsys.readouterr().out, summary_of(out)
    assert "2*params + 1; a run evaluated" in printed
    assert "pareto.png" in printed
    assert (out / "pareto.png").read_bytes().startswith(b"\x89PNG")

    params, trace = table.extra["params"], run_folder.load_trace(out)
    kept = np.flatnonzero(params >= 1)
    queried = kept[trace.queried]
    seen = np.unique(queried)
    found = summary["pareto"]["front"]
    expected = seen[pareto.front(params[seen], table.valid_mean[seen])]
    assert [one["row"] for one in found] == expected.tolist()
    for one in found:
        row = one["row"]
        assert one["name"] == table.names[row]
        assert one["cost"] == 2 * params[row] + 1
        assert one["valid"] == table.valid_mean[row]
        assert one["test"] == table.test_mean[row]
        assert one["runs"] == (queried == row).sum()
        assert f"{one['valid']:.3f}" in printed
    best = kept[pareto.front(params[kept], table.valid_mean[kept])]
    assert summary["pareto"]["table_front"] == len(best)
    share = np.mean([np.isin(best, run).mean() for run in queried])
    assert summary["pareto"]["share_of_table_front"] == pytest.approx(share)

    assert call(search, *line, "--overwrite") == 0  # and leaves no picture of another experiment
    assert not (out / "pareto.png").exists()


@pytest.mark.slow  # other flags: test_resume
def test_another_constraint_is_refused_on_resuming(file, tmp_path, capsys):
    out = tmp_path / "out"
    line = [f"--table={file}", f"--out={out}", *QUICK, "--constraint=params<7", "--cost=params"]
    assert call(search, *line) == 0
    before = (out / "summary.json").read_bytes()
    for other, there in (("constraint=params<6", "params<7"), ("cost=row", "params")):
        assert call(search, f"--out={out}", "--resume", f"--{other}") == 2
        name, now = other.split("=", 1)
        said = f'was started with other settings: --{name} was "{there}", is "{now}"'
        assert said in capsys.readouterr().err
    assert (out / "summary.json").read_bytes() == before
    assert call(search, f"--out={out}", "--resume", "--seeds=4") == 0
    summary = summary_of(out)
    assert (summary["num_runs"], summary["constraint"], summary["table_size"]) == (
        4,
        "params<7",
        64,
    )
    assert call(search, *line, "--seeds=4", f"--out={tmp_path / 'fresh'}") == 0
    assert summary["pareto"] == summary_of(tmp_path / "fresh")["pareto"]


@pytest.mark.slow  # one constraint above, lists of values in test_sweep
def test_a_sweep_over_constraints(file, tmp_path):
    """Commas in brackets divide nothing; folders are told apart though their signs are not."""
    out = tmp_path / "out"
    listed = "--constraint=params<6,params>6,kind in ('dense', 'x') and wide/1"
    line = [f"--table={file}", f"--out={out}", *QUICK, "--budget=7", "--init=4"]
    assert call(sweep, *line, listed, "--cost=params") == 0
    folders = list(out.glob("*/summary.json"))
    assert len(folders) == 3
    for path in folders:
        assert re.fullmatch(r"[\w=.+-]+", path.parent.name)
        assert (path.parent / "pareto.png").exists()
    met = {summary_of(path.parent)["constraint"]: summary_of(path.parent) for path in folders}
    assert met["params<6"]["architectures"] > met["params>6"]["architectures"]
    assert met["kind in ('dense', 'x') and wide/1"]["architectures"] == 16
    assert call(sweep, f"--out={out}", "--resume") == 0


@pytest.mark.slow  # a constrained search is above, rereading in test_minimize
def test_rereading_rebuilds_the_same_table(file, tmp_path):
    out = tmp_path / "out"
    assert call(search, f"--table={file}", f"--out={out}", *QUICK, "--constraint=params<6") == 0
    done, bad = calls("reread", [out, "--counting=round", "--cost=params"], [out, "--cost=parms"])
    assert done.status == 0, done.err
    optimum = summary_of(out)["queries_to_optimum"]
    assert f"met in {3 - optimum['censored']} of 3 runs" in done.out
    assert f"{summary_of(out)['final']['test_mean']:.3f} +-" in done.out
    assert "params<6; met by" in done.out
    assert "not dominated in valid and params" in done.out
    assert bad.status == 2
    assert "--cost='parms': there is no 'parms'; did you mean 'params'?" in bad.err


BAD = {
    "unknown column": (
        ["--constraint=parms<5"],
        "no 'parms'; .*name, none, params, row",
    ),
    "labels are hidden": (["--constraint=valid>50"], "there is no 'valid'"),
    "no condition": (["--constraint=params"], "--constraint='params': is no condition; compare"),
    "text is none": (["--constraint=kind"], "--constraint='kind': is no condition"),
    "not allowed": (["--constraint=params<<5"], "--constraint='params<<5': 'params<<5' is not"),
    "met by none": (["--constraint=params<0"], "none of the 64 architectures of the table meets"),
    "unknown is not allowed": (["--constraint=none<1e9"], "none of the 64 architectures"),
    "too few": (
        ["--constraint=params<2"],
        "--budget=14 is more than the 4 architectures .* that meet --constraint='params<2'; lower",
    ),
    "too large a budget": (["--budget=65"], "more than the 64 architectures of the table; lower"),
    "cost is text": (["--cost=kind"], "--cost='kind': is text; give a column of numbers"),
    "cost is a condition": (["--cost=wide"], "--cost='wide': is a condition"),
    "cost is unknown": (["--cost=none"], "--cost='none': is known of no architecture"),
    "no such cost": (["--cost=flops"], "--cost='flops': there is no 'flops'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_names_the_flag(case, file, tmp_path, capsys):
    arguments, message = BAD[case]
    out = tmp_path / "out"
    assert call(search, f"--table={file}", f"--out={out}", *QUICK, *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert re.search(message, error), error
    assert not out.exists()


def test_a_label_must_be_left():
    table = planted_table()
    valid = np.where(np.arange(64)[:, None] < 9, np.nan, table.valid)
    with pytest.raises(ValueError, match=r"--constraint='row<9': field 'valid' has no finite"):
        constraints.constrained(dataclasses.replace(table, valid=valid), "row<9")


def test_the_shipped_table_by_its_own_columns():
    whole, _ = load("nasbench201", "cifar10", "v1.1", None)
    which = "nasbench201", "cifar10", "v1.1", None, "params < 5e5 and latency_s < 0.02"
    small, _ = load(*which)
    kept = (whole.extra["params"] < 5e5) & (whole.extra["latency_s"] < 0.02)
    assert small.rows.tolist() == np.flatnonzero(kept).tolist()
    assert load(*which)[0] is small
    assert load("nasbench201", "cifar10", "v1.1", None)[0] is whole
