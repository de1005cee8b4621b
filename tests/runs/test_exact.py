"""Run i is the same alone, in a batch, on four devices and after a stop: every method, predictor.

Registering a method or a predictor is what gets it tested here.
"""

import fcntl
import functools
import os
import subprocess
import sys
from pathlib import Path

import exact
import numpy as np
import pytest

from weaknas_jax.runs import session
from weaknas_jax.storage.checkpoint import Checkpoints


@pytest.fixture(scope="module")
def on_four_devices(tmp_path_factory):
    """Gives the traces of the group of cases to which one belongs (`exact.group`)."""

    shared = tmp_path_factory.getbasetemp()  # by all of pytest-xdist's workers
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared

    @functools.cache
    def traces(group):
        path = shared / f"exact-{group}.npz"
        with open(path.with_suffix(".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                work_out(path, group)
        return np.load(path)

    def work_out(path, group):
        four = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4"
        env = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": four}
        line = [sys.executable, Path(exact.__file__), path, group]
        done = subprocess.run(line, env=env, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()[-2000:]

    return lambda case: traces(exact.group(case))


def assert_equal(one, other):
    assert set(one) == set(other)
    for job in one:
        for field in one[job]._fields:
            a, b = getattr(one[job], field), getattr(other[job], field)
            np.testing.assert_array_equal(a, b, err_msg=f"{job} {field}")


@pytest.mark.parametrize("case", exact.PARAMETERS)
def test_alone_in_a_batch_on_four_devices_and_after_a_stop(case, on_four_devices, tmp_path):
    program = exact.program(*case)
    batch = dict(x for step in program.work(7, exact.jobs()) for x in step.ended)
    assert len({trace.queried.tobytes() for trace in batch.values()}) == len(exact.RUNS)

    alone = dict(x for step in program.work(7, exact.jobs([3])) for x in step.ended)
    assert_equal(alone, {job: batch[job] for job in alone})

    elsewhere = on_four_devices(case)
    for job, trace in batch.items():
        for field, array in trace._asdict().items():
            key = f"{case} {job.run} {field}"
            np.testing.assert_array_equal(array, elsewhere[key], err_msg=key)

    stops = iter([False, True, True, False, False, False, True] + [False] * 99)
    while True:
        result = session.execute(
            program, 7, exact.jobs(), Checkpoints(tmp_path), stop=lambda: next(stops)
        )
        if result.complete:
            break
    assert_equal(dict(result.ended), batch)
