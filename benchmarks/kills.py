"""`kill -9` at random moments, then ``--resume``: is the trace the one of an undisturbed run?

    python -m benchmarks.kills --kills=100 > benchmarks/results/kills-cpu.txt

Each try starts the main job, kills it at a moment drawn evenly over its whole duration (start,
compilation, rounds, checkpoints, saving), or with ``--at_work`` over what follows compilation,
resumes it to the end and compares every array.
"""

import collections
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import numpy as np
from absl import app, flags

from weaknas_jax.report import run_folder

_KILLS = flags.DEFINE_integer("kills", 100, "How many.", lower_bound=1)
_PREDICTOR = flags.DEFINE_string("predictor", "linear", "As of experiments.nasbench.")
_BUDGET = flags.DEFINE_integer("budget", 60, "Queries of a run, in rounds of 10.")
_AT_WORK = flags.DEFINE_bool("at_work", False, "Kill no sooner than when the rounds begin.")
_ROOT = Path(__file__).parents[1]


def job(out: Path, *more: str) -> subprocess.Popen:
    line = [sys.executable, "-m", "experiments.nasbench", f"--out={out}", "--checkpoint_every=0"]
    line += [
        "--dataset=cifar10",
        "--seeds=4",
        f"--budget={_BUDGET.value}",
        f"--predictor={_PREDICTOR.value}",
        *more,
    ]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(line, cwd=_ROOT, stdout=quiet, stderr=quiet)


def moment_of(out: Path) -> str:
    """What a killed job was at, by what it left."""
    if (out / "summary.json").exists():
        return "finished"
    if (out / "trace.npz").exists():
        return "saving"
    if not (out / "config.json").exists():
        return "starting or compiling"
    names = [p.name for p in (out / run_folder.CHECKPOINTS).glob("*")]
    return "in a checkpoint" if any("tmp" in name for name in names) else "in a round"


def begun(out: Path, process: subprocess.Popen) -> None:
    """Waits until ``config.json`` is there, which precedes the first round."""
    while not (out / "config.json").exists() and process.poll() is None:
        time.sleep(0.01)


def main(_):
    folder, rng = Path(tempfile.mkdtemp()), random.Random(0)
    began, process = time.monotonic(), job(folder / "whole")
    if _AT_WORK.value:
        begun(folder / "whole", process)
        began = time.monotonic()
    assert process.wait() == 0
    duration = time.monotonic() - began
    whole = run_folder.load_trace(folder / "whole")
    moments, same = collections.Counter(), 0
    for number in range(_KILLS.value):
        out = folder / str(number)
        process = job(out)
        if _AT_WORK.value:
            begun(out, process)
        time.sleep(rng.uniform(0, duration))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        moments[moment_of(out)] += 1
        assert job(out, "--resume").wait() == 0
        trace = run_folder.load_trace(out)
        same += all(
            np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
            for a, b in zip(whole, trace, strict=True)
        )
        shutil.rmtree(out)
        print(f"{number + 1} killed, {same} the same", file=sys.stderr)
    shutil.rmtree(folder)
    print(f"cpu ({os.cpu_count()} cores), JAX {jax.__version__}")
    print(f"4 runs of {_BUDGET.value} queries, {_PREDICTOR.value}")
    when = "at work" if _AT_WORK.value else "at any moment"
    print(f"killed {when} within {duration:.1f} s: {same} of {_KILLS.value} traces identical")
    print("killed while:")
    for moment, count in moments.most_common():
        print(f"  {moment}: {count}")


if __name__ == "__main__":
    app.run(main)
