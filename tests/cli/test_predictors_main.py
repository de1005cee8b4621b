"""The command line that compares predictors: what it leaves, how it goes on, what it refuses.

Mains name their flags alike and absl takes each once a process, so this one has its own process.
"""

import contextlib
import csv
import io
import json
import multiprocessing
import os
import re
import shutil
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import jax.numpy as jnp
import pytest
from conftest import planted_table

from weaknas_jax import Prediction, Predictor, save_table
from weaknas_jax.report import quality_folder

ROOT = Path(__file__).parents[2]
QUICK = ["--predictor=linear", "--n=9,20", "--k=3", "--runs=2"]


def absent():
    raise ValueError("needs the package absent; pip install absent")


def broken():
    """Knows a row's first slot alone, and nothing where there are 20 labels."""

    def fit(key, x, y, mask):
        return jnp.where(len(y) == 20, jnp.nan, 1.0)

    return Predictor(fit, lambda params, x: Prediction(params * x[:, 0]))


def in_its_process(arguments, builders, only, stop_after):
    """Calls the main: exit status, stdout, stderr, and how many fits were made.

    With ``builders`` as further predictors, or ``only`` these; Ctrl-C in place of a later fit.
    """
    from absl import flags
    from absl.testing import flagsaver

    from weaknas_jax.cli import predictors
    from weaknas_jax.measures import predictor_quality
    from weaknas_jax.predictors.registry import PredictorRecord

    measure, made, out, err = predictor_quality.measure, [], io.StringIO(), io.StringIO()
    registered = dict(predictors.PREDICTORS)

    def counted(*given):
        if len(made) == stop_after:
            raise KeyboardInterrupt
        made.append(measure(*given))
        return made[-1]

    predictor_quality.measure = counted
    if only:
        predictors.PREDICTORS.clear()
    records = {name: PredictorRecord(build, name) for name, build in builders.items()}
    predictors.PREDICTORS.update(records)
    try:
        with flagsaver.flagsaver(), contextlib.redirect_stdout(out):
            flags.FLAGS.unparse_flags()
            flags.FLAGS(["predictors", *arguments])
            with contextlib.redirect_stderr(err):
                status = predictors.main(["predictors"])
    finally:
        predictor_quality.measure = measure
        predictors.PREDICTORS.clear()
        predictors.PREDICTORS.update(registered)
    return status, out.getvalue(), err.getvalue(), len(made)


@pytest.fixture(scope="module")
def process():
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, initializer=os.chdir, initargs=[ROOT]) as pool:
        yield pool


@pytest.fixture(scope="module")
def call(process):
    def called(*arguments, builders=(), only=False, stop_after=None):
        given = [str(a) for a in arguments], dict(builders), only, stop_after
        return process.submit(in_its_process, *given).result()

    return called


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "planted.npz"
    save_table(path, planted_table(noise=0.3))
    return path


@pytest.fixture(scope="module")
def finished(call, table, tmp_path_factory):
    out = tmp_path_factory.mktemp("finished") / "out"
    return out, call(f"--table={table}", f"--out={out}", *QUICK)


def no_nan(constant):
    raise AssertionError(f"{constant} in JSON")


def config_of(folder):
    return json.loads((folder / "predictors.json").read_text(), parse_constant=no_nan)


def test_what_it_leaves(finished, table):
    out, (status, printed, _, made) = finished
    assert (status, made) == (0, 4)
    assert sorted(p.name for p in out.iterdir()) == sorted(quality_folder.FILES)
    config = config_of(out)
    flags = {"n": [9, 20], "k": [3], "runs": 2, "seed": 0, "predictor": ["linear"]}
    assert config["flags"].items() >= {**flags, "table": str(table)}.items()
    assert config["label_transforms"] == {"linear": "standardize"}
    assert config["sessions"][0]["versions"]["jax"]
    lines = [json.loads(line) for line in (out / "cells.jsonl").read_text().splitlines()]
    assert config["cells"] == lines
    assert [(cell["n"], cell["run"]) for cell in lines] == [(9, 0), (9, 1), (20, 0), (20, 1)]

    with open(out / "predictors.csv") as file:
        rows = list(csv.DictReader(file))
    assert [(r["n"], r["metric"]) for r in rows] == [
        (n, metric) for n in ("9", "20") for metric in ("spearman", "kendall", "precision@3")
    ]
    of_first = [cell["metrics"]["kendall"] for cell in lines[:2]]
    assert float(rows[1]["mean"]) == pytest.approx(sum(of_first) / 2)
    assert float(rows[1]["standard_error"]) == pytest.approx(abs(of_first[0] - of_first[1]) / 2)
    assert rows[1]["runs"] == "2"
    for text in (printed, (out / "predictors.md").read_text()):
        assert "Kendall's tau-b" in text
        assert f"{sum(of_first) / 2:.3f}" in text
    assert (out / "predictors.png").read_bytes().startswith(b"\x89PNG")


def test_ctrl_c_keeps_the_cells_and_resume_goes_on_to_the_same(call, finished, table, tmp_path):
    out = tmp_path / "out"
    status, printed, error, made = call(
        f"--table={table}", f"--out={out}", *QUICK, "--resume", stop_after=3
    )
    assert (status, made, printed) == (130, 3, "")
    last = error.splitlines()[-1]
    assert last.startswith("error: interrupted; computed cells are saved, resume with ")
    assert last.endswith(f" --out={out} --resume")
    with open(out / "cells.jsonl", "a") as file:
        file.write('{"predictor": "lin')  # as a kill in the middle of a line leaves it
    status, printed, _, made = call(f"--out={out}", "--resume")
    assert (status, made) == (0, 1)
    for name in ("cells.jsonl", "predictors.csv", "predictors.md"):
        assert (out / name).read_bytes() == (finished[0] / name).read_bytes()
    assert len(config_of(out)["sessions"]) == 2


@pytest.mark.slow  # Ctrl-C and resuming are above; known cells: test_quality
def test_resume_adds_what_is_asked_for_and_computes_nothing_twice(call, finished, table, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(finished[0], out)
    assert call(f"--out={out}", "--resume")[3] == 0
    assert call(f"--out={out}", "--resume", "--runs=3", "--n=12")[3] == 3 * 3 - 4
    assert config_of(out)["flags"]["n"] == [9, 12, 20]
    more = {"predictor": ["linear", "broken"], "runs": 3}
    builders = {"broken": broken}
    status, printed, _, made = call(
        f"--out={out}", "--resume", "--predictor=broken", builders=builders
    )
    assert (status, made) == (0, 9)
    assert config_of(out)["flags"].items() >= more.items()
    alone = tmp_path / "alone"
    call(f"--table={table}", f"--out={alone}", "--predictor=linear", "--n=12", "--k=3", "--runs=3")
    cells = [cell for cell in config_of(out)["cells"] if cell["predictor"] == "linear"]
    assert [cell for cell in cells if cell["n"] == 12] == config_of(alone)["cells"]
    assert "NaN from broken, n = 20, in run (how many): 0 (44), 1 (44), 2 (44)." in printed
    assert re.search(r"\| broken .*undefined \(3 runs\)", printed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--seed=1", "--k=2,3"],
            r"started with other settings: --k was \[3\], is \[2, 3\]; --seed was 0, is 1",
        ),
        (["--label_transform=rank"], '--label_transform was null, is "rank"'),
        (["--table={other}"], "started with other settings: content of --table"),
        (["--n=61"], "--n=61 leaves 3 of the 64"),
    ],
)
def test_resume_refuses_what_the_cells_depend_on(arguments, message, call, finished, tmp_path):
    save_table(tmp_path / "other.npz", planted_table(noise=0.3, seed=1))
    arguments = [a.format(other=tmp_path / "other.npz") for a in arguments]
    before = {p.name: p.read_bytes() for p in finished[0].iterdir()}
    status, printed, error, _ = call(f"--out={finished[0]}", "--resume", *arguments)
    assert (status, printed) == (2, "")
    assert re.fullmatch(rf"error: .*{message}.*\n", error)
    assert {p.name: p.read_bytes() for p in finished[0].iterdir()} == before


def test_an_absent_package_is_an_error_only_if_named(call, table, tmp_path):
    builders = {"absent": absent, "broken": broken}
    line = [f"--table={table}", *QUICK[1:]]
    given = {"builders": builders, "only": True}
    status, printed, error, made = call(*line, f"--out={tmp_path / 'a'}", **given)
    assert (status, made) == (0, 4)
    assert "absent is skipped: needs the package absent; pip install absent" in error.splitlines()
    assert "| broken" in printed
    status, _, error, made = call(
        *line, f"--out={tmp_path / 'b'}", "--predictor=broken,absent", **given
    )
    assert (status, made) == (2, 0)
    assert error == "error: --predictor=absent: needs the package absent; pip install absent\n"
    assert not (tmp_path / "b").exists()


BAD = {
    "more than there are": (["--n=20,65"], "--n=65 leaves 0 of the 64 .*--k=3; lower"),
    "nothing left to rank": (["--n=61"], "--n=61 leaves 3 of the 64 .* more than --k=3"),
    "no number": (["--n=20,many"], "--n=20,many: give whole numbers above 0"),
    "below one": (["--k=0"], "--k=0: give whole numbers above 0"),
    "negative": (["--n=-5"], "--n=-5: give whole numbers above 0"),
    "nothing": (["--n="], "--n= is empty; give a value"),
    "unknown": (["--predictor=linear,magic"], "--predictor=magic: unknown; choose from .*linear"),
    "missing file": (["--table=nowhere.npz"], "nowhere.npz: no such file"),
    "finished folder": (["--out={done}"], "holds a comparison; add --resume to continue it"),
    "file as folder": (["--out={file}"], "is a file"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_names_the_flag(case, call, finished, table, tmp_path):
    arguments, message = BAD[case]
    arguments = [a.format(done=finished[0], file=table) for a in arguments]
    status, printed, error, made = call(
        *QUICK, f"--table={table}", f"--out={tmp_path / 'new'}", *arguments
    )
    assert (status, printed, made) == (2, "", 0)
    assert re.fullmatch(rf"error: .*{message}.*\n", error)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("argument", "message"),
    [("--space=table", "--space=table needs --table=FILE"), ("--resume", "--resume needs --out=")],
)
def test_what_is_missing_is_named(argument, message, call):
    status, _, error, made = call(*QUICK, argument)
    assert (status, made) == (2, 0)
    assert re.fullmatch(rf"error: {message}.*\n", error)


def test_a_damaged_line_is_named(call, finished, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(finished[0], out)
    lines = (out / "cells.jsonl").read_text().splitlines()
    (out / "cells.jsonl").write_text("\n".join([lines[0], "{}", *lines[2:]]) + "\n")
    status, _, error, made = call(f"--out={out}", "--resume")
    assert (status, made) == (2, 0)
    assert "cells.jsonl, line 2: is damaged" in error
