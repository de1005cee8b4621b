"""The command line: what a run folder holds, and what bad input is told."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from absl import flags
from conftest import planted_table
from helpers import call

from weaknas_jax import Table, save_table
from weaknas_jax.cli import search
from weaknas_jax.report import run_folder

FLAGS, ROOT = flags.FLAGS, Path(__file__).parents[2]
SIZES = ["--seeds=3", "--init=5", "--per_round=3", "--budget=14"]
QUICK = [*SIZES, "--top=8", "--predictor=linear"]


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch):
    monkeypatch.chdir(ROOT)


def no_nan(constant):
    raise AssertionError(f"{constant} in JSON")


def test_a_run_folder_holds_what_the_design_says(tmp_path, table_file, capsys):
    out = tmp_path / "out"
    assert call(search, "--space=table", f"--table={table_file}", f"--out={out}", *QUICK) == 0
    assert sorted(p.name for p in out.iterdir()) == sorted(run_folder.FILES)
    summary = json.loads((out / "summary.json").read_text(), parse_constant=no_nan)
    config = json.loads((out / "config.json").read_text(), parse_constant=no_nan)

    trace = np.load(out / "trace.npz", allow_pickle=False)
    assert trace["queried"].shape == (3, 14)
    assert trace["queried"].dtype == np.int32
    assert trace["round"].tolist() == [0] * 5 + [1] * 3 + [2] * 3 + [3] * 3
    assert trace["predicted_top"].shape == (3, 4)
    assert trace["run"].tolist() == [0, 1, 2]
    assert all(len(set(row)) == 14 for row in trace["queried"].tolist())

    for field in (
        "method",
        "predictor",
        "space",
        "dataset",
        "num_runs",
        "budget",
        "device",
        "versions",
    ):
        assert summary[field] is not None
    assert set(summary["protocol"]) >= {
        "labels",
        "normalize",
        "target",
        "report",
        "counts_predicted_top",
        "counting",
        "predicted_top",
    }
    optimum = summary["queries_to_optimum"]
    assert set(optimum) >= {"target", "mean", "std", "median", "ci95", "censored", "per_seed"}
    assert len(optimum["per_seed"]) == 3
    assert summary["curve"]["queries"] == list(range(1, 15))
    for name in ("oracle_test", "best_valid_test", "best_valid"):
        assert len(summary["curve"][name]["mean"]) == len(summary["curve"][name]["std"]) == 14
    assert set(summary["final"]) >= {"test_mean", "test_std", "regret", "mean_rank", "rank_of_mean"}
    assert set(summary["timing"]) == {"compile_s", "run_s"}
    assert config["flags"]["budget"] == 14
    assert config["flags"]["seed"] == 0
    assert config["settings"]["lanes"] >= 1
    assert config["matmul_precision"] == "default"

    printed = capsys.readouterr().out
    for part in ("planted / sum", "honest", "queries to optimum", "summary.json", "counting=query"):
        assert part in printed
    assert (out / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_later_runs_alone_are_those_of_the_batch(tmp_path, table_file):
    one, all_ = tmp_path / "one", tmp_path / "all"
    call(search, f"--table={table_file}", f"--out={all_}", *QUICK)
    call(search, f"--table={table_file}", f"--out={one}", *QUICK, "--seeds=1", "--first_run=2")
    alone, batch = (run_folder.load_trace(folder) for folder in (one, all_))
    assert alone.run.tolist() == [2]
    assert (alone.queried[0] == batch.queried[2]).all()


def test_other_root_other_runs(tmp_path, table_file):
    queried = []
    for seed in (0, 1):
        call(
            search,
            f"--table={table_file}",
            f"--out={tmp_path / str(seed)}",
            *QUICK,
            f"--seed={seed}",
        )
        queried.append(run_folder.load_trace(tmp_path / str(seed)).queried)
    assert not (queried[0] == queried[1]).any(axis=1).all()


@pytest.mark.parametrize(
    "switches",
    [
        ["--protocol=paper"],
        pytest.param(["--labels=single_run", "--counting=round"], marks=pytest.mark.slow),
        ["--labels=run1", "--target=valid", "--predicted_top=counted"],
        ["--method=random", "--stop=optimum", "--report=oracle_test"],
        pytest.param(["--report=predicted_best_test", "--budget=5"], marks=pytest.mark.slow),
        pytest.param(
            ["--stop=optimum", "--predicted_top=free", "--nodynamics"], marks=pytest.mark.slow
        ),
    ],
)
def test_every_switch_runs_and_is_stored(switches, tmp_path, table_file):
    out = tmp_path / "out"
    quick = SIZES if "--method=random" in switches else QUICK
    assert call(search, f"--table={table_file}", f"--out={out}", *quick, *switches) == 0
    summary = json.loads((out / "summary.json").read_text(), parse_constant=no_nan)
    for switch in switches:
        name, _, value = switch.removeprefix("--").partition("=")
        if name in summary["protocol"]:
            assert summary["protocol"][name] == value
    if "--protocol=paper" in switches:
        assert summary["protocol"]["name"] == "paper"
        assert summary["protocol"]["normalize"] == "table"


def test_a_table_without_test_is_searched_for_valid(tmp_path):
    table = planted_table()
    save_table(tmp_path / "t.npz", Table(**{**vars(table), "test": None}))
    out = tmp_path / "out"
    assert call(search, f"--table={tmp_path / 't.npz'}", f"--out={out}", *QUICK) == 0
    summary = json.loads((out / "summary.json").read_text(), parse_constant=no_nan)
    assert summary["queries_to_optimum"]["target"] == "valid"
    assert summary["curve"]["oracle_test"]["mean"] == [None] * 14
    assert summary["final"]["report"] == summary["protocol"]["report"] == "best_valid"
    for asked in ("--target=test", "--report=oracle_test"):
        assert (
            call(search, f"--table={tmp_path / 't.npz'}", f"--out={tmp_path / 'x'}", asked, *QUICK)
            == 2
        )


BAD = {
    "table without file": (["--space=table"], "--table=FILE"),
    "missing file": (["--table=nowhere.npz"], "nowhere.npz: no such file"),
    "budget below init": (["--budget=4"], "--budget=4 is less than --init=5"),
    "budget above the space": (["--budget=99"], "--budget=99 is more than the 64"),
    "no such feature block": (
        ["--predictor=gp", "--without=colour"],
        "--without=colour: choose one of the blocks slots",
    ),
    "M above N": (["--per_round=9"], "--per_round=9 .M. is more than --top=8"),
    "mean of one edition": (["--space=nasbench201", "--labels=single_run"], "table_version=nats"),
    "run that is not": (["--labels=run2"], "runs run0..run1"),
    "file as folder": (["--out={file}"], "is a file"),
    "below a file": (["--out={file}/x"], "is a file"),
    "empty folder": (["--out="], "--out= is empty"),
    "empty folder to resume": (["--out=", "--resume"], "--out= is empty"),
    "too long a folder": (["--out=" + "n" * 300], "name too long"),
    "finished folder": (["--out={done}"], "--overwrite"),
    "report without predictor": (
        ["--method=random", "--report=predicted_best_test"],
        "--report=predicted_best_test needs a predictor",
    ),
    "too late a run": (["--first_run=2147483647"], "--first_run=2147483647"),
    "unwritable folder": (["--out=/proc/nothing"], "cannot be written"),
    "setting of another method": (["--method=random", "--l2=1"], "--l2=1.0: --method=random has"),
    "setting of another predictor": (
        ["--predictor=linear", "--l2=1"],
        "--l2=1.0: --predictor=linear --acquisition=mean --sampling=uniform has no such setting",
    ),
    "bound without a deviation": (
        ["--predictor=mlp", "--acquisition=ucb"],
        "--acquisition=ucb needs a deviation, .* gp, .*linear",
    ),
    "sampling without a predictor": (
        ["--method=random", "--sampling=greedy"],
        "--sampling: --method=random has no predictor",
    ),
    "a number that is none": (["--predictor=mlp", "--l2=nan"], "--l2=nan: give a finite number"),
    "below zero": (["--predictor=mlp", "--l2=-1"], "--l2=-1.0: give a finite number"),
    "too little memory": (["--memory=1"], "1 MiB may be used; raise --memory"),
    "more devices than there are": (["--devices=99"], "--devices=99: this machine has"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_names_the_flag(case, tmp_path, capsys):
    file, done = tmp_path / "t.npz", tmp_path / "done"
    save_table(file, planted_table(runs=2, noise=0.1))
    done.mkdir()
    (done / "summary.json").write_text("{}")
    arguments, message = BAD[case]
    arguments = [a.format(file=file, done=done) for a in arguments]
    if not any(a.startswith(("--table", "--space")) for a in arguments):
        arguments.append(f"--table={file}")
    if not any(a.startswith("--out") for a in arguments):
        arguments.append(f"--out={tmp_path / 'new'}")
    assert call(search, *QUICK, *arguments) == 2
    error = capsys.readouterr().err
    assert error.splitlines()[-1].startswith("error: ")
    assert re.search(message, error)
    assert (done / "summary.json").read_text() == "{}"


@pytest.mark.parametrize(
    ("argument", "known"),
    [
        ("--dataset=svhn", "cifar10|cifar100|imagenet16"),
        ("--method=magic", "weaknas|random"),
        ("--predictor=magic", "mlp"),
        ("--protocol=ours", "honest|paper"),
        ("--labels=best", "mean|single_run"),
        ("--seeds=0", "positive"),
        ("--budget=many", "many"),
        ("--sed=3", "sed"),
        ("--seed=4294967296", "4294967295"),
    ],
)
def test_bad_flags_list_the_known(argument, known):
    with pytest.raises(flags.Error) as error:
        call(search, argument)
    assert argument.split("=")[0].strip("-") in str(error.value)
    assert known in str(error.value)


def test_interruption_keeps_finished_runs(tmp_path, table_file, monkeypatch, capsys):
    from weaknas_jax import Program

    work = Program.work

    def interrupted(self, *arguments):
        for step in work(self, *arguments):
            if step.ended:
                signal.raise_signal(signal.SIGINT)
            yield step

    line = [f"--table={table_file}", f"--out={tmp_path / 'out'}", *QUICK]
    with monkeypatch.context() as patch:
        patch.setattr(Program, "work", interrupted)
        assert call(search, *line) == 130
    assert "1 of 3 runs are finished and saved; resume with" in capsys.readouterr().err
    assert run_folder.load_summary(tmp_path / "out")["complete"] is False
    assert run_folder.load_trace(tmp_path / "out").run.tolist() == [0]
    assert call(search, *line) == 2
    assert "add --resume to continue it" in capsys.readouterr().err


@pytest.mark.slow  # in this process above, as processes in test_resume and test_constraint
def test_processes(tmp_path, table_file):
    """As a person calls it, two experiments and one picture of both; errors without a traceback."""

    def python(*arguments):
        env = {**os.environ, "JAX_PLATFORMS": "cpu"}
        command = [sys.executable, "-m", *map(str, arguments)]
        return subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, check=False
        )

    quick = [*SIZES, "--method=random", f"--table={table_file}"]
    for name in "ab":
        done = python("experiments.nasbench", *quick, f"--out={tmp_path / name}")
        assert done.returncode == 0, done.stderr
    picture = tmp_path / "both.png"
    done = python("experiments.plot", tmp_path / "a", tmp_path / "b", f"--out={picture}")
    assert done.returncode == 0, done.stderr
    assert picture.read_bytes().startswith(b"\x89PNG")
    done = python("experiments.reread", tmp_path / "a", "--counting=round", "--target=valid")
    assert done.returncode == 0, done.stderr
    assert "honest, but target=valid, counting=round" in done.stdout
    for bad in (
        ["experiments.plot", tmp_path / "none"],
        ["experiments.nasbench", "--dataset=svhn"],
    ):
        done = python(*bad)
        assert done.returncode != 0
        assert "Traceback" not in done.stderr
        assert "none" in done.stderr or "svhn" in done.stderr


def test_default_folders_are_safe_and_never_shared(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = [run_folder.prepare(None, "../../a/b c") for _ in range(3)]
    assert len(set(made)) == 3
    assert {folder.parent for folder in made} == {Path("runs")}


def test_readme_points_at_what_exists():
    text = (ROOT / "README.md").read_text()
    links = re.findall(r"\]\((?!http)([^)#]+)\)", text)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
    mains = "".join(path.read_text() for path in (ROOT / "weaknas_jax" / "cli").rglob("*.py"))
    known = {*FLAGS, *re.findall(r'(?:DEFINE_\w+|_enum|_int|_float)\(\s*"(\w+)"', mains)}
    for name in re.findall(r" `?--([a-z_]+)", re.sub(r"<!--.*?-->", "", text)):
        assert name in known or name in ("help", "dist")  # the latter is pytest's
