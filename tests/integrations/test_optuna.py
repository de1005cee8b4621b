"""The sampler for Optuna: what it promises of studies, whatever they are stored in or fed with."""

import importlib
import pickle
import sys
import time

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from weaknas_jax.integrations import follower
from weaknas_jax.integrations.levels import LEVELS, parameter
from weaknas_jax.integrations.optuna import WeakNASSampler
from weaknas_jax.spaces.choices import Choices, categorical, integer

optuna.logging.set_verbosity(optuna.logging.ERROR)
OPS = ("conv", "skip", "pool", "none")
SIZE = 4 * 8 * 11


def parameters(trial):
    op = trial.suggest_categorical("op", OPS)
    depth = trial.suggest_int("depth", 1, 8)
    return op, depth, trial.suggest_float("ratio", 0.0, 1.0, step=0.1)


def score(op, depth, ratio):
    """Best, 2.0, at ("skip", 6, 0.7) and nowhere else."""
    effect = {"conv": 0.6, "skip": 1.0, "pool": 0.3, "none": 0.0}[op]
    return effect + 1.0 - ((depth - 6) / 8) ** 2 - (ratio - 0.7) ** 2


def objective(trial):
    return score(*parameters(trial))


def studied(sampler, trials=15, objective=objective, direction="maximize", **settings):
    study = optuna.create_study(sampler=sampler, direction=direction, **settings)
    study.optimize(objective, n_trials=trials)
    return study


def asked(study):
    return [tuple(trial.params.items()) for trial in study.get_trials(deepcopy=False)]


def test_same_seed_same_trials():
    one, same, other = (asked(studied(WeakNASSampler(seed=seed))) for seed in (0, 0, 1))
    assert one == same
    assert one != other
    assert asked(studied(WeakNASSampler())) != asked(studied(WeakNASSampler()))


def test_minimising_is_maximising_the_negative():
    down = studied(WeakNASSampler(seed=0), objective=lambda t: -objective(t), direction="minimize")
    assert asked(down) == asked(studied(WeakNASSampler(seed=0)))


def test_finds_the_optimum_much_sooner_than_random():
    def trials(seed):
        study = optuna.create_study(sampler=WeakNASSampler(seed=seed), direction="maximize")
        study.optimize(
            objective,
            n_trials=150,
            callbacks=[lambda study, trial: study.stop() if trial.value > 1.999 else None],
        )
        assert len(set(asked(study))) == len(study.trials)
        return len(study.trials)

    found = [trials(seed) for seed in range(6)]
    assert np.mean(found) < (SIZE + 1) / 2 / 4  # without repeats, random ones need (N + 1) / 2


def troubled(trial):
    """Every kind of trial: some fail, some are pruned, some give no number."""
    value = objective(trial)
    if trial.number % 9 == 3:
        raise RuntimeError
    if trial.number % 9 == 4:
        trial.report(0.5, step=1)
        raise optuna.TrialPruned
    return float("nan") if trial.number % 11 == 9 else value


@pytest.mark.slow  # one without failures is quick in test_optuna_spaces
@pytest.mark.parametrize(
    "settings",
    [pytest.param({}, id="whole space"), pytest.param({"pool": 40}, id="moving pool")],
)
def test_resumed_from_a_database_is_as_uninterrupted(tmp_path, monkeypatch, settings):
    monkeypatch.setattr(follower, "BUDGET", 20)  # the driver gives way to a larger one

    def run(name, parts):
        storage = f"sqlite:///{tmp_path}/{name}.db"
        for part, trials in enumerate(parts):
            study = optuna.create_study(
                storage=storage,
                study_name="one",
                sampler=WeakNASSampler(seed=3, **settings),
                direction="maximize",
                load_if_exists=True,
            )
            if not part:
                study.enqueue_trial({"op": "pool", "depth": 2, "ratio": 0.5})
            study.optimize(troubled, n_trials=trials, catch=RuntimeError)
        return study

    whole, resumed = run("whole", [36]), run("resumed", [1, 21, 14])
    driver = whole.sampler._follower._driver
    assert (driver.method.budget, driver.pool.whole) == (40, not settings)
    assert (driver.pool.refreshes > 0) == bool(settings)
    assert asked(whole) == asked(resumed)
    assert whole.trials[0].params["op"] == "pool"
    states = {trial.state for trial in whole.trials}
    assert states == {TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL}
    assert len(set(asked(whole))) == 36


def test_threads_ask_for_nothing_twice():
    def slow(trial):
        value = objective(trial)
        time.sleep(0.02)
        return value

    study = optuna.create_study(sampler=WeakNASSampler(seed=0), direction="maximize")
    study.optimize(slow, n_trials=40, n_jobs=4)
    assert len(set(asked(study))) == len(study.trials) == 40
    assert study.best_value > 1.9


def test_what_another_process_is_about_to_evaluate_is_taken_into_account(tmp_path):
    storage = f"sqlite:///{tmp_path}/shared.db"
    here = studied(WeakNASSampler(seed=0), 8, storage=storage, study_name="shared")
    there = optuna.load_study(storage=storage, study_name="shared", sampler=WeakNASSampler(seed=0))
    begun, other = here.ask(), there.ask()
    begun.suggest_categorical("op", OPS)  # asked for as a whole, known by one parameter yet
    parameters(other)
    parameters(begun)
    assert begun.params != other.params


def test_trials_of_other_samplers_are_learnt_from():
    study = studied(optuna.samplers.RandomSampler(seed=0), 30)
    study.sampler = WeakNASSampler(seed=0)
    study.optimize(objective, n_trials=10)
    assert not set(asked(study)[30:]) & set(asked(study)[:30])
    assert np.mean([t.value for t in study.trials[30:]]) > 1.6
    assert np.mean([t.value for t in study.trials[:30]]) < 1.4


def test_enqueued_trials():
    study = studied(WeakNASSampler(seed=0), 8)
    best = {"op": "skip", "depth": 6, "ratio": 0.7}
    study.enqueue_trial(best)
    study.enqueue_trial({"op": "none"})
    study.enqueue_trial({"op": "none", "depth": 1})
    study.enqueue_trial({"depth": 1, "op": "none"})
    study.optimize(objective, n_trials=30)
    whole, *some = study.trials[8:12]
    assert whole.params == best
    assert [trial.params["op"] for trial in some] == ["none"] * 3
    assert [trial.params["depth"] for trial in some[1:]] == [1, 1]
    assert len(set(asked(study))) == 38


def test_an_enqueued_value_that_there_is_not_is_passed_over():
    study = studied(WeakNASSampler(seed=0), 4)
    study.enqueue_trial({"depth": 99})
    with pytest.warns(UserWarning, match="out of range"):
        study.optimize(lambda t: parameters(t)[1], n_trials=1)
    study.optimize(objective, n_trials=3)
    assert study.trials[4].params["depth"] == 99


def test_one_sampler_for_two_studies():
    alone = asked(studied(WeakNASSampler(seed=0), 10))
    sampler = WeakNASSampler(seed=0)
    studies = [optuna.create_study(sampler=sampler, direction="maximize") for _ in range(2)]
    for _ in range(5):
        for study in studies:
            study.optimize(objective, n_trials=2)
    assert [asked(study) for study in studies] == [alone, alone]


def test_a_sampler_is_pickled_without_what_it_read():
    study = studied(WeakNASSampler(seed=0), 9)
    unlike = optuna.create_study(sampler=WeakNASSampler(seed=0), direction="maximize")
    unlike.add_trials(study.trials)
    unlike.sampler = pickle.loads(pickle.dumps(study.sampler))
    for one in (study, unlike):
        one.optimize(objective, n_trials=4)
    assert asked(study) == asked(unlike)


def test_a_pruned_trial_counts_as_failed():
    def next_after(**outcome):
        study = studied(WeakNASSampler(seed=0), 8)
        distributions = study.trials[0].distributions
        params = {"op": "none", "depth": 1, "ratio": 0.0}
        study.add_trial(
            optuna.trial.create_trial(params=params, distributions=distributions, **outcome)
        )
        study.optimize(objective, n_trials=5)
        return asked(study)[9:]

    failed = next_after(state=TrialState.FAIL)
    assert next_after(state=TrialState.PRUNED, intermediate_values={0: 9.0}, value=9.0) == failed
    assert next_after(state=TrialState.COMPLETE, value=9.0) != failed


def test_pruners_that_divide_a_study():
    def steps(trial):
        value = objective(trial)
        for step in range(9):
            trial.report(value * (step + 1) / 9, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return value

    pruner = optuna.pruners.HyperbandPruner(max_resource=9)
    study = studied(WeakNASSampler(seed=0), 40, steps, pruner=pruner)
    assert TrialState.PRUNED in {trial.state for trial in study.trials}
    assert len(set(asked(study))) == 40


def test_an_independent_sampler_of_ones_own():
    class Lowest(optuna.samplers.RandomSampler):
        def sample_independent(self, study, trial, name, distribution):
            return distribution.low if name == "rate" else distribution.to_external_repr(0)

    def by_turns(trial):
        a = trial.suggest_categorical("a", (0, 1, 2))
        return a + (trial.suggest_float("rate", 0.5, 1) if trial.number % 2 else 0.0)

    sampler = WeakNASSampler(method="random", seed=0, independent_sampler=Lowest())
    study = studied(sampler, 20, by_turns)
    assert [t.params["rate"] for t in study.trials[13::2]] == [0.5] * 4
    assert {t.params["a"] for t in study.trials} == {0, 1, 2}


def test_a_used_up_space_is_no_error():
    sampler = WeakNASSampler(method="random", seed=0)
    with pytest.warns(UserWarning, match="all combinations were tried") as warned:
        study = studied(
            sampler,
            10,
            lambda t: t.suggest_int("x", 1, 3) + t.suggest_categorical("y", (0, 10)),
        )
    assert sum("all combinations" in str(one.message) for one in warned) == 1
    assert len(set(asked(study)[:6])) == 6
    assert len(study.trials) == 10


def test_a_constraint_holds_for_what_is_suggested():
    sampler = WeakNASSampler(method="random", seed=0, constraint="x * y <= 9")

    def product(trial):
        return trial.suggest_int("x", 1, 6) * trial.suggest_int("y", 1, 6)

    values = [trial.value for trial in studied(sampler, 15, product).trials]
    assert max(values[1:]) <= 9  # the first trial finds out what there is
    assert len(values) == 15


def test_two_objectives_are_refused():
    study = optuna.create_study(sampler=WeakNASSampler(), directions=["maximize", "minimize"])
    with pytest.raises(ValueError, match="the study has 2"):
        study.ask()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"predictor": "oracle"}, "predictor=oracle"),
        ({"strange": 1.0}, "strange"),
        ({"per_round": 4}, "per_round=4"),
        ({"budget": 50}, "budget=50"),
        ({"init": 0}, "init=0"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_wrong_settings_are_said_at_once(settings, message):
    with pytest.raises(ValueError, match=message):
        WeakNASSampler(**settings)


def test_without_optuna_the_extra_is_named(monkeypatch):
    name = "weaknas_jax.integrations.optuna"
    monkeypatch.setitem(sys.modules, "optuna.distributions", None)
    monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ModuleNotFoundError, match=r"pip install -e '.\[optuna\]'"):
        importlib.import_module(name)


@pytest.mark.parametrize(
    "distribution",
    [
        CategoricalDistribution(("a", None, 1, True, 1.5)),
        IntDistribution(-3, 9, step=3),
        IntDistribution(1, 64, log=True),
        FloatDistribution(0.0, 0.3, step=0.1),
        FloatDistribution(-1.0, 1.0, step=0.05),
    ],
)
def test_values_are_those_of_optuna_and_found_again(distribution):
    values = parameter(distribution).values
    for at, value in enumerate(values):
        inside = distribution.to_internal_repr(value)
        assert distribution._contains(inside)
        back = distribution.to_external_repr(inside)
        assert back is value or back == value
        assert parameter(distribution).place(back) == at
    if not isinstance(distribution, CategoricalDistribution):
        assert values[0] == distribution.low
        assert values[-1] == distribution.high
    else:
        assert values == ["a", None, 1, 1.5]  # True is stored as 1


@pytest.mark.parametrize(
    "distribution",
    [IntDistribution(0, 1000), FloatDistribution(0, 1), FloatDistribution(0, 1, step=1e-4)],
)
def test_values_that_cannot_be_listed_are_graded(distribution):
    one = parameter(distribution)
    assert not one.whole
    assert len(one.values) == LEVELS


def taught(*lessons):
    choices = Choices({"op": categorical(*OPS), "depth": integer(1, 8), "ratio": integer(0, 10)})
    one = follower.Follower("gp", {}, choices, seed=0, init=1, pool=1000)
    for arch, value in lessons:
        one.learn(dict(zip(("op", "depth", "ratio"), arch, strict=True)), value)
    return one.suggest()


def test_an_architecture_counts_once_by_its_first_score():
    a, b = ("conv", 1, 2), ("pool", 5, 9)
    nan, known = float("nan"), taught((a, 1.0), (b, 2.0))
    assert taught((a, 1.0), (b, 2.0), (a, 9.0)) == known
    assert taught((a, nan), (a, 1.0), (a, nan), (b, 2.0)) == known
    assert taught((a, 1e300), (a, 1.0), (b, 2.0)) == known  # more than float32 has: failed
    assert taught((b, 1.0), (a, 2.0)) != known
    assert taught((("none", 99, 0), 5.0), (a, 1.0), (b, 2.0)) == known  # there is no such one
