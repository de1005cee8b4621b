"""The same queries whatever JAX is set to in the user's process, through every public way."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import LONG
from helpers import child

from weaknas_jax.core import conventions

# All ways into the library, in one process for each setting of JAX.
CHILD = """
import json, sys
import jax, jax.numpy as jnp, numpy as np
from conftest import SMALL, planted_table
import weaknas_jax as wn
from weaknas_jax.jobs import driver as drive
from weaknas_jax import methods
from weaknas_jax.runs import task
from weaknas_jax.search.methods import METHODS
from weaknas_jax.predictors import PREDICTORS

table = planted_table((3, 4))
problem = task.make(table, wn.HONEST, neighbours=True, graphs=True)
key = jax.random.key(0, impl="threefry2x32")
choices = wn.Choices({"a": wn.categorical("x", "y", "z"), "b": wn.integer(1, 4)})


def score(arch):
    return float("xyz".index(arch["a"]) + arch["b"])


def by_hand(method):
    ask, tell = jax.jit(method.ask), jax.jit(method.tell)
    state, queries = method.init(key, problem.space), []
    while True:
        state, indices = ask(state)
        if indices.max() < 0:
            return queries
        scores = np.where(indices >= 0, table.valid_mean[indices], np.nan)
        state, _ = tell(state, indices, jnp.asarray(scores))
        queries += [int(row) for row in indices if row >= 0]


def with_predictor(name):
    settings = dict(SMALL.get(name, {}))
    predictor = PREDICTORS[name](**settings)
    return METHODS["weaknas"](predictor=predictor, init=4, per_round=3, top=6, budget=9)



results, (named, hand) = {}, json.load(sys.stdin)
for name in named:
    if name in METHODS:
        method = methods.make(method=name, init=4, per_round=2, budget=8)
    else:
        method = with_predictor(name)
    results[name] = wn.run(method, problem, 0).queried[0].tolist()
    if name in hand:
        try:
            results[name + " by hand"] = by_hand(method)
        except ValueError as error:
            results[name + " by hand"] = str(error)
        if (METHODS[name].neighbours if name in METHODS else PREDICTORS[name].reads == "graph"):
            continue
        driver = drive.Driver(method, choices)
        while rows := driver.ask():
            driver.tell(rows, [score(driver.arch(row)) for row in rows])
        results[name + " driven"] = np.asarray(driver.state.history.queried).tolist()
print(json.dumps(results))
"""
ODD = {
    "JAX_ENABLE_X64": "1",
    "JAX_NUMPY_DTYPE_PROMOTION": "strict",
    "JAX_NUMPY_RANK_PROMOTION": "raise",
    "JAX_THREEFRY_PARTITIONABLE": "0",
    "JAX_DEFAULT_PRNG_IMPL": "rbg",
}


def queries(named, hand=(), **settings):
    return child(CHILD, [named, hand], **settings)


def test_the_queries_do_not_depend_on_the_settings_of_jax():
    usual = queries(["linear"], ["linear"])
    assert queries(["linear"], ["linear"], **ODD) == usual


@pytest.mark.slow  # the test above, of everything that is registered
@pytest.mark.long
def test_nor_do_those_of_any_method_or_predictor():
    from weaknas_jax.predictors import PREDICTORS
    from weaknas_jax.search.methods import METHODS

    named = [*(name for name in METHODS if name != "weaknas"), *PREDICTORS]
    usual = queries(named, named)
    for settings in ({"JAX_ENABLE_X64": "1"}, ODD):
        assert queries(named, named, **settings) == usual


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["JAX_DEBUG_NANS", pytest.param("JAX_DISABLE_JIT", marks=LONG)])
def test_debugging_works_or_says_in_one_line_why_not(setting):
    usual = queries(["random", "linear", "gp"], ["linear"])
    odd = queries(["random", "linear", "gp"], ["linear"], **{setting: "1"})
    for name, rows in odd.items():
        if rows != usual[name]:
            assert setting == "JAX_DEBUG_NANS"
            assert name == "linear by hand"
            assert rows.startswith("jax_debug_nans is on")


def test_a_function_is_under_our_conventions_and_its_caller_is_not():
    @conventions.with_conventions
    def ours(x):
        assert not conventions.violated()
        return x + np.float32(1) + jnp.arange(3)

    @conventions.with_conventions
    def steps(x):
        for _ in range(2):
            assert not conventions.violated()
            yield x

    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"), jax.debug_nans(True):
        wide = jnp.arange(3, dtype=jnp.float64)
        assert ours(wide).dtype == jax.jit(ours)(wide).dtype == jnp.float32
        for one in steps(wide):
            assert one.dtype == jnp.float32
            assert len(conventions.violated()) == 3
        assert len(conventions.violated()) == 3
    assert not conventions.violated()
