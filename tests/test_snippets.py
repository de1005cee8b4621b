"""Every command and block of Python that the pages print works as it is printed.

The slow tests run all of them, with the smaller sizes that the pages' comments say (`snippets`);
the quick ones parse every command by the main that it is for, compile all Python, and run those
that are marked ``quick``.
"""

import ast
import functools
import importlib.util
import itertools
import json
import re
import shlex
import subprocess
import sys
import tomllib

import numpy as np
import pytest
import snippets
from conftest import LONG
from snippets import PAGES, ROOT, Snippet

ALL = [snippet for page in PAGES for snippet in snippets.snippets(page)]
COMMANDS = [s for s in ALL if s.language == "bash"]
YOURS = """
import numpy as np

_random = np.random.default_rng(0)
x = _random.normal(size=(30, 4))
v = t = _random.uniform(50, 90, size=(30, 2))


def train_and_validate(*values, **arch):
    numbers = [v for v in [*values, *arch.values()] if isinstance(v, (int, float))]
    return float(sum(numbers))
"""
TRAIN = """
import json, sys
print("epoch 1")
print(json.loads(sys.argv[1])["depth"])
"""


@functools.cache
def printed(page: str, language: str = "json", holding: str = "") -> str:
    """The first block of a language that the page prints and that holds a text."""
    text = (ROOT / "docs" / f"{page}.md").read_text()
    blocks = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    return next(block for block in blocks if holding in block)


@pytest.fixture(scope="session")
def mine(tmp_path_factory):
    """The files that the pages leave to their reader."""
    folder = tmp_path_factory.mktemp("yours")
    rng = np.random.default_rng(0)
    rows = ["name,depth,width,op,act,valid_1,valid_2,test,flops"]
    for i in range(72):
        depth, width, op = (
            2 + 2 * (i % 3),
            2 ** (4 + i // 3 % 4),
            ("conv", "pool", "sep")[i // 12 % 3],
        )
        act, valid = ("relu", "gelu")[i // 36], rng.uniform(0.82, 0.93, 3)
        cells = [f"m{i}", depth, width, op, act, *(f"{a:.4f}" for a in valid), depth * width**2]
        rows.append(",".join(map(str, cells)))
    (folder / "mine.csv").write_text("\n".join(rows) + "\n")
    codes = np.array(np.unravel_index(312 * np.arange(50), (5,) * 6)).T
    np.savez(folder / "raw.npz", acc=rng.uniform(0.5, 0.9, (50, 3)), codes=codes)
    widths = {0: (128, 400), 2: (400, 400), 4: (400, 400), 6: (400, 1)}
    oracle = {f"{i}_weight": rng.normal(0, 0.05, (n, m)) for i, (m, n) in widths.items()}
    oracle |= {f"{i}_bias": np.zeros(n) + 0.5 for i, (_, n) in widths.items()}
    np.savez(folder / "oracle.npz", **oracle)
    cell = "|nor_conv_1x1~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|"
    best = {"format": "weaknas.best/2", "space": "nasbench201", "dataset": "cifar10"}
    (folder / "best.json").write_text(json.dumps({**best, "architecture": cell}))
    (folder / "space.json").write_text(printed("jobs"))
    (folder / "cell.json").write_text(printed("tables", holding='"cell"'))
    (folder / "graphs.json").write_text(printed("tables", holding='"graphs"'))
    (folder / "cells.csv").write_text(printed("tables", "csv"))
    (folder / "train.py").write_text(TRAIN)
    (folder / "yours.py").write_text(YOURS)
    return folder


def _by_python(line: str) -> str:
    """The script ``weaknas`` of this tree, which need not be the one that is installed."""
    return re.sub(r"^weaknas\b", "python -m weaknas_jax.cli", line)


def run(line: str, folder, timeout: float = 500) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["bash", "-c", _by_python(line.replace(".venv/bin/python", "python"))],
        cwd=folder,
        env=snippets.environment(),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def fault(snippet: Snippet, done: subprocess.CompletedProcess) -> str | None:
    """What is wrong with how a command ended."""
    wrong = done.returncode != (2 if snippet.error else 0)
    wrong |= "Traceback" in done.stderr
    wrong |= bool(snippet.error) and snippet.error not in done.stderr
    if not wrong:
        return None
    return f"{snippet.place}: {snippet.runnable}\n  status {done.returncode}: {done.stderr[-600:]}"


def beside(folder, mine) -> None:
    """Puts the reader's files into ``folder``."""
    for file in mine.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())


def faults(wanted: list[Snippet], folder, mine) -> list[str]:
    """Runs commands one after the other in a folder that holds the reader's files."""
    beside(folder, mine)
    texts = " ".join(s.runnable for s in wanted)
    before = []
    if "mine.npz" in texts and not texts.partition("mine.npz")[0].endswith("--out="):
        before.append(
            "-m weaknas_jax.tables import mine.csv --out=mine.npz --extra=flops --scale=100"
        )
    small = "-m experiments.nasbench --dataset=cifar10 --predictor=linear --seeds=2 --budget=20"
    before += [f"{small} --out={name}" for name in ("runs/A", "runs/B") if name in texts]
    for line in before:
        done = run(f"python {line}", folder)
        assert done.returncode == 0, done.stderr
    return [f for s in wanted if (f := fault(s, run(s.runnable, folder))) is not None]


BLOCKS = {}  # commands of a block follow from one another
for _one in COMMANDS:
    _last = next(reversed(BLOCKS.values()), [None])[-1]
    if _last and (_last.page, _last.line + 1) >= (_one.page, _one.line) and _last.page == _one.page:
        BLOCKS[next(reversed(BLOCKS))].append(_one)
    else:
        BLOCKS[_one.place] = [_one]
RUN, _before = {}, set()
for _at, _block in BLOCKS.items():
    _some = [s for s in _block if s.reason is None]
    _texts = tuple(s.runnable for s in _some)
    if _texts and _texts not in _before:  # the same lines on two pages are run once
        RUN[_at] = _some
        _before.add(_texts)


SEARCHES = ("README.md", "docs/paper.md", "docs/protocols.md", "docs/results.md")
"""Pages whose commands are searches of minutes."""


MINUTES = ("mobilenet demo", "table verify mine.npz", "--constraint='params<5e5' --cost=params")
"""Commands of other blocks of minutes: what they call is quick in test_demo, test_tables_cli and
test_constraint."""


def _long(at: str) -> bool:
    texts = " ".join(one.text for one in RUN[at])
    return at.startswith(SEARCHES) or any(text in texts for text in MINUTES)


@pytest.mark.slow  # what they call has quick tests of its own, and their flags are parsed below
@pytest.mark.parametrize("place", [pytest.param(at, marks=LONG if _long(at) else ()) for at in RUN])
def test_every_command_works_as_it_is_printed(place, tmp_path, mine):
    assert "\n".join(faults(RUN[place], tmp_path, mine)) == ""


QUICK = {at: some for at, block in RUN.items() if (some := [s for s in block if s.quick])}


@pytest.mark.parametrize("place", QUICK)
def test_quick_commands_work_as_they_are_printed(place, tmp_path, mine):
    assert "\n".join(faults(QUICK[place], tmp_path, mine)) == ""


PYTHON = [page for page in PAGES if snippets.script(page).strip()]


@pytest.mark.slow  # each has its quick test, of the module that it shows
@pytest.mark.parametrize(
    "page",
    [pytest.param(p, id=p.stem, marks=LONG if p.stem == "README" else ()) for p in PYTHON],
)
def test_all_python_works_as_it_is_printed(page, tmp_path, mine):
    beside(tmp_path, mine)
    lines = snippets.script(page).splitlines()
    lines[0] = "from yours import *"  # pages begin with a title
    (tmp_path / "page.py").write_text("\n".join(lines) + "\n")
    done = run("python page.py", tmp_path)
    assert done.returncode == 0, f"{page.name}, lines as on the page\n{done.stderr[-3000:]}"


@pytest.mark.parametrize(
    "snippet", [s for s in ALL if s.language == "python"], ids=lambda s: s.place
)
def test_python_compiles_and_its_imports_exist(snippet):
    tree = ast.parse(snippet.text)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            for name in (alias.name for alias in node.names):
                assert hasattr(module, name) or importlib.util.find_spec(f"{node.module}.{name}")
        elif isinstance(node, ast.Import):
            assert all(importlib.util.find_spec(alias.name) for alias in node.names)
    package = importlib.import_module("weaknas_jax")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "wn":
            assert hasattr(package, node.attr), f"wn.{node.attr}"


PARSE = """
import argparse, contextlib, importlib, io, json, os, pkgutil, runpy, sys
from absl import app, flags
import weaknas_jax
from weaknas_jax.cli import entry

for module in pkgutil.walk_packages(weaknas_jax.__path__, "weaknas_jax."):
    main = module.name.startswith("weaknas_jax.cli") or module.name.endswith("__main__")
    if not main:  # once for all
        with contextlib.suppress(ImportError):  # an extra
            importlib.import_module(module.name)


def parse(main, argv=None, flags_parser=None):
    (flags_parser or flags.FLAGS)(argv or sys.argv)
    sys.exit(0)


_parse_args = argparse.ArgumentParser.parse_args


def parse_args(self, *arguments, **more):
    _parse_args(self, *arguments, **more)
    sys.exit(0)


app.run, argparse.ArgumentParser.parse_args = parse, parse_args
_start = entry.start
entry.start = lambda main, about, argv=None: _start(lambda rest: 0, about, argv)


def said(argv):
    # What is wrong with a command, by the flags of its main alone.
    sys.argv = [word for word in argv if word != "--help"]  # all have it
    out = io.StringIO()
    try:
        with contextlib.redirect_stderr(out), contextlib.redirect_stdout(out):
            runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return "" if not end.code else f"{end.code} {out.getvalue()}"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return ""


answers = []
for argv in json.load(sys.stdin):
    read, write = os.pipe()
    if not os.fork():
        with os.fdopen(write, "w") as file:
            file.write(said(argv))
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as file:
        answers.append(file.read())
    os.wait()
print(json.dumps(answers))
"""


def parsed(lines: list[str]) -> list[str]:
    """What the mains of ``python -m`` lines say against their flags, '' = nothing."""
    argv = []
    for line in lines:
        words = shlex.split(_by_python(line), comments=True)
        assert words[1] == "-m", line
        argv.append(words[2:])
    done = subprocess.run(
        [sys.executable, "-c", PARSE],
        input=json.dumps(argv),
        env=snippets.environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


BAD = {
    "python -m experiments.nasbench --seeds=1": False,
    "python -m experiments.nasbench --sedes=1": True,
    "python -m experiments.nasbench --dataset=cifar11": True,
    "python -m experiments.sweep --top=1,2 --sampling=greedy": False,
    "python -m experiments.none": True,
    "python -m weaknas_jax.tables import a.csv --out=b.npz": False,
    "python -m weaknas_jax.tables import a.csv --outt=b.npz": True,
    "python -m experiments.mobilenet search --out=a --nothing=b": True,
    "weaknas search --seeds=1": False,
    "weaknas search --sedes=1": True,
    "weaknas nothing": True,
    "weaknas table list": False,
}
"""Commands, and whether something is wrong with them."""


def test_every_flag_exists_in_the_main_it_is_given_to():
    inline = [s for page in PAGES for s in snippets.inline(page) if s.text.count(" ") > 2]
    lines = [s for s in COMMANDS + inline if not snippets.installs(s.text)]
    lines = [s for s in lines if "pytest" not in s.text]
    answers = parsed([*BAD, *(s.runnable for s in lines)])
    assert [bool(answer) for answer in answers[: len(BAD)]] == list(BAD.values())
    pairs = zip(lines, answers[len(BAD) :], strict=True)
    assert "\n".join(f"{s.place}: {s.text}\n  {why}" for s, why in pairs if why) == ""


def test_what_is_not_run_says_why():
    unexplained = [s.place for s in ALL if s.reason == ""]
    assert unexplained == []
    reasons = {s.reason for s in ALL if s.reason}
    assert len(reasons) <= 6, sorted(reasons)  # few kinds: packages, data of others, this very test


def test_install_lines_name_a_source_that_exists():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = set(project["optional-dependencies"])
    of = itertools.chain(project["dependencies"], *project["optional-dependencies"].values())
    names = {re.split(r"[\[<>=; ]", name)[0] for name in of} - {project["name"]}
    repository = re.search(r"repo_url: (\S+)", (ROOT / "mkdocs.yml").read_text())[1]
    places = [*PAGES, ROOT / "CONTRIBUTING.md", *(ROOT / "colab").glob("*.ipynb")]
    for part in ("weaknas_jax", "experiments", "benchmarks"):
        places += (ROOT / part).rglob("*.py")
    of_text = {p: snippets.bad_sources(p.read_text(), extras, names, repository) for p in places}
    assert {p: bad for p, bad in of_text.items() if bad} == {}
    texts = {
        "pip install -e '.[trees]' # more": [],
        "pip install 'weaknas_jax[trees]'": ["weaknas_jax[trees]"],
        "pip install weaknas_jax": ["weaknas_jax"],
        "pip install -q -e '.[tree]'": [".[tree]"],
        f'pip install -q "weaknas_jax[demo] @ git+{repository}"': [],
    }
    for text, bad in texts.items():
        assert snippets.bad_sources(text, extras, names, repository) == bad


def test_blocks_are_collected_with_their_marks():
    text = """# A
<!-- run: with="--seeds=1" -->
<!-- run: line="resume" with="" -->
<!-- not run: line="gpu" it needs a GPU -->
```bash
python -m a --b=1  # why
python -m a --resume && pip install -e .
python -m a --gpu \\
  --more
```
<!-- run: swap="60 -> 20" -->
```python
x = 60
```
```
$ python -m b
error: b
```
"""
    found = snippets.snippets(ROOT / "README.md", text)
    assert [s.line for s in found] == [6, 7, 7, 9, 13, 16]
    assert [s.runnable for s in found[:3]] == [
        "python -m a --b=1 --seeds=1",
        "python -m a --resume",
        "pip install -e .",
    ]
    assert [s.reason for s in found] == [
        None, None, "it installs packages", "it needs a GPU", None, None]  # fmt: skip
    assert found[3].text == "python -m a --gpu   --more"
    assert found[4].runnable == "x = 20\n"
    assert found[5].error == "error: b"


def test_the_usual_budget_is_no_more_than_the_space(tmp_path):
    """The pages name no budget of jobs, whose default is more than their space has."""
    space = {"choices": {"depth": {"integer": [1, 3]}, "op": {"categorical": ["a", "b"]}}}
    (tmp_path / "space.json").write_text(json.dumps(space))
    line = "python -m experiments.jobs --space=space.json --command='echo {depth}' --method=random"
    done = run(line, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "6 queries" in done.stderr
