"""What every registered method must do. Registering a method is what gets it tested."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import build, planted_table, quick_and_slow

from weaknas_jax import Space, Table, linear
from weaknas_jax.predictors import make
from weaknas_jax.runs import task
from weaknas_jax.search.acquisition import ACQUISITIONS
from weaknas_jax.search.methods import METHODS
from weaknas_jax.search.sampling import SAMPLINGS

OF_GRAPHS = {name for name, record in METHODS.items() if record.own == "graph"}
QUICK = set(METHODS) - OF_GRAPHS | {"bonas"}
"""The other ones on graphs are the same loop, and their predictors have tests of their own."""


def drive(method, scores, seed=0):
    """The host loop of somebody with real training jobs; returns told indices and last Info."""
    space = task.space(planted_table(), neighbours=True, graphs=True)
    ask, tell = jax.jit(method.ask), jax.jit(method.tell)
    state, told, info = method.init(jax.random.key(seed), space), [], None
    while True:
        state, indices = ask(state)
        real = [int(i) for i in indices if i >= 0]
        if not real:
            return told, info
        told += real
        state, info = tell(state, indices, jnp.asarray(scores, jnp.float32)[indices])


def assert_budget(name, budget):
    told, _ = drive(build(name, budget=budget), planted_table().valid_mean)
    assert len(told) == len(set(told)) == budget
    assert min(told) >= 0
    assert max(told) < 64


@pytest.mark.parametrize("name", quick_and_slow(METHODS, QUICK))
def test_never_twice_and_exactly_the_budget(name):
    assert_budget(name, 17)  # a last round that is smaller


OF_THEIR_OWN = ["weaknas", "random", "evolution"]
"""Loops that count queries; the others are built around these."""


@pytest.mark.parametrize("name", quick_and_slow(METHODS, OF_THEIR_OWN))
def test_a_budget_of_the_initial_round_alone(name):
    assert_budget(name, 5)


@pytest.mark.parametrize("name", quick_and_slow(METHODS, OF_THEIR_OWN))
def test_more_budget_than_architectures_ends_with_all(name):
    told, _ = drive(build(name, budget=80), planted_table().valid_mean)
    assert sorted(told) == list(range(64))


@pytest.mark.parametrize("name", quick_and_slow(METHODS, QUICK))
def test_same_key_same_queries(name):
    scores = planted_table().valid_mean
    assert drive(build(name), scores)[0] == drive(build(name), scores)[0]
    assert drive(build(name), scores)[0] != drive(build(name), scores, seed=1)[0]


@pytest.mark.parametrize("name", quick_and_slow(METHODS, OF_THEIR_OWN))
@pytest.mark.parametrize("failing", ["some", "all", "infinite"])
def test_failed_evaluations_are_survived(name, failing):
    scores = planted_table().valid_mean.copy()
    scores[:: 1 if failing == "all" else 3] = np.inf if failing == "infinite" else np.nan
    told, info = drive(build(name), scores)
    assert len(set(told)) == 17
    if info.prediction is not None:
        assert jnp.isfinite(info.prediction.mean).all()


@pytest.mark.parametrize("name", quick_and_slow(METHODS, QUICK))
def test_constant_scores_are_survived(name):
    told, _ = drive(build(name), np.full(64, 50.0))
    assert len(set(told)) == 17


@pytest.mark.parametrize("name", [name for name, of in METHODS.items() if of.predictor])
def test_predictions_come_with_every_tell(name):
    _, info = drive(build(name), planted_table().valid_mean)
    assert info.prediction.mean.shape == (64,)


CHOICES = [("acquisition", name) for name in ACQUISITIONS] + [("sampler", n) for n in SAMPLINGS]


# Each is compared with its formula in test_acquisition and test_sampling.
@pytest.mark.parametrize(
    "choice",
    quick_and_slow(CHOICES, [("acquisition", "its"), ("sampler", "epsilon_greedy")]),
    ids=str,
)
def test_every_acquisition_and_sampler_keeps_the_rules(choice):
    """Never twice, the budget, the same again, through failed queries, better than chance."""
    part, name = choice
    made = {"acquisition": ACQUISITIONS, "sampler": SAMPLINGS}[part][name]()
    method = build("weaknas", linear(draws=2), budget=29, **{part: made})
    scores = planted_table(noise=0.1).valid_mean.copy()
    scores[::5] = np.nan
    told, info = drive(method, scores)
    assert len(set(told)) == len(told) == 29
    assert told == drive(method, scores)[0]
    assert told != drive(method, scores, seed=1)[0]
    assert jnp.isfinite(info.prediction.mean).all()
    assert np.nanmean(scores[told[5:]]) > np.nanmean(scores)


@pytest.mark.parametrize("name", quick_and_slow(["gp", "linear", "knn"], ["gp"]))
def test_equal_encodings_and_constant_scores_are_survived(name):
    """Two copies of each architecture, all scores equal, more budget than architectures."""
    table = planted_table((3, 3))
    table = Table("twice", "d", np.vstack([table.encoding] * 2), valid=np.full((18, 1), 50.0))
    space = Space(jnp.asarray(table.encoding), task.features(table))
    method = build("weaknas", make(name, table.encoding), budget=25)
    state, told = method.init(jax.random.key(0), space), []
    ask, tell = jax.jit(method.ask), jax.jit(method.tell)
    while True:
        state, indices = ask(state)
        told += [int(i) for i in indices if i >= 0]
        if indices.max() < 0:
            break
        state, info = tell(state, indices, jnp.where(indices >= 0, 50.0, jnp.nan))
        assert jnp.isfinite(info.prediction.mean).all()
    assert sorted(told) == list(range(18))
