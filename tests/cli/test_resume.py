"""``--resume`` as a person meets it: kills, Ctrl-C, other flags, more seeds, full disks."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from conftest import planted_table

from weaknas_jax import save_table
from weaknas_jax.cli import search
from weaknas_jax.report import run_folder

ROOT = Path(__file__).parents[2]
QUICK = ["--seeds=4", "--init=5", "--per_round=3", "--top=8", "--budget=35", "--predictor=linear"]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "planted.npz"
    save_table(path, planted_table(noise=0.3))
    return path


def start(*arguments, **options):
    env = {**os.environ, "JAX_PLATFORMS": "cpu"}
    return subprocess.Popen(
        [sys.executable, "-m", "experiments.nasbench", *map(str, arguments)],
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def call(*arguments, **options):
    process = start(*arguments, **options)
    out, err = process.communicate()
    assert "Traceback" not in err, err
    return process.returncode, out, err


def called(*arguments):
    """The exit status of `call` in this process."""
    with flagsaver.flagsaver():
        flags.FLAGS.unparse_flags()
        flags.FLAGS(["nasbench", *map(str, arguments)])
        return search.main(["nasbench"])


@pytest.fixture(scope="module")
def whole(table, tmp_path_factory):
    """The experiment that nothing disturbs."""
    out = tmp_path_factory.mktemp("whole") / "out"
    assert called(f"--table={table}", f"--out={out}", *QUICK) == 0
    return out


@pytest.fixture
def here(capsys):
    """`call` in this process, for what no signal or limit of the process has a part in."""

    def answered(*arguments):
        code = called(*arguments)
        out, err = capsys.readouterr()
        return code, out, err

    return answered


def assert_same_trace(one, other):
    a, b = run_folder.load_trace(one), run_folder.load_trace(other)
    for field in a._fields:
        np.testing.assert_array_equal(getattr(a, field), getattr(b, field), err_msg=field)


def under_way(folder, timeout=120):
    """Waits for the first checkpoint."""
    for _ in range(timeout * 50):
        if any(p.name.isdigit() for p in (folder / run_folder.CHECKPOINTS).glob("*")):
            return
        time.sleep(0.02)
    raise AssertionError("no checkpoint")


@pytest.mark.slow  # a stop by a signal is below, one after every round in test_exact
def test_kills_at_random_moments_change_nothing(table, whole, tmp_path):
    """Three `kill -9`, most of them among rounds and checkpoints (benchmarks/kills.py: 100)."""
    began = time.monotonic()
    code, _, err = call(f"--table={table}", f"--out={tmp_path / 'undisturbed'}", *QUICK)
    assert code == 0, err
    lasts = time.monotonic() - began
    folder, rng, killed = tmp_path / "out", random.Random(0), 0
    line = [f"--table={table}", f"--out={folder}", "--resume", "--checkpoint_every=0", *QUICK]
    for attempt in range(3):
        process = start(*line)
        if attempt:
            time.sleep(rng.uniform(0.3, 1.0) * lasts)
        else:
            under_way(folder)
        killed += process.poll() is None
        process.kill()
        process.communicate()
    assert killed >= 1
    code, _, err = call(*line)
    assert code == 0, err
    assert_same_trace(whole, folder)
    assert not (folder / run_folder.CHECKPOINTS).exists()


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)],
)
def test_a_signal_says_how_to_go_on(number, code, table, whole, here, tmp_path):
    folder = tmp_path / "a folder"
    process = start(f"--table={table}", f"--out={folder}", "--checkpoint_every=0", *QUICK)
    under_way(folder)
    process.send_signal(number)
    _, err = process.communicate()
    assert process.returncode == code, err
    assert "Traceback" not in err
    command = re.search(r"resume with python -m experiments.nasbench (.*)", err).group(1)
    assert command == f"'--out={folder}' --resume"
    code, out, err = here(f"--out={folder}", "--resume")
    assert code == 0, err
    assert "4 runs of 35 queries" in out
    assert_same_trace(whole, folder)


def test_finished_more_seeds_and_other_flags(table, whole, here, tmp_path):
    folder = tmp_path / "out"
    shutil.copytree(whole, folder)
    before = (folder / "summary.json").read_bytes()

    code, out, err = here(f"--out={folder}", "--resume")
    assert code == 0
    assert "all 4 runs had finished already" in err
    assert "queries to optimum" in out
    assert (folder / "summary.json").read_bytes() == before

    code, _, err = here(f"--out={folder}", "--resume", "--budget=50", "--top=9", "--stop=optimum")
    assert code == 2
    for part in ("--budget was 35, is 50", "--top was 8, is 9", '--stop was null, is "optimum"'):
        assert part in err
    assert "--seeds was" not in err
    assert "--seeds, --table may differ" in err
    assert (folder / "summary.json").read_bytes() == before

    code, out, err = here(f"--out={folder}", "--resume", "--seeds=2", "--first_run=6")
    assert code == 0, err
    trace = run_folder.load_trace(folder)
    assert trace.run.tolist() == [0, 1, 2, 3, 6, 7]
    fresh = tmp_path / "fresh"
    here(f"--table={table}", f"--out={fresh}", *QUICK, "--seeds=8")
    again = run_folder.load_trace(fresh)
    np.testing.assert_array_equal(trace.queried, again.queried[[0, 1, 2, 3, 6, 7]])
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["num_runs"] == 6
    assert summary["complete"]


def test_the_same_line_starts_and_goes_on(table, whole, here, tmp_path):
    line = [f"--table={table}", f"--out={tmp_path / 'out'}", "--resume", *QUICK]
    code, _, err = here(*line)
    assert code == 0
    assert "nothing to resume, starting" in err
    assert_same_trace(whole, tmp_path / "out")


@pytest.mark.slow  # quickly in test_checkpoint
def test_a_disk_that_fills_up(table, whole, tmp_path):
    """From some moment on no file above 200 bytes may be written: a clear error, then resume."""
    resource = pytest.importorskip("resource")
    folder = tmp_path / "out"
    process = start(f"--table={table}", f"--out={folder}", "--checkpoint_every=0", *QUICK)
    under_way(folder)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (200, resource.RLIM_INFINITY))
    _, err = process.communicate()
    assert process.returncode == 1, err
    assert "Traceback" not in err
    assert "checkpoint could not be written" in err
    assert "earlier ones are intact" in err
    assert f"--out={folder} --resume" in err
    code, _, err = call(f"--out={folder}", "--resume")
    assert code == 0, err
    assert_same_trace(whole, folder)


def damaged(config, **changes):
    return json.dumps({**json.loads(config), **changes})


BAD = {
    "no folder": ([], None, "--resume needs --out"),
    "two wishes": (["--out={out}", "--overwrite"], None, "exclude each other"),
    "no JSON": (["--out={out}"], lambda c: c[:50], "config.json: not the config.json of a search"),
    "other JSON": (["--out={out}"], lambda c: "[]", "config.json: not the config.json of a search"),
    "no runs": (
        ["--out={out}"],
        lambda c: damaged(c, runs="all"),
        "config.json: not the config.json of a search",
    ),
    "other backend": (
        ["--out={out}"],
        lambda c: damaged(c, platform="gpu"),
        'backend was "gpu", is "cpu"',
    ),
    "other table": (["--out={out}", "--table={other}"], None, "content of --table .SHA-256. was"),
    "other lanes": (["--out={out}", "--lanes=7"], None, "--lanes was 1, is 7"),
    "too many devices": (["--out={out}", "--devices=99"], None, "--devices=99: this machine has"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_names_the_flag_or_file(case, whole, here, tmp_path):
    arguments, change, message = BAD[case]
    out, other = tmp_path / "out", tmp_path / "other.npz"
    shutil.copytree(whole, out)
    save_table(other, planted_table(noise=0.9))
    if change:
        (out / "config.json").write_text(change((out / "config.json").read_text()))
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    code, _, err = here("--resume", *[a.format(out=out, other=other) for a in arguments])
    assert code == 2
    assert err.strip().splitlines()[-1].startswith("error: ")
    assert re.search(message, err)
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before


def test_one_process_at_a_time(table, here, tmp_path):
    folder = tmp_path / "out"
    with run_folder.locked(run_folder.prepare(str(folder), "x")):
        code, _, err = here(f"--table={table}", f"--out={folder}", *QUICK)
    assert code == 2
    assert "another process is using it" in err
