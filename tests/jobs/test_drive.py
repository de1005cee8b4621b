"""A method driven from the host does what the batch does, and more."""

import functools

import exact
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import SMALL, build, planted_table, quick_and_slow

from weaknas_jax import (
    HONEST,
    Chain,
    Job,
    Prediction,
    Predictor,
    Program,
    Settings,
    refit,
    weaknas,
)
from weaknas_jax.jobs import driver as drive
from weaknas_jax.jobs.driver import Driver
from weaknas_jax.predictors import make
from weaknas_jax.runs import task
from weaknas_jax.search import defaults, label_transforms, methods
from weaknas_jax.search.acquisition import ACQUISITIONS
from weaknas_jax.search.sampling import SAMPLINGS
from weaknas_jax.spaces.choices import Choices, categorical, integer

TABLE = planted_table(noise=0.5)
SPACE = task.space(TABLE, neighbours=True, graphs=True)
PROGRAMS = (drive._init, drive._ask, drive._believe, drive._tell, drive._mark)


def score(row):
    return TABLE.valid_mean[row]


def follow(driver, pending=0):
    """Queries in order, ``pending`` of them out at any time."""
    asked, out = [], []
    while True:
        rows = driver.ask(out if pending else ())
        asked, out = asked + rows, out + rows
        if not out:
            return asked
        while out and (len(out) > pending or not rows):
            driver.tell(out[:1], [score(out.pop(0))]) if pending else None
            if not pending:
                driver.tell(out, [score(row) for row in out])
                out = []


@pytest.mark.parametrize("predictor", quick_and_slow(["gp", "gp_ml", "linear"], ["gp"]))
def test_rounds_are_those_of_the_batch(predictor):
    method = methods.make(predictor, init=4, per_round=3, budget=15, top=8)
    program = Program(lambda chunk: method, task.make(TABLE, HONEST), Settings())
    (trace,) = [t for step in program.work(7, [Job(0, 3)]) for _, t in step.ended]
    asked = follow(Driver(method, SPACE, seed=7, run=3))
    assert asked == trace.queried[0].tolist() if trace.queried.ndim > 1 else trace.queried.tolist()


def test_the_same_settings_are_compiled_once():
    """Otherwise each search of a process costs seconds, and many of them its memory maps."""
    settings = {"init": 4, "per_round": 1, "budget": 10, "top": 8}
    follow(Driver(methods.make("gp", **settings), SPACE), pending=2)
    known = [f._cache_size() for f in PROGRAMS]
    follow(Driver(methods.make("gp", **settings), SPACE, seed=1), pending=2)
    assert [f._cache_size() for f in PROGRAMS] == known
    follow(Driver(methods.make("gp", **settings | {"beta": 2.0}), SPACE), pending=2)
    assert all(f._cache_size() > count for f, count in zip(PROGRAMS, known, strict=True))


def test_settings_that_are_equal_but_not_the_same_are_told_apart():
    whole, real = (methods.make("gp", budget=10, top=top) for top in (8, 8.0))
    assert whole is not real
    odd = functools.partial(label_transforms.standardize_observed)
    assert methods.make("gp", budget=10, label_transform=odd).settings["label_transform"] is odd


@pytest.mark.parametrize("name", quick_and_slow(methods.METHODS, ["weaknas", "evolution", "lanas"]))
def test_what_is_pending_is_never_asked_again(name):
    asked = follow(Driver(build(name, per_round=1, budget=40), SPACE), pending=4)
    assert len(asked) == len(set(asked)) == 40


def test_what_is_pending_is_believed():
    """The next query of a bound on a Gaussian process is not the neighbour of one under way."""
    method = methods.make("gp", init=5, per_round=1, budget=20)
    ignoring, believing, knowing = (Driver(method, SPACE, seed=1) for _ in range(3))
    for driver in (ignoring, believing, knowing):
        rows = driver.ask()
        driver.tell(rows, [score(row) for row in rows])
    first = believing.ask()
    assert ignoring.ask() == knowing.ask() == first
    believed = np.asarray(method.expected_scores(believing.state, jnp.asarray(first)))
    knowing.tell(first, believed)
    assert believing.ask(first) == knowing.ask()
    assert believing.state.history.told == 5  # what was believed is forgotten


def test_believed_scores_lie_between_known_ones():
    y, scores = jnp.array([-1.0, 1.0, 0.0, 0.0]), jnp.array([10.0, 30.0, jnp.nan, 20.0])
    found = label_transforms.inverse(jnp.array([-5.0, -0.5, 0.0, 0.5, 5.0]), y, scores)
    np.testing.assert_allclose(found, [10, 15, 20, 25, 30])
    nothing = label_transforms.inverse(jnp.array([1.0]), y, jnp.full(4, jnp.nan))
    np.testing.assert_array_equal(nothing, [0.0])


def small(method, predictor):
    """A registered method without an encoding of its own, as for a pool."""
    if predictor is None:
        return build(method, budget=26, init=5)
    usual = defaults.of(method, predictor)
    return build(
        method,
        make(predictor, **SMALL.get(predictor, {})),
        budget=26,
        init=5,
        acquisition=ACQUISITIONS[usual.acquisition](),
        sampler=SAMPLINGS[usual.sampling](),
    )


IN_A_POOL = quick_and_slow(
    [
        (method, predictor)
        for method, predictor in exact.CASES
        if method in methods.EVERYWHERE
        and "graph" not in methods.reads(method, predictor or "mixture")  # these have none
    ],
    [("weaknas", "gp"), ("weaknas", "linear"), ("evolution", None)],
)
"""Quickly: a predictor with a state, one that is fitted anew as are all others, and none."""


@pytest.mark.parametrize("case", IN_A_POOL)
def test_every_method_searches_a_pool_that_is_refreshed(case):
    choices = Choices({f"c{i}": integer(0, 5) for i in range(6)})
    method = small(*case)

    def run():
        driver, archs = Driver(method, choices, pool=60, refresh=6), []
        while rows := driver.ask():
            archs += [driver.arch(row) for row in rows]
            driver.tell(rows, [sum(driver.arch(row).values()) for row in rows])
        assert driver.pool.refreshes == 3
        return driver, archs

    driver, archs = run()
    assert len({tuple(arch.values()) for arch in archs}) == 26
    assert archs == run()[1]
    # Moved to where it is, it knows what it knew. (The last ask, for nothing, was a round more.)
    before, known = driver.state, driver.state.history
    before = before.replace(history=known.replace(round=known.round - 1))
    after = method.rebase(before, driver.state.space)
    if hasattr(before, "prediction") and case[1] not in ("gp_ml", "warm_ensemble"):
        assert np.corrcoef(after.prediction.mean, before.prediction.mean)[0, 1] > 0.98


def test_a_pool_of_chains_is_searched_by_their_graphs():
    """The mean of a label is learnt by the operation of the first layer, a node of the graph."""

    def fit(key, x, y, mask):
        del key
        hot = jnp.where(mask[:, None], x.one_hot[:, 1], 0.0)
        return jnp.where(mask, y, 0.0) @ hot / (jnp.sum(hot, axis=0) + 0.1)

    predictor = Predictor(fit, lambda means, x: Prediction(x.one_hot[:, 1] @ means))
    method = weaknas(refit(predictor, graphs="whole"), init=30, per_round=10, budget=50, top=10)
    choices = Choices({f"c{i}": integer(0, 5) for i in range(6)}, structure=Chain())
    driver, asked = Driver(method, choices, pool=120, refresh=30), []
    while rows := driver.ask():
        asked += [driver.arch(row)["c0"] for row in rows]
        driver.tell(rows, [float(driver.arch(row)["c0"] == 3) for row in rows])
    assert asked[30:].count(3) > 2 * asked[:30].count(3)


OPS = ("conv", "pool", "skip")
VARIABLE_DEPTH = Choices(
    {"depth": integer(1, 3), "op0": categorical(*OPS)}
    | {f"op{i}": categorical(*OPS, when={"depth": range(i + 1, 4)}) for i in (1, 2)}
)


@pytest.mark.parametrize("case", IN_A_POOL)
def test_every_method_searches_alike_choices_some_of_them_conditional(case):
    driver, archs = Driver(small(*case), VARIABLE_DEPTH), []
    while rows := driver.ask():
        archs += [driver.arch(row) for row in rows]
        driver.tell(rows, [float(driver.arch(row)["depth"]) for row in rows])
    assert len({tuple(arch.values()) for arch in archs}) == len(archs) == 26
    blocks = VARIABLE_DEPTH.space(driver.pool.codes).features
    assert blocks.keys() >= {"slots", "effects", "counts", "categories", "places", "tallies"}


def test_a_large_space_is_searched_beyond_its_first_sample():
    """The optimum is one of 6^10; a sample of 400 holds nothing near it."""
    choices = Choices({f"c{i}": categorical(*range(6)) for i in range(10)})

    def value(arch):
        return sum((c == i % 6) for i, c in enumerate(arch.values()))

    method = methods.make("gp", init=8, per_round=4, budget=120)
    driver = Driver(method, choices, pool=400, refresh=12)
    first = max(value(choices.arch(row)) for row in driver.pool.codes)
    best = 0
    while rows := driver.ask():
        scores = [value(driver.arch(row)) for row in rows]
        best = max(best, *scores)
        driver.tell(rows, scores)
    assert first <= 7
    assert best >= 9


def test_what_others_evaluated_finds_its_place():
    choices = Choices({f"c{i}": integer(0, 5) for i in range(6)}, constraint="c0 < 5")
    driver = Driver(methods.make("linear", init=3, per_round=1, budget=9), choices, pool=50)
    rows = driver.ask()
    driver.tell(rows, [1.0, 2.0, 3.0])
    arch = dict.fromkeys(choices.names, 4)
    row = driver.row(arch)
    assert driver.arch(row) == arch
    assert row not in rows
    driver.see([row])
    driver.tell([row], [100.0])
    assert driver.state.history.told == 4
    later = [driver.ask()[0] for _ in range(5)]
    assert row not in later
    with pytest.raises(ValueError, match="does not meet the constraint"):
        driver.row(arch | {"c0": 5})
    with pytest.raises(ValueError, match="give a row below 64"):
        Driver(build("random"), SPACE).row(64)


def test_a_budget_beyond_the_space():
    with pytest.raises(ValueError, match="budget=65 is more than the 64 architectures"):
        Driver(build("random", budget=65), SPACE)
