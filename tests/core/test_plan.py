"""The memory plan: what is chosen, what is given, and that the bound is obeyed."""

from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest
from conftest import build, planted_table, ridge

from weaknas_jax import HONEST, Job, Plan, PlanError, Prediction, Predictor, Program, Settings
from weaknas_jax.core import plan
from weaknas_jax.runs import task


@pytest.mark.parametrize("size", [1, 7, 15_625, 423_624])
@pytest.mark.parametrize("lanes", [1, 25, 100])
@pytest.mark.parametrize("gigabytes", [4, 16, 80])
def test_first_chunks_stay_below_their_share_of_the_bound(size, lanes, gigabytes):
    bound = gigabytes * 2**30
    chunk = plan.first(size, Plan(lanes=lanes), bound).chunk
    assert chunk % 8 == 0
    assert chunk * lanes * 16_000 <= 0.25 * bound + 8 * lanes * 16_000
    padding = -size % chunk
    assert padding < 8 * -(-size // chunk)  # equal chunks: at most 7 rows of padding each


def test_one_lane_on_a_cpu_and_what_is_given_stays():
    assert plan.first(15_625).lanes == 1
    assert plan.first(15_625, Plan(3, 24)) == Plan(3, 24)
    assert plan.first(15_625, Plan(chunk=24)) == Plan(1, 24)


def test_smaller_plans_end_and_never_touch_what_is_given():
    for given in (Plan(), Plan(lanes=8), Plan(chunk=999)):
        tried = [plan.first(15_625, given)._replace(lanes=given.lanes or 4)]
        while (next_ := plan.smaller(tried[-1], 15_625, given)) is not None:
            assert next_ != tried[-1]
            tried.append(next_)
        assert all(p.lanes == given.lanes for p in tried if given.lanes)
        assert all(p.chunk == given.chunk for p in tried if given.chunk)
        assert tried[-1].lanes == (given.lanes or 1)
        assert tried[-1].chunk <= 64 or given.chunk


def program(**layout):
    """A ridge whose scores pass through wide layers, so that chunks take memory."""
    rng = np.random.default_rng(0)
    layers = [rng.random(shape, np.float32) for shape in ((48, 1000), (1000, 1000), (1000, 1))]

    def predict(weights, x):
        wide = x * weights[:-1]
        for layer in layers:
            wide = jnp.tanh(wide @ layer)
        return Prediction(ridge().predict(weights, x).mean + 1e-9 * wide[:, 0])

    method = partial(build, "weaknas", Predictor(ridge().fit, predict))
    problem = task.make(planted_table((16, 16, 16)), HONEST)
    return Program(method, problem, Settings(measure=False), **layout)


def test_a_tight_bound_makes_a_smaller_plan_that_runs():
    free = program()
    assert free.peak <= free.bound
    tight = program(bound=free.peak - 1)
    assert tight.peak < free.peak
    assert tight.plan.chunk < free.plan.chunk
    assert list(tight.work(0, [Job(0, 0)]))[-1].progress.finished == 1


def test_what_does_not_fit_is_an_error_before_anything_runs():
    with pytest.raises(PlanError, match="MiB may be used"):
        program(bound=2**10)
    with pytest.raises(PlanError, match="8 lane"):
        program(bound=program().peak, given=Plan(lanes=8, chunk=4096))


@pytest.mark.slow  # that a tight bound makes a smaller plan is above
def test_the_count_of_the_peak_grows_with_lanes_and_chunk():
    activations = 512 * 1000 * 4
    one = program(given=Plan(1, 512)).peak
    assert program(given=Plan(4, 512)).peak > one + 3 * activations
    assert program(given=Plan(1, 4096)).peak > one + 7 * activations


def test_machine_memory_is_read(monkeypatch, tmp_path):
    whole = plan.device_memory()
    assert whole > 2**28
    (tmp_path / "memory.max").write_text(f"{2**28}\n")
    monkeypatch.setattr(plan, "_CONTROL_GROUP", tmp_path)
    assert plan.device_memory() == 2**28
    (tmp_path / "memory.max").write_text("max\n")
    assert plan.device_memory() >= whole
