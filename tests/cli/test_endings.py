"""How commands begin and end: help, one line for what may happen, one status for each kind."""

import ast
import contextlib
import errno
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from weaknas_jax.core import endings

ROOT = Path(__file__).parents[2]
COMMANDS = ("demo", "convert", "evaluate", "search", "train", "pool")
MAINS = ("nasbench", "sweep", "jobs", "predictors", "tables", "figures", "protocols")
MAINS = (*MAINS, "plot", "reread", "build", "mobilenet", *(f"mobilenet {c}" for c in COMMANDS))
ENV = os.environ | {"JAX_PLATFORMS": "cpu"}


def main(*arguments, env=ENV, **how):
    line = [sys.executable, "-m", *map(str, arguments)]
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | how
    return subprocess.run(line, cwd=ROOT, env=env, text=True, check=False, **how)


def raises(error):
    def work():
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError("huge"), 1, "out of memory"),
        (OSError(errno.ENOSPC, "No space left on device", "f"), 1, "f: No space left"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "aaa"), 2, "aaa: File name too long"),
        (PermissionError(errno.EACCES, "Permission denied", "f"), 2, "f: Permission denied"),
        (RuntimeError("RESOURCE_EXHAUSTED: 4 GB"), 1, "lower --lanes"),
        (SystemExit(3), 3, ""),
        (SystemExit(), 0, ""),
    ],
)
def test_what_may_happen_is_one_line_and_one_status(error, status, says, capsys):
    assert endings.settled(raises(error)) == status
    said = capsys.readouterr().err
    assert says in said
    assert len(said.splitlines()) == bool(says)


@pytest.mark.parametrize("error", [RuntimeError("a fault"), TypeError("a fault"), KeyError("x")])
def test_faults_of_ours_are_not_hidden(error):
    with pytest.raises(type(error)):
        endings.settled(raises(error))


CHILD = """
import sys
from weaknas_jax.core import endings
def work():
    for line in range(20000):
        print("line", line)
    print("done", file=sys.stderr)
    return {status}
sys.exit(endings.run(work))
"""


@pytest.mark.parametrize(
    ("into", "status", "ends", "says"),
    [
        ("| head -1", 0, 0, "done\n"),
        ("| head -1", 1, 1, "done\n"),
        ("> /dev/full", 0, 1, "done\nerror: standard output cannot be written to: No space"),
        ("2>&1 | head -1", 0, 0, ""),
    ],
)
def test_output_that_nobody_takes_does_not_end_the_work(into, status, ends, says, tmp_path):
    (tmp_path / "child.py").write_text(CHILD.format(status=status))
    line = f"{sys.executable} {tmp_path / 'child.py'} {into}; exit ${{PIPESTATUS[0]}}"
    env = ENV | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", line], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == ends
    assert done.stderr.startswith(says)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@contextlib.contextmanager
def sigint_by_default():
    """Children do not inherit that it is ignored, as it is in what a shell runs by ``&``."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="sees what is imported in /proc")
@pytest.mark.parametrize(
    "start",
    [
        ["-m", "experiments.nasbench"],
        ["-m", "weaknas_jax.tables"],
        ["-c", "from weaknas_jax.cli.__main__ import start; start()", "search"],  # the script
    ],
)
def test_ctrl_c_while_importing_is_one_line(start):
    with sigint_by_default():
        process = subprocess.Popen(
            [sys.executable, *start, "--help"],
            cwd=ROOT,
            env=ENV,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
    maps = Path(f"/proc/{process.pid}/maps")
    while process.poll() is None and "jaxlib" not in maps.read_text():
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate()
    assert (process.returncode, error) == (130, "error: interrupted\n")


def help_of(line):
    done = main(*f"experiments.{line}".split(), "--help")
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 100
    return done.stdout


def test_help_is_grouped_and_says_defaults():
    said = help_of("nasbench")
    groups = ("search space:", "method and predictor:", "protocol:", "runs and seeds:")
    assert all(group in said for group in groups)
    assert "--beta=X  acquisition=ucb (1.5)" in said
    assert re.search(r"\ngp, mixture\n +rank +ucb +greedy +1 +1 +400 +optimum +100\n", said)
    assert "on nasbench101" in said


def test_help_of_a_command_is_that_command_s():
    said = help_of("mobilenet convert")
    assert "--weights" in said
    assert "--oracle" not in said
    assert "--predictor" not in said


@pytest.mark.slow  # the two tests above, of all of them
@pytest.mark.parametrize("line", MAINS)
def test_help_of_every_main(line):
    said = help_of(line)
    for flag in {"tables": ["quick", "seeds"], "figures": ["figure"], "jobs": ["space"]}.get(
        line, ["out"] if line not in ("mobilenet", "reread", "mobilenet evaluate") else []
    ):
        assert f"--{flag}" in said


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_says_which_shared_flags_it_reads(command):
    """``SHARED`` is what its module, and what that calls of the shared one, mention."""
    folder = ROOT / "weaknas_jax" / "cli" / "mobilenet"
    shared = ast.parse((folder / "flags.py").read_text())
    constants = {
        node.targets[0].id: node.value.args[0].value
        for node in shared.body
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and node.targets[0].id.isupper()
    }

    def mentioned(name):
        tree = ast.parse((folder / f"{name}.py").read_text())
        names = {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "flags"
        }
        more = {"supernet": {"WIDTH"}, "window": {"FLOPS"}, "split": {"IMAGENET", "DATA_SEED"}}
        for call, reads in more.items():
            names |= reads if call in names else set()
        return {constants[n] for n in names if n in constants}

    names = mentioned(command)
    if command == "search":
        names |= {"threads", "image_size", "batch"}  # of evaluate.read_images
    module = ast.parse((folder / f"{command}.py").read_text())
    (listed,) = (
        node.value
        for node in module.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "SHARED"
    )
    tuples = {"flags.IMAGE_FLAGS": _tuple(shared, "IMAGE_FLAGS"), "job_flags.NAMES": ()}
    assert set(_words(listed, tuples)) == names


def _tuple(module, name):
    """The words of a tuple that a module assigns."""
    (value,) = (
        node.value
        for node in module.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == name
    )
    return _words(value, {})


def _words(node, tuples):
    """The words of a tuple in source, of starred ones by name those of ``tuples``."""
    words = []
    for element in node.elts:
        if not isinstance(element, ast.Starred):
            words.append(ast.literal_eval(element))
        elif isinstance(element.value, ast.Tuple):
            words += _words(element.value, tuples)
        else:
            words += tuples[ast.unparse(element.value)]
    return words


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (["experiments.nasbench", "--seeds=abc"], "--seeds=abc: give a whole number"),
        (["experiments.mobilenet", "pool", "--recalibrate=3"], "--recalibrate: "),
        (["experiments.nasbench", "--sed=3"], "sed"),
    ],
)
@pytest.mark.slow
def test_flags_that_cannot_be_are_one_line(line, says):
    done = main(*line)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("platform", ["cuda", "foo"])
@pytest.mark.slow
def test_a_platform_that_is_not_there_is_one_line(platform, tmp_path):
    line = ["experiments.nasbench", "--dataset=cifar10", f"--out={tmp_path / 'o'}"]
    done = main(*line, env=ENV | {"JAX_PLATFORMS": platform})
    assert done.returncode == 2
    error = done.stderr.splitlines()[-1]
    assert error.startswith(f"error: JAX_PLATFORMS={platform}: ")
    assert "set JAX_PLATFORMS=cpu" in error
    assert "Traceback" not in done.stderr


def test_a_path_too_long_is_one_line(tmp_path, capsys):
    from absl import flags
    from absl.testing import flagsaver

    from weaknas_jax.cli import search

    with flagsaver.flagsaver():
        flags.FLAGS.unparse_flags()
        flags.FLAGS(["nasbench", f"--out={tmp_path / ('a' * 300)}", "--dataset=cifar10"])
        assert search.main(["nasbench"]) == 2
    error = capsys.readouterr().err
    assert "File name too long" in error
    assert len(error.splitlines()) == 1
