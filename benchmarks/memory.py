"""The memory plan against the measured peak of the process, on three sizes.

    python -m benchmarks.memory > benchmarks/results/memory-cpu.txt

Planned: `plan.peak`. Measured: the highest resident memory while runs go on, less what was
resident before, in a process of its own (Linux; ``VmHWM`` after a reset).
"""

import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
from absl import app, flags, logging

from weaknas_jax import HONEST, Job, Plan, Program, Settings, Table, mlp
from weaknas_jax.runs import task
from weaknas_jax.search import methods

_ONE = flags.DEFINE_string("one", None, "Measure one case, given as JSON; used by the benchmark.")
CASES = [
    {"size": 15_625, "features": 30, "chunk": 1024},
    {"size": 15_625, "features": 30, "chunk": 15_632},
    {"size": 423_624, "features": 45, "chunk": 16_384},
]


def resident(field: str) -> int:
    """Bytes, by ``/proc/self/status``."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}")


def measure(size: int, features: int, chunk: int) -> dict:
    """Planned and measured bytes of two rounds of the paper's MLP on a random table."""
    rng = np.random.default_rng(0)
    encoding = rng.random((size, features), np.float32)
    names = np.arange(size).astype(str)
    table = Table("random", "noise", encoding, 100 * rng.random((size, 1)), names=names)
    problem = task.make(table, HONEST.__class__(**{**vars(HONEST), "target": "valid"}))

    def build(chunk: int):
        return methods.METHODS["weaknas"](
            predictor=mlp(max_epochs=5), chunk=chunk, init=10, per_round=10, top=100, budget=30
        )

    program = Program(build, problem, Settings(measure=False), given=Plan(1, chunk))
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    for _ in program.work(0, [Job(0, 0), Job(0, 1)]):
        pass
    inputs = sum(a.nbytes for a in jax.tree.leaves(program.problem))  # resident before as well
    return {"planned": program.peak - inputs, "measured": resident("VmHWM") - before}


def main(_):
    logging.set_verbosity(logging.WARNING)
    if _ONE.value:
        print(json.dumps(measure(**json.loads(_ONE.value))))
        return
    print(
        f"{jax.devices()[0].device_kind}, JAX {jax.__version__}; MiB beyond the task's own arrays"
    )
    print(f"{'architectures':>13} {'chunk':>7} {'planned':>8} {'measured':>9}")
    for case in CASES:
        line = [sys.executable, "-m", "benchmarks.memory", f"--one={json.dumps(case)}"]
        found = json.loads(subprocess.run(line, capture_output=True, check=True, text=True).stdout)
        planned, measured = (found[name] / 2**20 for name in ("planned", "measured"))
        print(f"{case['size']:>13,} {case['chunk']:>7,} {planned:>8.1f} {measured:>9.1f}")


if __name__ == "__main__":
    app.run(main)
