"""The command ``weaknas``: what it lists, what it starts, and by which name commands go on."""

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from weaknas_jax.cli.__main__ import COMMANDS
from weaknas_jax.core import called

ROOT = Path(__file__).parents[2]
ENV = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
SCRIPT = "import sys; sys.argv[0] = '/somewhere/bin/weaknas'\n"
SCRIPT += "from weaknas_jax.cli.__main__ import start; start()"


def run(*arguments, cwd=ROOT):
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=ENV, capture_output=True, text=True, check=False
    )


def weaknas(*arguments, cwd=ROOT):
    """As the script does that pip makes: a file that calls the entry point."""
    return run("-c", SCRIPT, *arguments, cwd=cwd)


def test_the_script_of_the_wheel_is_this_main():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"weaknas": "weaknas_jax.cli.__main__:start"}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_a_module_with_a_start(name):
    tree = ast.parse(Path(importlib.util.find_spec(COMMANDS[name].module).origin).read_text())
    assert "start" in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_main_of_a_clone_is_a_command():
    modules = {command.module for command in COMMANDS.values()}
    mains = [path for path in (ROOT / "experiments").glob("*.py") if path.stem != "__init__"]
    assert mains
    for path in mains:
        (module,) = re.findall(r"from (\S+) import start", path.read_text())
        assert module in modules


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_the_list_is_one_screen(arguments):
    done = weaknas(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert "  weaknas COMMAND [flags]" in done.stdout
    for name, command in COMMANDS.items():
        assert any(line.split() == [*name.split(), *command.does.split()] for line in lines)


def test_a_group_lists_its_own_commands():
    done = weaknas("paper")
    assert done.returncode == 0
    assert "  paper tables " in done.stdout
    assert "  search " not in done.stdout


def test_the_list_imports_no_jax():
    line = "import weaknas_jax.cli.__main__ as m, sys; m.text(list(m.COMMANDS));"
    line += "sys.exit(bool({'jax', 'numpy', 'absl'} & set(sys.modules)))"
    done = run("-c", line)
    assert done.returncode == 0, done.stderr


def test_the_public_names_are_there_when_they_are_asked_for():
    line = "import weaknas_jax as wn, sys; assert 'jax' not in sys.modules; wn.Choices; wn.tables;"
    line += "assert set(wn.__all__) <= set(dir(wn)); from weaknas_jax import *; weaknas, jobs"
    done = run("-c", line)
    assert done.returncode == 0, done.stderr
    done = run("-c", "from weaknas_jax import nothing")
    assert "cannot import name 'nothing' from 'weaknas_jax'" in done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["serch", "--seeds=2"], "serch: no such command; did you mean search? weaknas --help"),
        (["nothing"], "nothing: no such command; weaknas --help lists all"),
        (["--seeds=2"], "--seeds=2: no such command; "),
        (["paper", "tabels"], "paper tabels: no such command; did you mean paper tables? "),
        (["table", "inof"], "invalid choice: 'inof' (choose from "),
    ],
)
def test_what_is_no_command_is_one_line(words, says):
    done = weaknas(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert says in done.stderr


def test_the_version_is_printed():
    from weaknas_jax import __version__

    assert weaknas("--version").stdout == f"{__version__}\n"


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (["-c", SCRIPT, "plot"], "weaknas plot"),
        pytest.param(
            *(["-m", "experiments.plot"], "python -m experiments.plot"), marks=pytest.mark.slow
        ),
        (["-m", "weaknas_jax.tables"], "python -m weaknas_jax.tables"),
        (["-c", SCRIPT, "mobilenet", "pool"], "weaknas mobilenet pool"),
    ],
)
def test_help_names_the_command_as_it_was_called(start, name):
    done = run(*start, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(rf"^(usage: | +){name} ", done.stdout, re.MULTILINE)


def test_an_experiment_says_which_command_began_it(tmp_path):
    line = "--dataset=cifar10 --method=random --seeds=1 --budget=5 --stop=budget --out=F"
    done = weaknas("search", *line.split(), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    config = json.loads((tmp_path / "F" / "config.json").read_text())
    assert config["command"] == f"weaknas search {line}"


@pytest.mark.parametrize(
    ("program", "name"),
    [(None, "weaknas sweep"), ("experiments.sweep", "python -m experiments.sweep")],
)
def test_what_is_interrupted_goes_on_by_its_own_line(program, name, tmp_path, monkeypatch, capsys):
    from weaknas_jax.cli.execute import in_folder

    def work(folder, stop, again):
        (folder / "mine").touch()
        raise KeyboardInterrupt

    call(monkeypatch, program, "sweep" if program is None else None)
    out = tmp_path / "a b"
    assert in_folder(str(out), "name", False, work) == 130
    assert capsys.readouterr().err.endswith(f"checkpoint with {name} '--out={out}' --resume\n")


def call(monkeypatch, program, *words):
    """As if this process had been started by ``python -m program``, or None = by the script."""
    spec = program and importlib.machinery.ModuleSpec(program, None)
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", spec)
    monkeypatch.setattr(sys, "argv", ["/bin/weaknas", "--top=1,2", "--command=train {arch}"])
    monkeypatch.setattr(called, "_taken", [word for word in words if word])


def test_a_line_is_what_a_shell_reads(monkeypatch):
    call(monkeypatch, None, "jobs")
    assert called.this_line() == "weaknas jobs --top=1,2 '--command=train {arch}'"
    call(monkeypatch, "weaknas_jax.cli.__main__", "paper", "tables")
    assert called.line("--out=a b") == "python -m weaknas_jax.cli paper tables '--out=a b'"


def test_words_of_the_command_are_no_arguments(monkeypatch):
    call(monkeypatch, None)
    monkeypatch.setattr(sys, "argv", ["/bin/weaknas", "jobs", "--workers=2"])
    assert called.take() == "jobs"
    assert sys.argv == ["/bin/weaknas", "--workers=2"]
    assert called.this_line() == "weaknas jobs --workers=2"
