"""The sampler for Optuna in spaces of every kind: what is searched together, and how well."""

import multiprocessing
import pickle
import time
import warnings

import numpy as np
import optuna
import pytest
from conftest import LONG
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from benchmarks import objectives
from weaknas_jax.integrations.levels import LEVELS, parameter
from weaknas_jax.integrations.optuna import WeakNASSampler
from weaknas_jax.integrations.structure import Structure

optuna.logging.set_verbosity(optuna.logging.ERROR)


class Counting(optuna.samplers.RandomSampler):
    """Notes what it is asked for."""

    def __init__(self, seed=0):
        super().__init__(seed)
        self.names = []

    def sample_independent(self, study, trial, name, distribution):
        self.names.append((trial.number, name))
        return super().sample_independent(study, trial, name, distribution)


def studied(objective, trials, *, seed=0, direction="maximize", sampler=None, **more):
    sampler = sampler or WeakNASSampler(seed=seed)
    study = optuna.create_study(sampler=sampler, direction=direction, **more)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # nothing is said to be used up
        study.optimize(objective, n_trials=trials, catch=RuntimeError)
    return study


def asked(study):
    return [tuple(sorted(trial.params.items())) for trial in study.get_trials(deepcopy=False)]


# The example.


def rate(trial):
    p = objectives.rate_ask(trial)
    return objectives.rate_truth(p)


def not_worse_than_random(name, seeds, trials):
    """Of some studies, compared seed by seed; returns the shares of hits, ours and of chance."""
    problem = (objectives.CHOOSE | objectives.REPORT)[name]
    ours, random = (
        np.array([objectives.outcome(problem, sampler, seed, trials) for seed in seeds])
        for sampler in ("WeakNASSampler", "RandomSampler")
    )
    error = np.sqrt((ours[:, 0].var(ddof=1) + random[:, 0].var(ddof=1)) / len(seeds))
    assert ours[:, 0].mean() >= random[:, 0].mean() - 2 * error
    return ours[:, 1].mean(), random[:, 1].mean()


def test_beside_a_float_the_best_combination_comes_again():
    hits, chance = not_worse_than_random("rate", range(3), 40)
    assert hits > 2 * chance


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=LONG if name != "rate" else ())
        for name in (*objectives.CHOOSE, *objectives.REPORT)
    ],
)
def test_never_worse_than_random_in_the_mean(name):
    """The example that it was reported of as reported; of the others less, for want of time."""
    sizes = (range(20), 80) if name == "rate" else (range(6), 50)
    hits, chance = not_worse_than_random(name, *sizes)
    assert hits > chance


# What is searched together.


def nested(trial):
    depth = trial.suggest_int("depth", 1, 3)
    value = -float(sum(abs(trial.suggest_int(f"w{i}", 1, 6) - 4 + i) for i in range(depth)))
    if trial.suggest_categorical("op", ("conv", "pool")) == "conv":
        value -= abs(np.log10(trial.suggest_float("lr", 1e-4, 1.0, log=True)) + 2)
        if trial.suggest_categorical("decay", (True, False)):
            value += 0.5 - trial.suggest_float("rate", 0.0, 1.0)
    return value + depth


@pytest.mark.parametrize(
    "objective",
    [pytest.param(rate, id="float"), pytest.param(nested, id="tree", marks=pytest.mark.slow)],
)
def test_once_the_space_is_known_all_is_searched_together(objective):
    counting = Counting()
    study = studied(objective, 30, sampler=WeakNASSampler(seed=0, independent_sampler=counting))
    late = [name for number, name in counting.names if number >= 20]
    assert not late
    assert len(set(asked(study)[5:])) == 25  # nothing twice that is exactly the same


def distributions():
    small = st.integers(-50, 50)
    wide = st.integers(-(10**15), 10**15)
    ranges = st.one_of(
        st.tuples(small, st.integers(1, 90), st.integers(1, 3)),
        st.tuples(wide, st.integers(1, 10**15), st.integers(1, 1000)),
    )
    ints = ranges.map(lambda r: IntDistribution(r[0], r[0] + r[1] * r[2], step=r[2]))
    logs = st.tuples(st.integers(1, 10**6), st.integers(1, 10**12)).map(
        lambda r: IntDistribution(r[0], r[0] + r[1], log=True)
    )
    real = st.floats(-1e300, 1e300, allow_subnormal=False)
    floats = (
        st.tuples(real, real).filter(lambda r: r[0] < r[1]).map(lambda r: FloatDistribution(*r))
    )
    positive = st.floats(1e-300, 1e300)
    scaled = st.tuples(positive, positive).filter(lambda r: r[0] < r[1])
    stepped = st.tuples(small, st.integers(2, 5000), st.sampled_from([0.125, 0.25, 3.0]))
    return st.one_of(
        ints,
        logs,
        floats,
        scaled.map(lambda r: FloatDistribution(*r, log=True)),
        stepped.map(lambda r: FloatDistribution(r[0], r[0] + r[1] * r[2], step=r[2])),
    )


@settings(max_examples=150, deadline=None, derandomize=True)
@given(distribution=distributions(), share=st.floats(0, 0.999))
def test_levels_are_values_of_the_distribution_and_found_again(distribution, share):
    one = parameter(distribution)
    assert (one.values[0], one.values[-1]) == (distribution.low, pytest.approx(distribution.high))
    assert len(set(one.values)) == len(one.values) == len(one.choice.options)
    assert one.whole or len(one.values) <= LEVELS
    for level in {0, len(one.values) // 2, len(one.values) - 1}:
        for value in (one.values[level], one.near(level, share)):
            assert distribution._contains(distribution.to_internal_repr(value))
            assert one.place(value) == level
    with pytest.raises(ValueError, match=r"."):
        one.place(distribution.high + abs(distribution.high) + 1 + (distribution.step or 0))


def trials_of(rows):
    made = []
    for number, (params, dists) in enumerate(rows):
        trial = create_trial(value=float(number), params=params, distributions=dists)
        trial.number = number
        made.append(trial)
    return made


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    kind=st.sampled_from(["depth", "category", "both", "nested", "threshold"]),
    several=st.integers(60, 120),
)
def test_conditions_are_found_in_the_trials(seed, kind, several):
    """Random trials of a tree: what is inferred says of every further one what it has."""
    rng = np.random.default_rng(seed)
    rates = parameter(FloatDistribution(1e-5, 1.0, log=True)).values
    edge = (rates[70] * rates[71]) ** 0.5
    dists = {
        "depth": IntDistribution(1, 4),
        "op": CategoricalDistribution(("a", "b", "c")),
        "lr": FloatDistribution(1e-5, 1.0, log=True),
        "x": IntDistribution(1, 9),
        "y": FloatDistribution(0.0, 1.0),
    }

    def drawn():
        p = {"depth": int(rng.integers(1, 5)), "op": "abc"[rng.integers(3)]}
        p["lr"] = float(10 ** rng.uniform(-5, 0))
        x = {
            "depth": p["depth"] >= 3,
            "category": p["op"] == "b",
            "both": p["op"] != "c" and p["depth"] <= 2,
            "nested": p["depth"] >= 2,
            "threshold": p["lr"] > edge,
        }[kind]
        if x:
            p["x"] = int(rng.integers(1, 10))
            if kind != "nested" or p["x"] <= 4:
                p["y"] = float(rng.random())
        return p, {name: dists[name] for name in p}

    structure = Structure()
    structure.add(trials_of([drawn() for _ in range(several)]))
    plan = structure.plan()
    assert set(plan.distributions) == set(dists)
    assert not plan.rest
    assert not plan.finite
    whole = [plan.read(drawn()[0])[1] for _ in range(100)]
    # Of a threshold in a float the trials tell the place no better than their number allows.
    assert np.mean(whole) >= (0.9 if kind == "threshold" else 1.0)


def test_a_condition_that_no_tree_says_is_left_to_tpe():
    problem = objectives.CHOOSE["either"]
    study = studied(lambda t: problem.truth(problem.ask(t)), 40)
    plan = study.sampler._structure.plan()
    assert set(plan.distributions) == {"a", "b"}
    assert plan.rest
    combinations = [(t.params["a"], t.params["b"]) for t in study.trials]
    assert len(set(combinations)) < 30  # 15 at most, again and again
    values = [t.params["extra"] for t in study.trials if "extra" in t.params]
    assert len(set(values)) == len(values)


def test_what_is_not_searched_together_is_tpes_and_depends_on_no_memory():
    study = studied(lambda t: objectives.either_truth(objectives.either_ask(t)), 25)
    trial = study.trials[-1]
    distribution = FloatDistribution(0.0, 1.0)
    one, other = (
        pickle.loads(pickle.dumps(study.sampler)).sample_independent(
            study, trial, "extra", distribution
        )
        for _ in range(2)
    )
    chance = optuna.samplers.RandomSampler(seed=0)
    assert one == other
    assert one != chance.sample_independent(study, trial, "extra", distribution)


# Ranges that change, parameters that come late.


def test_a_widened_range_goes_on():
    def widened(trial):
        wide = trial.number >= 12
        depth = trial.suggest_int("depth", 1, 8 if wide else 3)
        lr = trial.suggest_float("lr", 1e-4, 1.0 if wide else 1e-2, log=True)
        return depth + np.log10(lr)

    counting = Counting()
    study = studied(widened, 40, sampler=WeakNASSampler(seed=0, independent_sampler=counting))
    assert not [name for number, name in counting.names if number >= 14]
    assert study.best_params["depth"] == 8
    assert study.best_params["lr"] > 0.3


def test_a_narrowed_range_is_the_range_after_a_while():
    def narrowed(trial):
        return trial.suggest_float("lr", 1e-4, 1.0 if trial.number < 12 else 1e-2, log=True)

    study = studied(narrowed, 30)
    plan = study.sampler._structure.plan()
    assert plan.distributions["lr"].high == 1e-2
    assert [t.params["lr"] for t in study.trials[-3:]] <= [1e-2] * 3


def test_a_parameter_that_comes_late_is_searched_with_the_others():
    def late(trial):
        value = {"a": 0, "b": 1}[trial.suggest_categorical("op", ("a", "b"))]
        value -= abs(trial.suggest_int("depth", 1, 9) - 5) / 8
        if trial.number >= 12:
            value -= abs(trial.suggest_float("drop", 0.0, 1.0) - 0.3)
        return value

    counting = Counting()
    study = studied(late, 40, sampler=WeakNASSampler(seed=0, independent_sampler=counting))
    assert not [name for number, name in counting.names if number > 15]
    assert study.best_params["op"] == "b"
    assert study.best_value > 0.8 or abs(study.best_params["drop"] - 0.3) < 0.2


@pytest.mark.slow  # values of any range: above
def test_wide_integers():
    def wide(trial):
        x = trial.suggest_int("x", 1, 10**12)
        y = trial.suggest_int("y", 1, 10**9, log=True)
        kind = trial.suggest_categorical("kind", ("p", "q"))
        return -abs(x / 1e12 - 0.7) - abs(np.log10(y) - 5) / 9 + (kind == "q")

    study = studied(wide, 50)
    assert study.best_value > 0.85
    assert all(isinstance(t.params["x"], int) for t in study.trials)


# Every kind of trial.


def troubled(trial):
    """Fails where it is best, or is pruned, or gives no number."""
    x, op = trial.suggest_float("x", 0.0, 1.0), trial.suggest_categorical("op", ("a", "b", "c"))
    trial.report(x, 0)
    if x > 0.8 and op == "a":
        raise RuntimeError
    if x > 0.8 and op == "b":
        raise optuna.TrialPruned
    return float("nan") if x > 0.8 else x - 0.1 * (op == "c")


def test_a_region_that_fails_is_left():
    study = studied(troubled, 50)
    states = [trial.state for trial in study.trials]
    assert {TrialState.COMPLETE, TrialState.FAIL} <= set(states)
    assert np.mean([state == TrialState.COMPLETE for state in states[25:]]) > 0.5
    assert study.best_value > 0.6


@pytest.mark.parametrize("objective", [lambda t: 1.0, lambda t: float("nan")], ids=["same", "nan"])
def test_an_objective_that_tells_nothing(objective):
    def nothing(trial):
        trial.suggest_float("x", 0.0, 1.0)
        trial.suggest_categorical("op", ("a", "b"))
        return objective(trial)

    study = studied(nothing, 12)
    assert len(set(asked(study))) == 12


@pytest.mark.slow  # of a space that is listed: quick in test_optuna
def test_minimising_is_maximising_the_negative():
    down = studied(lambda t: -nested(t), 16, direction="minimize")
    assert asked(down) == asked(studied(nested, 16))


@pytest.mark.slow  # of a space that is listed: quick in test_optuna
def test_enqueued_trials_and_some_of_their_values():
    study = studied(nested, 12)
    whole = {"depth": 1, "w0": 4, "op": "conv", "lr": 0.0123, "decay": False}
    study.enqueue_trial(whole)
    study.enqueue_trial({"w2": 5})  # asked for with depth 3 only
    study.enqueue_trial({"depth": 1, "w2": 5})  # which is not asked for
    study.enqueue_trial({"op": "pool", "lr": 0.5})
    study.optimize(nested, n_trials=6)
    first, second, third, fourth = study.trials[12:16]
    assert first.params == whole
    assert (second.params["depth"], second.params["w2"]) == (3, 5)
    assert (third.params["depth"], "w2" in third.params) == (1, False)
    assert fourth.params["op"] == "pool"


def noisy(trial):
    luck = np.random.default_rng(trial.number).normal()
    return nested(trial) + 0.3 * luck


@pytest.mark.parametrize(
    "objective",
    [pytest.param(rate, id="float", marks=pytest.mark.slow), pytest.param(noisy, id="tree")],
)
def test_continued_elsewhere_is_as_never_stopped(objective, tmp_path):
    def run(name, parts):
        for trials in parts:
            study = optuna.create_study(
                storage=f"sqlite:///{tmp_path}/{name}.db",
                study_name="s",
                sampler=WeakNASSampler(seed=2),
                direction="maximize",
                load_if_exists=True,
            )
            study.optimize(objective, n_trials=trials)
        return asked(study)

    assert run("whole", [15]) == run("parts", [1, 6, 5, 3])


@pytest.mark.slow  # of a space that is listed: quick in test_optuna
def test_threads_never_ask_for_the_very_same():
    def slow(trial):
        time.sleep(0.01)
        return nested(trial)

    study = optuna.create_study(sampler=WeakNASSampler(seed=0), direction="maximize")
    study.optimize(slow, n_trials=32, n_jobs=4)
    late = asked(study)[8:]
    assert len(set(late)) == len(late)


# Spaces that are used up, and constraints.


def test_a_used_up_space_repeats_its_best():
    def small(trial):
        value = trial.suggest_int("x", 1, 3) + trial.suggest_categorical("y", (0, 10))
        return value + 0.1 * np.random.default_rng(trial.number).normal()

    study = optuna.create_study(sampler=WeakNASSampler(seed=0), direction="maximize")
    with pytest.warns(UserWarning, match="all combinations were tried") as warned:
        study.optimize(small, n_trials=24)
    assert sum("all combinations" in str(one.message) for one in warned) == 1
    assert len(set(asked(study)[:6])) == 6
    values = [trial.params["y"] for trial in study.trials[6:]]
    assert np.mean([y == 10 for y in values]) > 0.6


@pytest.mark.slow  # beside another parameter a float is searched above
def test_one_float_alone_is_never_used_up():
    study = studied(lambda t: -abs(t.suggest_float("x", 0.0, 1.0) - 0.4321), LEVELS + 12)
    assert study.best_value > -0.004
    assert len(set(asked(study))) == len(study.trials)


@pytest.mark.slow  # of a space that is listed: quick in test_optuna
def test_a_constraint_holds_for_what_is_suggested_in_every_kind_of_space():
    def objective(trial):
        depth = trial.suggest_int("depth", 1, 3)
        widths = [trial.suggest_float(f"w{i}", 0.0, 1.0) for i in range(depth)]
        return sum(widths)

    def fits(arch):
        return sum(arch[f"w{i}"] or 0.0 for i in range(3)) <= 1.5

    for constraint, said in ((fits, "'w"), ("w0 * depth <= 2", None)):
        sampler = WeakNASSampler(seed=0, constraint=constraint)
        study = optuna.create_study(sampler=sampler, direction="maximize")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            study.optimize(objective, n_trials=25)
        held = [t for t in study.trials[15:] if set(t.params) >= {"w0", "depth"}]
        for trial in held:
            widths = {f"w{i}": trial.params.get(f"w{i}") for i in range(3)}
            meets = fits(widths) if said else trial.params["w0"] * trial.params["depth"] <= 2
            assert meets
        texts = [str(one.message) for one in caught if "does not hold yet" in str(one.message)]
        assert len(texts) <= 2
        assert all("'w" in text for text in texts)


DIGITS = [f"x{i}" for i in range(14)]


def digits(trial):
    return sum(trial.suggest_int(name, 0, 3) for name in DIGITS)


@pytest.mark.slow  # a constraint is met above
def test_a_tight_constraint_takes_no_millions_of_calls():
    """3,060 combinations of 4^14 meet it."""
    calls = []

    def fits(arch):
        calls.append(1)
        return sum(arch.values()) <= 4

    sampler = WeakNASSampler(seed=0, constraint=fits)
    study = optuna.create_study(sampler=sampler, direction="maximize")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # how far the look has come
        study.optimize(digits, n_trials=12)
    assert len(calls) < 1_000_000
    assert all(fits(trial.params) for trial in study.trials[1:])
    assert len(set(asked(study))) == 12


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*found:RuntimeWarning")
def test_where_hardly_anything_is_allowed_a_study_goes_on_in_the_same_way():
    """Chance alone finds what meets it, a few in a million: the search looks on as it goes."""
    calls = []

    def scattered(arch):
        calls.append(1)
        number = sum(arch[name] * 4**i for i, name in enumerate(DIGITS))
        return number * 2654435761 % 2**32 < 2**32 * 2000 / 4**14

    def run(parts):
        study = optuna.create_study(direction="maximize")
        for trials in parts:
            study.sampler = WeakNASSampler(seed=0, constraint=scattered)
            study.optimize(digits, n_trials=trials)
        return asked(study)

    whole = run([12])
    assert len(calls) < 4_000_000
    assert len(set(whole)) == 12
    assert run([6, 6]) == whole


def test_a_constraint_that_is_no_expression_is_said_at_once():
    with pytest.raises(ValueError, match="constraint="):
        WeakNASSampler(constraint="depth <")


# Several processes on one file.


def small(trial):
    op, depth = trial.suggest_categorical("op", ("a", "b", "c")), trial.suggest_int("depth", 1, 40)
    return {"a": 0.0, "b": 0.5, "c": 1.0}[op] - abs(depth - 30) / 40


def work(storage, trials, seed):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.load_study(study_name="s", storage=storage, sampler=WeakNASSampler(seed=seed))
    study.optimize(small, n_trials=trials)


@pytest.mark.slow  # of two announcements: below
def test_processes_on_one_file_do_not_repeat_each_other(tmp_path):
    storage = f"sqlite:///{tmp_path}/s.db"
    study = studied(small, 6, storage=storage, study_name="s")
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=work, args=(storage, 15, 0)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 2
    assert len(study.trials) == len(set(asked(study))) == 36


def test_of_two_that_announce_the_same_the_later_trial_gives_way(tmp_path):
    """Both have read the study before either has announced: the second look tells them apart."""
    storage = f"sqlite:///{tmp_path}/s.db"
    here = studied(small, 8, storage=storage, study_name="s")
    there = optuna.load_study(study_name="s", storage=storage, sampler=WeakNASSampler(seed=0))
    first = optuna.load_study(study_name="s", storage=storage, sampler=WeakNASSampler(seed=0))
    suggest, both = there.sampler._suggested, []

    def late(study, trial, plan, fixed):
        """The other process announces while this one is thinking."""
        answer = suggest(study, trial, plan, fixed)
        if not both:
            both.append(first.ask(here.trials[0].distributions))
        return answer

    there.sampler._suggested = late
    other = there.ask(here.trials[0].distributions)
    assert both[0].params != other.params
