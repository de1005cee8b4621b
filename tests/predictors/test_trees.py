"""Tree predictors against their libraries, and what crosses from the device to the host."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xgboost
from conftest import LONG, planted_table
from sklearn.ensemble import RandomForestRegressor

from weaknas_jax import HONEST, Job, Plan, Program, Settings
from weaknas_jax.cli.configure import configure
from weaknas_jax.cli.flags import NAMES, flags
from weaknas_jax.core import plan
from weaknas_jax.core.keys import jitter
from weaknas_jax.predictors import forest, gbrt, trees
from weaknas_jax.runs import task
from weaknas_jax.search.methods import METHODS

TABLE = planted_table((5, 5, 5), noise=0.5)
SPACE = task.make(TABLE, HONEST).space
Q, TREES = 40, 30
BUILDERS = {"gbrt": gbrt, "forest": forest}


def lane(n, seed=0):
    """n labels of known rows and, up to Q, padding."""
    rng = np.random.default_rng(seed)
    queried = np.full(Q, -1, np.int32)
    queried[:n] = rng.choice(len(TABLE), n, replace=False)
    y = (TABLE.valid_mean[queried] / 10).astype(np.float32)
    return jax.random.key(seed), queried, y, queried >= 0


def updated(scorer):
    """(key, queried, y, mask) -> Prediction."""
    return lambda key, queried, y, mask: scorer.update(
        key, scorer.init(SPACE, Q), SPACE, queried, y, mask, queried
    )[1]


def direct(name, key, queried, y, mask):
    """The mean [N] by the library alone."""
    x, y = TABLE.encoding[queried[mask]], y[mask]
    if name == "gbrt":
        model = xgboost.XGBRegressor(n_estimators=TREES, max_depth=20, n_jobs=1)
    else:
        seed = np.random.RandomState(jax.random.key_data(key))
        model = RandomForestRegressor(TREES, max_depth=10, random_state=seed)
    return model.fit(x, y).predict(TABLE.encoding).astype(np.float32)


@pytest.mark.parametrize("name", BUILDERS)
def test_the_mean_is_that_of_the_library(name):
    arguments = lane(30)
    mean = jax.jit(updated(BUILDERS[name](TABLE.encoding, trees=TREES)))(*arguments).mean
    expected = direct(name, *arguments)
    np.testing.assert_allclose(mean, expected + jitter(arguments[0], len(TABLE)), rtol=1e-6)


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("n", [0, 4])
def test_without_labels_or_difference_the_order_is_drawn(name, n):
    _, queried, y, mask = lane(n)
    learn = jax.jit(updated(BUILDERS[name](TABLE.encoding, trees=TREES)))
    for key in map(jax.random.key, (1, 2)):
        mean = learn(key, queried, np.zeros_like(y), mask).mean
        chex.assert_trees_all_equal(mean, jitter(key, len(TABLE)))


def test_the_deviation_is_that_among_the_trees_and_a_draw_is_a_tree():
    key, queried, y, mask = lane(30)
    prediction = updated(forest(TABLE.encoding, trees=TREES, draws=TREES))(key, queried, y, mask)
    each = np.asarray(prediction.draws - jitter(key, len(TABLE)))
    mean = np.asarray(prediction.mean - jitter(key, len(TABLE)))
    np.testing.assert_allclose(each.mean(axis=0), mean, atol=1e-5)
    np.testing.assert_allclose(np.maximum(each.std(axis=0), 1e-3), prediction.std, atol=1e-4)
    assert len(np.unique(each, axis=0)) == TREES


def test_other_keys_grow_other_forests():
    _, *known = lane(30)
    learn = updated(forest(TABLE.encoding, trees=TREES))
    one, other = (learn(jax.random.key(seed), *known).std for seed in (1, 2))
    assert (one != other).any()


@pytest.mark.parametrize("name", BUILDERS)
def test_lanes_together_are_lanes_alone(name):
    learn = updated(BUILDERS[name](TABLE.encoding, trees=TREES))
    lanes = [lane(n, seed=n) for n in (0, 1, 12, 12, 30)]
    stacked = [jnp.stack(a) for a in zip(*lanes, strict=True)]
    together = jax.jit(jax.vmap(learn))(*stacked)
    for i, one in enumerate(lanes):
        chex.assert_trees_all_equal(jax.tree.map(lambda a, i=i: a[i], together), learn(*one))
    twice = jax.jit(jax.vmap(jax.vmap(learn)))(*(a[None] for a in stacked))
    chex.assert_trees_all_equal(twice, jax.tree.map(lambda a: a[None], together))


def test_the_table_never_crosses(monkeypatch):
    """What a call on the host is given is smaller than the table, in every dimension."""
    given, whole = [], trees.score_lanes

    def seen(learn, table, rows, *operands):
        given.extend(np.shape(operand) for operand in operands)
        return whole(learn, table, rows, *operands)

    monkeypatch.setattr(trees, "score_lanes", seen)
    lanes = [jnp.stack(a) for a in zip(lane(5), lane(9, seed=1), strict=True)]
    learn = jax.jit(jax.vmap(updated(gbrt(TABLE.encoding, trees=2))))
    learn(*lanes).mean.block_until_ready()
    assert given
    assert all(size < len(TABLE) for shape in given for size in shape), given


def program(name, lanes):
    def search(chunk):
        predictor = BUILDERS[name](TABLE.encoding, trees=3)
        return METHODS["weaknas"](
            predictor=predictor, chunk=chunk, init=5, per_round=3, top=8, budget=14
        )

    return Program(search, task.make(TABLE, HONEST), Settings(), given=Plan(lanes))


@pytest.mark.parametrize("lanes", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_one_callback_a_round_and_one_fit_a_run(lanes, monkeypatch):
    calls, fits, whole = [], [], trees.score_lanes

    def counted(learn, table, rows, *operands):
        calls.append(operands[-1].shape)

        def once(*arguments):
            fits.append(threading.get_ident())
            return learn(*arguments)

        return whole(once, table, rows, *operands)

    monkeypatch.setattr(trees, "score_lanes", counted)
    runs = 2  # the third lane repeats another
    for _ in program("gbrt", lanes).work(0, [Job(0, run) for run in range(runs)]):
        pass
    rounds = 4
    assert calls == [(14,)] * rounds * runs if lanes == 1 else [(3, 14)] * rounds
    assert len(fits) == rounds * runs
    assert threading.get_ident() not in fits


def test_lanes_are_fitted_at_the_same_time(monkeypatch):
    """Each fit waits for the other to begin."""
    monkeypatch.setattr(trees, "cores", lambda: 2)
    both = threading.Barrier(2, timeout=60)

    def learn(words, x, y, table):
        both.wait()
        return np.zeros((1, len(TABLE)))

    stacked = [jnp.stack(a) for a in zip(lane(5), lane(9, seed=1), strict=True)]
    scores = jax.jit(jax.vmap(updated(trees.on_host(learn, TABLE.encoding))))(*stacked)
    assert scores.mean.shape == (2, len(TABLE))


@pytest.mark.slow  # of four devices with the usual threads in test_exact
@pytest.mark.parametrize("devices", [pytest.param(1, marks=LONG), pytest.param(4, marks=LONG)])
def test_one_thread_for_jax_is_enough(devices):
    """The callback must not wait for a thread of JAX, which it may itself hold."""
    script = (
        "import test_trees as t; from weaknas_jax import Job\n"
        "for name in t.BUILDERS:\n"
        "    work = t.program(name, 2).work(0, [Job(0, run) for run in range(3)])\n"
        "    print(sum(len(step.ended) for step in work))\n"
    )
    env = {**os.environ, "JAX_PLATFORMS": "cpu", "NPROC": "1"}
    env["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**env, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "3\n3\n"), done.stderr[-2000:]


def test_what_goes_wrong_on_the_host_is_said():
    def learn(words, x, y, table):
        raise RuntimeError("out of leaves")

    with pytest.raises(Exception, match="out of leaves"):
        jax.jit(updated(trees.on_host(learn, TABLE.encoding)))(*lane(5)).mean.block_until_ready()


@pytest.mark.parametrize(
    ("name", "module", "package"),
    [("gbrt", "xgboost", "xgboost"), ("forest", "sklearn.ensemble", "scikit-learn")],
)
def test_a_missing_package_is_named(name, module, package, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    message = rf"--predictor={name} needs {package}: pip install -e '.\[trees\]'"
    with pytest.raises(ValueError, match=message):
        BUILDERS[name](TABLE.encoding)


def test_the_package_is_whole_without_them():
    """Neither is imported before it is asked for."""
    script = (
        "import sys; sys.modules.update({'xgboost': None, 'sklearn': None})\n"
        "import weaknas_jax, experiments.nasbench; assert 'gbrt' in weaknas_jax.PREDICTORS"
    )
    subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[2], check=True)


def test_a_lane_for_each_core():
    values = {name: flags.FLAGS[name].default for name in NAMES}
    for predictor, lanes in (("mlp", None), *((name, plan.cores()) for name in BUILDERS)):
        assert configure({**values, "predictor": predictor}).lanes == lanes
