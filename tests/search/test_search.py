"""The loop against a plain Python twin, and on cases that can be worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
from conftest import planted_table, ridge

from weaknas_jax import HONEST, Job, Prediction, Predictor, Settings, Space, refit, run, weaknas
from weaknas_jax.runs import program as batch
from weaknas_jax.runs import task
from weaknas_jax.search import label_transforms, sampling


def oracle(table) -> Predictor:
    """Knows the answer: predicts each architecture's accuracy from its encoding."""
    weights = np.linalg.lstsq(table.encoding, table.valid_mean, rcond=None)[0]
    weights = jnp.asarray(weights, jnp.float32)
    return Predictor(lambda key, x, y, mask: weights, lambda w, x: Prediction(jnp.round(x @ w, 2)))


def test_a_perfect_predictor_finds_the_optimum_in_the_first_round():
    table = planted_table()
    method = weaknas(refit(oracle(table)), init=3, per_round=4, top=4, budget=11)
    trace = run(method, task.make(table, HONEST), seed=0)
    best = np.argsort(-table.valid_mean, kind="stable")
    told = trace.queried[0]
    unseen_best = [i for i in best[:4] if i not in told[:3]]
    assert set(unseen_best) <= set(told[3:7])
    assert (trace.predicted_top == best[0]).all()
    np.testing.assert_allclose(trace.kendall, 1.0, atol=1e-6)


def test_top_equal_to_the_batch_walks_down_the_true_order():
    """M = N and a perfect predictor: after the start, the queries are the best in order."""
    table = planted_table()
    method = weaknas(refit(oracle(table)), init=2, per_round=1, top=1, budget=20)
    told = run(method, task.make(table, HONEST), seed=3).queried[0]
    order = [
        i for i in np.argsort(-np.round(table.valid_mean, 2), kind="stable") if i not in told[:2]
    ]
    np.testing.assert_array_equal(table.valid_mean[told[2:]], table.valid_mean[order[:18]])


def test_scanned_rounds_equal_a_plain_loop():
    """The compiled program against ask, evaluate, tell by hand, round by round."""
    table = planted_table(noise=0.3)
    problem = task.make(table, HONEST)
    method = weaknas(refit(ridge()), init=5, per_round=3, top=6, budget=21)
    trace = run(method, problem, seed=7, number=4, rounds_per_call=3)

    key = jax.random.fold_in(jax.random.key(7, impl="threefry2x32"), 4)
    state, told = method.init(key, problem.space), []
    ask, tell = jax.jit(method.ask), jax.jit(method.tell)
    for _ in range(7):
        state, indices = ask(state)
        asked = [int(i) for i in indices if i >= 0]
        told += asked
        scores = [table.valid_mean[i] if i >= 0 else np.nan for i in np.asarray(indices)]
        state, _ = tell(state, indices, jnp.array(scores, jnp.float32))
    assert trace.queried[0].tolist() == told
    assert int(ask(state)[1].max()) == -1  # the budget is spent


def test_one_round_is_the_single_strong_predictor():
    table = planted_table()
    method = weaknas(refit(ridge(1e-6)), init=30, budget=30)
    trace = run(method, task.make(table, HONEST), seed=0)
    assert method.sizes == (30,)
    assert trace.predicted_top.shape == (1, 1)
    assert trace.predicted_top[0, 0] == table.valid_mean.argmax()


def test_sizes_of_rounds():
    assert weaknas(refit(ridge()), init=10, per_round=4, budget=21).sizes == (10, 4, 4, 3)
    assert weaknas(refit(ridge()), init=10, per_round=10, budget=10).sizes == (10,)


def test_equations_5_and_6_are_uniform_sampling_in_the_top():
    """acq(x) = u(x - theta) eps with eps ~ U(0, 1): the M largest are our draw, key for key."""
    scores = jax.random.normal(jax.random.key(0), (50,))
    theta = jnp.sort(scores)[-10]
    for seed in range(20):
        key = jax.random.key(seed)
        eps = jax.random.uniform(key, (50,))
        acquisition = jnp.where(scores >= theta, eps, 0.0)
        expected = jax.lax.top_k(acquisition, 4)[1]
        drawn = sampling.uniform().draw(key, scores, jnp.zeros(50, bool), 10, 4)
        assert drawn.tolist() == expected.tolist()


def test_predicted_best_comes_first_when_counted():
    table = planted_table()
    method = weaknas(
        refit(oracle(table)), init=4, per_round=3, top=30, budget=22, predicted_best_first=True
    )
    told = run(method, task.make(table, HONEST), seed=1).queried[0].tolist()
    order = np.argsort(-np.round(table.valid_mean, 2), kind="stable")
    for begin in range(4, 22, 3):
        assert told[begin] == next(i for i in order if i not in told[:begin])


def test_scores_may_arrive_in_parts_and_late():
    table = planted_table()
    space = Space(jnp.asarray(table.encoding))
    method = weaknas(refit(ridge()), init=4, per_round=4, budget=12)
    ask, tell = jax.jit(method.ask), jax.jit(method.tell)
    state, first = ask(method.init(jax.random.key(0), space))
    state, second = ask(state)  # nothing told yet, nothing asked twice
    assert not set(first.tolist()) & set(second.tolist())
    late = jnp.where(jnp.arange(4) < 2, first, -1)
    state, _ = tell(state, second, jnp.ones(4))
    state, info = tell(state, late, jnp.array([2.0, jnp.nan, 0.0, 0.0]))
    assert int(state.history.told) == 6
    assert state.history.queried[:6].tolist() == [*second.tolist(), *first.tolist()[:2]]
    assert state.history.mask.tolist() == [True] * 5 + [False] * 7
    assert jnp.isfinite(info.prediction.mean).all()


def test_same_first_round_whatever_follows():
    problem = task.make(planted_table(), HONEST)
    first = [
        run(
            weaknas(refit(ridge()), init=6, per_round=m, top=t, budget=16),
            problem,
            seed=2,
            number=5,
        )
        for m, t in ((2, 5), (5, 9))
    ]
    assert (first[0].queried[0, :6] == first[1].queried[0, :6]).all()


def test_label_transforms_by_hand():
    scores, mask = jnp.array([2.0, 4.0, jnp.nan, 9.0]), jnp.array([True, True, False, False])
    assert label_transforms.standardize_observed(scores, mask).tolist() == [-1.0, 1.0, 0.0, 0.0]
    assert (
        label_transforms.standardize_observed(jnp.full(3, 70.0), jnp.ones(3, bool)).tolist()
        == [0.0] * 3
    )
    assert (
        label_transforms.standardize_observed(jnp.zeros(3), jnp.zeros(3, bool)).tolist()
        == [0.0] * 3
    )
    assert label_transforms.standardize_by(3.0, 2.0)(scores, mask).tolist() == [-0.5, 0.5, 0.0, 0.0]


def test_one_trace_per_configuration():
    """However many runs, rounds and calls: the predictor is traced once by each program."""
    traces = []

    def fit(key, x, y, mask):
        traces.append(1)
        return ridge().fit(key, x, y, mask)

    problem = task.make(planted_table(), HONEST)
    method = weaknas(refit(Predictor(fit, ridge().predict)), init=4, per_round=2, budget=14)
    program = batch.Program(method, problem, Settings())
    compiled = len(traces)
    assert list(program.work(0, [Job(0, run) for run in range(3)]))
    assert list(program.work(1, [Job(0, run) for run in range(5)]))
    assert len(traces) == compiled
    assert compiled <= 4  # for shapes, and in the loop; not once a round
