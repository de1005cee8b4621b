"""How busy are workers kept, and what does a query cost besides its job?

    python -m benchmarks.job_workers > benchmarks/results/job_workers-cpu.txt

Jobs sleep for 0.2 to 2 s, drawn evenly. Busy: the jobs' time over the workers' time, from the
first job's start on (starting processes and compiling is said apart), by what the jobs themselves
note. Overhead: an ask, and a tell, of a search whose history is 500 queries long, on NAS-Bench-201
(15,625 rows) and on a sampled pool of 10,000.
"""

import functools
import json
import logging
import random
import tempfile
import time
from pathlib import Path

import jax
import numpy as np
from absl import app, flags

from weaknas_jax import Space, jobs, load_nasbench201
from weaknas_jax.jobs.driver import Driver
from weaknas_jax.runs import task
from weaknas_jax.search import methods
from weaknas_jax.spaces.choices import Choices, categorical, integer

_JOBS = flags.DEFINE_integer("jobs", 80, "Of each search.", lower_bound=20)
_SPACE = Choices({f"c{i}": integer(0, 5) for i in range(6)})
_WORKERS = 4


def job(folder: str, arch) -> float:
    values = list(arch.values())
    pause = random.Random(str(values)).uniform(0.2, 2.0)
    start = time.time()
    time.sleep(pause)
    note = Path(folder) / f"{'-'.join(map(str, values))}.json"
    note.write_text(json.dumps([start, time.time()]))
    return float(sum(values))


def busy(folder: Path, last_start: bool) -> tuple[float, float]:
    """Share of the workers' time between the first start and the last start (or end) of a job."""
    spans = np.array([json.loads(p.read_text()) for p in folder.glob("*.json")])
    begin, end = spans[:, 0].min(), spans[:, 0].max() if last_start else spans[:, 1].max()
    inside = np.clip(spans, begin, end)
    return float((inside[:, 1] - inside[:, 0]).sum() / (_WORKERS * (end - begin))), end - begin


def keep_busy(name: str, mode: str, executor) -> None:
    folder = Path(tempfile.mkdtemp())
    size = _WORKERS if mode == "rounds" else 1
    method = methods.make("gp", budget=_JOBS.value, init=8, per_round=size)
    began = time.monotonic()
    jobs.search(
        method,
        functools.partial(job, str(folder)),
        _SPACE,
        executor=executor,
        workers=_WORKERS,
        mode=mode,
    )
    wall = time.monotonic() - began
    share, span = busy(folder, last_start=True)
    print(
        f"  {name:<22} {mode:<7} {100 * share:5.1f} % busy until the last job starts, "
        f"{100 * busy(folder, last_start=False)[0]:5.1f} % until it ends; {wall - span:5.1f} s "
        f"of starting and ending besides {span:5.1f} s",
        flush=True,
    )


def overhead(name: str, space, scores, told: int = 500, times: int = 21) -> None:
    method = methods.make("gp", budget=told + times + 8, init=8, per_round=1)
    driver, asks, tells = Driver(method, space), [], []
    rows = driver.ask()
    driver.tell(rows, [scores(driver, row) for row in rows])
    out: list[int] = []
    for _ in range(told + times - 8):
        asks.append(_seconds(lambda: out.extend(driver.ask(out))))
        if len(out) == _WORKERS:
            row = out.pop(0)
            score = scores(driver, row)
            tells.append(_seconds(lambda: _tell(driver, row, score)))  # noqa: B023
    for what, spent in (("ask", asks), ("tell", tells)):
        last = 1e3 * np.array(spent[-times:])
        print(
            f"  {name:<26} {what:<4} median {np.median(last):5.1f} ms, worst {last.max():6.1f} ms "
            f"of the last {times}; mean of the last 100 {1e3 * np.mean(spent[-100:]):5.1f} ms",
            flush=True,
        )


def _tell(driver, row: int, score: float) -> None:
    driver.tell([row], [score])
    jax.block_until_ready(driver.state)


def _seconds(work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main(_):
    print(f"{jax.default_backend()}, JAX {jax.__version__}, {jax.device_count()} device")
    print(f"{_WORKERS} workers, {_JOBS.value} jobs of 0.2 to 2 s:")
    for mode in jobs.MODES:
        keep_busy("processes of our own", mode, None)
    from dask.distributed import Client, LocalCluster

    logging.getLogger("distributed").setLevel(logging.WARNING)
    cluster = LocalCluster(
        n_workers=_WORKERS, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
    )
    with cluster, Client(cluster) as client:
        keep_busy("Dask, LocalCluster", "async", client.get_executor())
    print("an ask with three jobs under way, and a tell, 500 finished:")
    table = load_nasbench201("cifar10")
    space = Space(jax.numpy.asarray(table.encoding), task.features(table))
    overhead("NAS-Bench-201, 15,625 rows", space, lambda driver, row: table.valid_mean[row])
    large = Choices({f"c{i}": categorical(*range(6)) for i in range(12)})
    value = lambda driver, row: sum(driver.arch(row).values())  # noqa: E731
    overhead("pool of 10,000 in 2e9", large, value)


if __name__ == "__main__":
    app.run(main)
