"""`kill -9` while jobs run: is anything lost, and are the queries those of an undisturbed search?

    python -m benchmarks.job_kills --kills=100 > benchmarks/results/job_kills-cpu.txt

Each try starts a search of 40 jobs of 20 ms, two at once, in a process of its own; kills it up to
30 ms after 0 to 39 of them (drawn evenly) have finished; and goes on to the end. In rounds mode the
architectures are compared with those of a search that nothing disturbed, in asynchronous mode it
is seen whether each finished job is still there, once, with its score.
"""

import json
import random
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
from absl import app, flags

from weaknas_jax import jobs
from weaknas_jax.search import methods
from weaknas_jax.spaces.choices import Choices, categorical, integer, ordinal
from weaknas_jax.storage import journal

_KILLS = flags.DEFINE_integer("kills", 100, "How many, for each mode.", lower_bound=1)
_ROOT = Path(__file__).parents[1]
_SPACE = Choices(
    {
        "depth": integer(1, 8),
        "op": categorical("conv", "mb"),
        "ratio": ordinal(2, 4, 6, when={"op": "mb"}),
        "width": ordinal(16, 32, 64, 128),
    }
)


def job(arch) -> float:
    time.sleep(0.02)
    return -float((arch["depth"] - 4) ** 2 + abs(arch["width"] - 64) / 32 + (arch["ratio"] or 0))


def search(mode: str, path: Path) -> jobs.Result:
    method = methods.make("gp", budget=40, init=4, per_round=4 if mode == "rounds" else 1)
    with ThreadPoolExecutor(2) as threads:
        return jobs.search(method, job, _SPACE, executor=threads, mode=mode, journal=path)


def finished(path: Path) -> list[dict]:
    if not path.exists():
        return []
    return [record for record in journal.read(path) if record["kind"] == "done"]


def wait_for(path: Path, count: int, process: subprocess.Popen) -> None:
    while process.poll() is None and len(finished(path)) < count:
        time.sleep(0.002)


def one(mode: str, path: Path, rng: random.Random, expected: list) -> tuple[int, bool]:
    """Kills a search and ends it: how many jobs had finished, and is the outcome right?"""
    line = "import sys; from benchmarks import job_kills as b; b.search(sys.argv[1], sys.argv[2])"
    process = subprocess.Popen([sys.executable, "-c", line, mode, str(path)], cwd=_ROOT)
    while process.poll() is None and not path.exists():
        time.sleep(0.002)
    wait_for(path, rng.randrange(40), process)
    time.sleep(rng.uniform(0, 0.03))
    process.kill()
    process.wait()
    before = finished(path)
    result = search(mode, path)
    archs = [e.arch for e in result.evaluations]
    kept = all(
        archs.count(r["arch"]) == 1
        and r["score"] == result.evaluations[archs.index(r["arch"])].score
        for r in before
    )
    whole = len(archs) == len({json.dumps(arch) for arch in archs}) == 40
    same = mode == "async" or archs == expected
    return len(before), kept and whole and same and result.resumed == len(before)


def main(_):
    folder, rng = Path(tempfile.mkdtemp()), random.Random(0)
    print(f"{jax.default_backend()}, JAX {jax.__version__}; 40 jobs of 20 ms, two at once")
    for mode in jobs.MODES:
        whole = search(mode, folder / f"{mode}-whole")
        expected, right, counts = [e.arch for e in whole.evaluations], 0, []
        for number in range(_KILLS.value):
            path = folder / f"{mode}-{number}"
            count, good = one(mode, path, rng, expected)
            counts.append(count)
            right += good
        among = sum(0 < count < 40 for count in counts)
        what = "identical to the undisturbed search" if mode == "rounds" else "nothing lost"
        print(
            f"{mode:>6}: {_KILLS.value} kills, {among} of them with jobs finished and jobs to do "
            f"({sum(c == 0 for c in counts)} before, {sum(c == 40 for c in counts)} after): "
            f"{right} of {_KILLS.value} {what}",
            flush=True,
        )


if __name__ == "__main__":
    app.run(main)
