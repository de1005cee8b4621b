"""`experiments.jobs` and the commands that it runs."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import calls, is_drawn

from weaknas_jax.jobs.command import Command, CommandError, score

SPACE = {
    "choices": {
        "depth": {"integer": [1, 6]},
        "op": {"categorical": ["conv", "it's"]},
        "ratio": {"ordinal": [2, 4], "when": {"op": "it's"}},
    },
    "constraint": "depth < 6",
    "cost": "depth * 10",
}
TRAIN = """
import json, os, sys, time
arch = json.loads(sys.argv[1])
time.sleep(float(os.environ.get("PAUSE", "0")))
with open("calls", "a") as file:
    file.write(sys.argv[1] + "\\n")
print("epoch 1")
ratio = arch["ratio"] or 0
print(json.dumps({"score": 10 - (arch["depth"] - 4) ** 2 + ratio, "params": arch["depth"]}), "\\n")
"""
LINE = [
    *("--space=space.json", f"--command={sys.executable} train.py {{arch}}", "--workers=2"),
    *("--budget=12", "--predictor=linear", "--sampling=greedy"),
]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "space.json").write_text(json.dumps(SPACE))
    (tmp_path / "train.py").write_text(TRAIN)
    return tmp_path


def environment(**more):
    root = str(Path(__file__).parents[2])
    return {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": root, **more}


def main(folder, *arguments, **more):
    command = [sys.executable, "-m", "experiments.jobs", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment(**more), capture_output=True, text=True, check=False
    )


def only(folder, name):
    (path,) = folder.glob(f"runs/*/{name}")
    return path


def test_the_line_runs_reports_and_goes_on(folder):
    done = main(folder, *LINE)
    assert done.returncode == 0, done.stderr
    assert "best      14, query" in done.stdout
    assert "[12/12]" in done.stderr
    assert "best 14" in done.stderr
    summary = json.loads(only(folder, "summary.json").read_text())
    assert summary["best"]["score"] == 14
    assert summary["best"]["arch"] == {"depth": 4, "op": "it's", "ratio": 4}
    assert json.loads(only(folder, "best.json").read_text()) == summary["best"]["arch"]
    rows = list(csv.DictReader(only(folder, "results.csv").open()))
    assert len(rows) == 12
    made = (folder / "calls").read_text().splitlines()
    assert len(set(made)) == len(made) == 12
    for row in rows:
        depth, ratio = int(row["depth"]), int(row["ratio"] or 0)
        assert float(row["score"]) == 10 - (depth - 4) ** 2 + ratio
        assert float(row["cost"]) == 10 * depth
        assert row["params"] == row["depth"]
    front = {(p["cost"], p["score"]) for p in summary["pareto"]}
    points = {(float(r["cost"]), float(r["score"])) for r in rows}
    assert front == {
        (c, s)
        for c, s in points
        if not any(b <= c and t >= s and (b, t) != (c, s) for b, t in points)
    }
    assert is_drawn(only(folder, "curve.png"))

    more = [*LINE, "--budget=15", "--workers=3", "--cost=depth * 20"]  # the same folder
    again, further = calls("jobs", LINE, more, cwd=folder)
    assert again.status == 0
    assert "all 12 queries had finished already" in again.err
    assert further.status == 0
    calls_made = (folder / "calls").read_text().splitlines()
    assert calls_made[:12] == made
    assert len(calls_made) == 15
    assert json.loads(only(folder, "summary.json").read_text())["finished"] == 15


@pytest.mark.slow  # without the command line in test_jobs
def test_killed_and_interrupted_the_same_line_goes_on(folder):
    command = [sys.executable, "-m", "experiments.jobs", *LINE]
    for end, status in ((signal.SIGKILL, -9), (signal.SIGINT, 130)):
        process = subprocess.Popen(
            command, cwd=folder, env=environment(PAUSE="0.2"), stderr=subprocess.PIPE, text=True
        )
        for line in process.stderr:
            if line.startswith("["):
                process.send_signal(end)
                break
        said = process.communicate(timeout=60)[1]
        assert process.returncode == status
    assert "run the same command line to resume" in said
    time.sleep(1)  # what the killed one had begun
    finished = only(folder, "journal.jsonl").read_text().count('"kind":"done"')
    assert finished >= 2
    rest = main(folder, *LINE)
    assert rest.returncode == 0, rest.stderr
    rows = only(folder, "results.csv").read_text()
    assert len((folder / "calls").read_text().splitlines()) <= 12 + 2
    (folder / "second").mkdir()
    for name in ("space.json", "train.py"):
        (folder / "second" / name).write_text((folder / name).read_text())
    main(folder / "second", *LINE)
    drop = [line.rsplit(",", 3)[0] for line in rows.splitlines()]
    other = only(folder / "second", "results.csv").read_text()
    assert drop == [line.rsplit(",", 3)[0] for line in other.splitlines()]


BAD = {
    "--command=echo 1": "--command: has neither {arch} nor a choice like {depth}",
    "--command=echo {width}": "--command: no choice 'width' (there are depth, op, ratio",
    "--command=echo good {depth}": ", is no number and no JSON object with a 'score'; see runs/",
    "--command=false {arch}": "all of the first 10 architectures failed, the last by:",
    "--space=none.json": "none.json: cannot be read",
    "--space=": "--space= is empty",
    "--constraint=wide < 3": "wide",
    "--constraint=depth > 9": "no architecture meets it",
    "--budget=99": "budget=99 is more than the 15 architectures",
    "--acquisition=ts": "acquisition=ts needs draws",
    "--beta=3": "beta=3.0: predictor=mlp, acquisition=mean, sampling=greedy have no such setting",
    "--out=train.py": "--out=train.py: is a file",
    "--out=": "--out= is empty",
    "--cost= ": "--cost= is empty",
    "--timeout=nan": "--timeout=nan: give a finite number",
    "--timeout=inf": "--timeout=inf: give a finite number",
    "--repeat_top=13": "repeat_top=13: more than the budget of 12",
    "--repair": "journal.jsonl: there is no such file",
}


def test_bad_input(folder):
    lines = [[*LINE, "--predictor=mlp", "--retries=0", bad] for bad in BAD]
    lines = [[a for a in line if "--predictor=linear" not in a] for line in lines]
    for place in (2, 3):  # their jobs run
        named = [a for a in lines[place] if "--predictor" not in a and "--sampling" not in a]
        lines[place] = [*named, "--method=random"]
    for bad, done in zip(BAD, calls("jobs", *lines, cwd=folder), strict=True):
        assert done.status == 2, (bad, done)
        assert BAD[bad] in done.err, (bad, done)


@pytest.mark.slow  # the line above, with other flags: test_command, test_minimize
def test_an_arrangement_of_flags(folder):
    """Minimised, asynchronous, a constraint of the line's own, a command with names."""
    line = ["--space=space.json", "--command=echo $(( {depth} * 2 ))"]
    line += ["--minimize", "--mode=async", "--workers=2", "--budget=8", "--method=random"]
    line += ["--constraint=depth >= 2", "--out=mine", "--cost=depth"]
    done, refused = calls("jobs", line, [*LINE, "--out=mine"], cwd=folder)
    assert done.status == 0, done.err
    summary = json.loads((folder / "mine" / "summary.json").read_text())
    assert summary["best"]["score"] == 4
    assert summary["cost"] == "depth"
    assert [p["score"] for p in summary["pareto"]] == [4]
    assert refused.status == 2
    assert "was started with other settings" in refused.err


@pytest.mark.slow  # without the command in test_damaged_journals, test_jobs_repeats
def test_damage_repairs_costs_and_repeats(folder):
    """A cost that is known of some only; a line that is lost; what may change later."""
    line = [*LINE[:2], "--method=random", "--budget=15", "--out=o"]
    unknown, again = "--cost=log(depth - 2)", [*line, "--cost=depth", "--repeat_top=3"]
    first = [*LINE[:2], "--method=random", "--out=o", unknown]  # all of the space
    (first,) = calls("jobs", first, cwd=folder)
    assert first.status == 0, first.err
    summary = json.loads((folder / "o" / "summary.json").read_text())
    assert (summary["finished"], summary["cost_unknown"]) == (15, 6)
    assert "left out: 6 of 15, whose cost is unknown" in first.out
    made = (folder / "calls").read_text().splitlines()

    path = folder / "o" / "journal.jsonl"
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(whole[:9] + whole[10:]))
    repair = ["--out=o", "--repair"]
    damaged, repaired, whole_now, done = calls("jobs", line, repair, repair, again, cwd=folder)
    assert [one.status for one in (damaged, repaired, whole_now, done)] == [2, 0, 0, 0], done.err
    assert "journal.jsonl: line 10 is damaged" in damaged.err
    assert "--repair" in damaged.err
    why, copy, on = repaired.out.splitlines()
    (well,) = whole_now.out.splitlines()
    assert "line 10 is damaged" in why
    assert "9 lines are kept; o/journal.jsonl.damaged-1 is" in copy
    assert "to resume" in on
    assert "its journal is intact, 9 lines" in well
    rows = list(csv.DictReader((folder / "o" / "results.csv").open()))
    assert all(float(row["cost"]) == int(row["depth"]) for row in rows)
    assert sorted(row["n"] for row in rows) == [""] * 12 + ["2"] * 3
    lost = sum(b'"done"' in line for line in whole[9:])
    assert len((folder / "calls").read_text().splitlines()) == len(made) + lost + 3
    summary = json.loads((folder / "o" / "summary.json").read_text())
    assert summary["repeats"]["each"][0] == summary["best"]
    assert summary["best"]["n"] == 2
    assert "best      14 +- 0 (mean of 2), query" in done.out


def command(tmp_path, text, **more):
    return Command(text, ("depth", "op"), tmp_path / "logs", **more)


def test_architectures_are_quoted(tmp_path):
    arch = {"depth": None, "op": "a 'b' $HOME; `c` \\ \"d\""}
    run = command(
        tmp_path, "printf '%s\\n' {op} {depth} {{depth}} {arch} \"$WEAKNAS_ARCH\"; echo 1.5"
    )
    assert run(arch) == 1.5
    (log,) = (tmp_path / "logs").glob("*.log")
    said = log.read_text().splitlines()[1:]
    assert said[:3] == [arch["op"], "", "{depth}"]
    assert json.loads(said[3]) == json.loads(said[4]) == arch


def test_a_command_that_fails_hangs_or_talks(tmp_path):
    arch = {"depth": 1, "op": "x"}
    with pytest.raises(CommandError, match=r"exit status 3; 'no gpu' in .*00001.err"):
        command(tmp_path, "echo no gpu >&2; exit 3 # {arch}")(arch)
    with pytest.raises(CommandError, match="ended by signal 9"):
        command(tmp_path, "kill -9 $$ # {arch}")(arch)
    start = time.monotonic()
    with pytest.raises(CommandError, match=r"took longer than 0\.3 s"):
        command(tmp_path, "sleep 60 & sleep 60; echo {depth}", limit=0.3)(arch)
    assert time.monotonic() - start < 30
    assert command(tmp_path, "echo {depth}; echo; echo")(arch) == 1.0
    loud = "yes talk | head -c 300000; echo; echo 2e-3 # {op}"
    assert command(tmp_path, loud)(arch) == 2e-3
    assert len(list((tmp_path / "logs").glob("*.log"))) == 5


def test_ended_commands_take_their_children_along(tmp_path):
    import threading

    run = command(tmp_path, "sleep 61.{depth} & wait; echo 1")
    failed = []

    def call():
        try:
            run({"depth": os.getpid(), "op": "x"})
        except CommandError as error:
            failed.append(str(error))

    thread = threading.Thread(target=call)
    thread.start()
    name = f"sleep 61.{os.getpid()}"
    while name not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout:
        time.sleep(0.05)
    run.end()
    thread.join(30)
    assert "signal 15" in failed[0]
    assert name not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    with pytest.raises(CommandError, match="ended"):
        run({"depth": 1, "op": "x"})


@pytest.mark.parametrize(
    "line", [pytest.param("[" * 9999, id="nested"), "", "acc: 3", '{"loss": 3}', "[1]", "1,5"]
)
def test_lines_that_are_no_score(line, tmp_path):
    with pytest.raises(CommandError, match="is no number and no JSON object with a 'score'"):
        score(line, tmp_path)
