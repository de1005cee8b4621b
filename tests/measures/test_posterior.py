"""The answer by predicted mean: closed forms, every predictor, exact seeds, the commands."""

import dataclasses
import json

import numpy as np
import pytest
from by_hand import TABLE, trace
from conftest import SMALL, planted_table, quick_and_slow
from helpers import call, calls, summary_of

import weaknas_jax as wn
from weaknas_jax import HONEST, PREDICTORS, ConfigError, Table, methods, run_many, task
from weaknas_jax.cli import search, sweep
from weaknas_jax.measures import answers, posterior
from weaknas_jax.predictors import kernels, make, presets
from weaknas_jax.predictors.refit import refit
from weaknas_jax.report import run_folder, text
from weaknas_jax.runs import last_fit, replay
from weaknas_jax.runs.last_fit import LastFit

LINE = np.linspace(-1.0, 1.0, 9)
FLUKE = 2  # the row whose label is lucky; the best one is the last


def line_table() -> Table:
    """Nine architectures on a line; their scores rise by 5 from one to the next."""
    scores = (50 + 20 * LINE)[:, None]
    return Table("line", "made", LINE[:, None].astype(np.float32), scores, test=scores)


def lucky_runs() -> wn.Trace:
    """Two runs of all nine, in other orders; the label of `FLUKE` is 75, above the best's 70."""
    queried = np.stack([np.arange(9), np.arange(9)[::-1]]).astype(np.int32)
    scores = np.where(queried == FLUKE, 75.0, 50 + 20 * LINE[queried]).astype(np.float32)
    made = trace(queried % 5, [[0, 0]] * 2, (0, 0, 0, 0, 0, 1, 1, 1, 1))
    return made._replace(queried=queried, scores=scores)


def ridge_mean(x: np.ndarray, y: np.ndarray, noise: float) -> np.ndarray:
    """The mean of ridge regression at its own data, by the normal equations; a column of ones."""
    x = np.column_stack([x, np.ones(len(x))])
    return x @ np.linalg.solve(x.T @ x + noise * np.eye(2), x.T @ y)


def test_ridge_regression_sees_through_a_lucky_label():
    """By hand: the slope of nine labels is positive whatever one of them is, so the last wins."""
    table, runs = line_table(), lucky_runs()
    method = methods.make("linear", init=5, per_round=4, budget=9, noise=0.01)
    fitted = last_fit.fit(method, task.make(table, HONEST), runs)
    y = (runs.scores[0] - runs.scores[0].mean()) / runs.scores[0].std()
    best = ridge_mean(LINE, y, 0.01).argmax()
    assert best == 8
    assert fitted.mean.argmax(axis=1).tolist() == [8, 0]
    np.testing.assert_allclose(fitted.mean[0], fitted.mean[1][::-1], atol=1e-5)

    runs.queried[1, 5:], runs.scores[1, 5:] = -1, np.nan  # a run that ended after its first round
    y = runs.scores[1, :5]
    wanted = ridge_mean(LINE[8:3:-1], (y - y.mean()) / y.std(), 0.01)
    for by_rounds in (False, True):
        early = last_fit.fit(method, task.make(table, HONEST), runs, by_rounds=by_rounds)
        np.testing.assert_allclose(early.mean[1, :5], wanted, atol=1e-3)
        np.testing.assert_allclose(early.mean[0], fitted.mean[0], atol=1e-5)
        assert np.isnan(early.mean[1, 5:]).all()
        assert np.isnan(early.score[1, 5:]).all()


def test_the_lucky_one_is_no_longer_the_answer():
    table, runs = line_table(), lucky_runs()
    method = methods.make("linear", init=5, per_round=4, budget=9)
    found = posterior.choose(runs, table, last_fit.fit(method, task.make(table, HONEST), runs))
    assert found.before.tolist() == [FLUKE] * 2
    assert found.answer.tolist() == [8, 8]
    assert found.label.tolist() == [75, 75]
    told = posterior.summary(found, table)
    assert told["changed"] == 2
    assert told["valid_regret"] == {"label": 70 - 40.0, "mean": 0}
    assert told["curse"]["label"] == 75 - 40


def test_a_gaussian_process_is_that_of_the_formula():
    """K (K + noise I)^-1 y, with the kernel that the search uses, in float64."""
    table = planted_table()
    problem = task.make(table, HONEST)
    method = methods.make("gp", init=4, per_round=3, budget=16, label_transform="standardize")
    runs, _ = run_many(method, problem, 3, range(2))
    rng = np.random.default_rng(0)
    runs = runs._replace(scores=runs.scores + rng.normal(0, 3, runs.scores.shape).astype("float32"))
    kernel = kernels.on(problem.space.features, presets.blocks_of(problem.space))
    fitted = last_fit.fit(method, problem, runs, seed=3)
    for queried, scores, mean in zip(runs.queried, runs.scores, fitted.mean, strict=True):
        k = np.asarray(kernel.rows(queried), np.float64)[:, queried]
        y = (scores - scores.mean()) / scores.std()
        np.testing.assert_allclose(mean, k @ np.linalg.solve(k + 0.2 * np.eye(16), y), atol=2e-3)


@pytest.mark.parametrize("minimize", [False, True])
def test_a_predicted_mean_is_reported_as_a_label(minimize):
    table = line_table()
    if minimize:
        table = dataclasses.replace(table, valid=-table.valid, test=-table.test, minimize=True)
    runs = lucky_runs()
    runs = runs._replace(scores=table.worth(runs.scores))
    method = methods.make("linear", init=5, per_round=4, budget=9)
    fitted = last_fit.fit(method, task.make(table, HONEST), runs)
    found = posterior.choose(runs, table, fitted)
    assert found.answer.tolist() == [8, 8]
    assert found.label.tolist() == [table.worth(75.0)] * 2
    labels = table.worth(found.predicted)
    assert ((labels > 50) & (labels <= 75)).all()
    summary = text.summarize(runs, table, HONEST, posterior=found)
    assert summary["final"]["each"]["best_valid_test"]["regret"] == 0
    assert summary["posterior"]["by_label"]["regret"] == 30
    assert [one["by"] for one in summary["answers"]["runs"]] == ["posterior"] * 2
    curve = summary["curve"]["best_valid_test"]["mean"]
    assert curve[-1] == table.test_mean[FLUKE]  # over queries: by label, as ever


def test_ties_failures_and_what_has_no_prediction():
    runs = trace([[1, 0, 4, 2], [1, 2, 3, 0], [4, 3, -1, -1], [0, 1, 2, 3]], [[0, 0]] * 4)
    runs.scores[1, 0], runs.scores[3] = np.nan, np.nan
    mean = np.array([[1, 1, 1, 0], [9, 1, 0, 0], [np.nan] * 4, [1, 2, 3, 4]], np.float32)
    found = posterior.choose(runs, TABLE, LastFit(mean, mean + 30))
    # of equals the best label; the failed one is none; without a prediction by label; none
    assert found.answer.tolist() == [4, 2, 3, -1]
    assert found.before.tolist() == [4, 3, 3, -1]
    np.testing.assert_array_equal(found.predicted, [31, 31, np.nan, np.nan])
    named = answers.of_runs(runs, TABLE, posterior=found)
    assert named.query.tolist() == [3, 2, 2, 0]
    told = answers.summary(named, TABLE, posterior=found)["runs"]
    assert [one["by"] for one in told] == ["posterior", "posterior", "label", None]
    assert [one["predicted"] for one in told] == [31, 31, None, None]
    json.dumps(text.summarize(runs, TABLE, HONEST, posterior=found), allow_nan=False)


QUICK = {"gp", "linear", "warm_ensemble"}  # one of each kind


@pytest.mark.parametrize(
    "predictor",
    quick_and_slow(PREDICTORS, QUICK),
)
def test_of_every_predictor_the_last_fit_is_that_of_the_loop_and_of_the_run_alone(predictor):
    table = planted_table(noise=0.5, runs=3)
    rule = wn.Protocol(*dataclasses.astuple(HONEST)[:-1], label_noise=2.0)
    problem = task.make(table, rule, graphs=True)
    made = make(predictor, table.encoding, **SMALL.get(predictor, {}))
    scorer = made if isinstance(made, wn.Scorer) else refit(made)
    method = wn.weaknas(scorer, init=5, per_round=3, budget=11)
    runs, _ = run_many(method, problem, 7, range(3))
    how = {"seed": 7, "by_rounds": PREDICTORS[predictor].goes_on}
    fitted = last_fit.fit(method, problem, runs, **how)
    assert np.isfinite(fitted.mean).all()
    assert (fitted.score <= runs.scores.max(axis=1, keepdims=True) + 1e-4).all()
    again = posterior.choose(runs, table, fitted)
    assert (again.answer >= 0).all()

    last = runs._replace(**{n: v[2:] for n, v in runs._asdict().items() if n != "round"})
    alone = last_fit.fit(method, problem, last, **how)
    assert alone.mean.tobytes() == fitted.mean[2:].tobytes()
    assert alone.score.tobytes() == fitted.score[2:].tobytes()
    *_, end = replay.replay(method, problem, runs, 2, seed=7)
    np.testing.assert_allclose(fitted.mean[2], end.scores[runs.queried[2]], atol=1e-3)


@pytest.mark.parametrize("method", ["random", "evolution", "local_search", "mcts", "lanas"])
def test_a_method_without_a_predictor_is_refused(method):
    said = f"answer=posterior needs a predictor, and method={method} has none"
    with pytest.raises(ConfigError, match=said) as error:
        wn.search_table(planted_table(), method=method, answer="posterior", seeds=1, budget=14)
    assert f"--{said.replace('method=', '--method=')}" == error.value.flags


def test_two_that_choose_the_answer_are_refused():
    with pytest.raises(ConfigError, match="answer=posterior and repeat_top=3 both choose"):
        wn.search_table(
            planted_table(), answer="posterior", repeat_top=3, label_noise=1.0, budget=14
        )
    with pytest.raises(ConfigError, match="answer=best: choose one of label, posterior"):
        wn.search_table(planted_table(), answer="best")


def test_from_python_the_search_is_the_same():
    settings = {"label_noise": 3.0, "budget": 14, "init": 5, "stop": "budget", "seeds": 3}
    plain = wn.search_table(planted_table(), **settings)
    found = wn.search_table(planted_table(), answer="posterior", **settings)
    for before, after in zip(plain.trace, found.trace, strict=True):
        assert before.tobytes() == after.tobytes()
    assert found.config.answer == "posterior"
    for name in ("curve", "queries_to_optimum", "rounds"):
        assert found.summary[name] == plain.summary[name]
    by_label = found.summary["posterior"]["by_label"]
    assert by_label == plain.summary["final"]["each"]["best_valid_test"]
    assert "chosen by" in str(found)
    assert "chosen by" not in str(plain)


def test_a_method_with_a_predictor_of_its_own_has_both_answers():
    asked = wn.SearchConfig(method="bananas", answer="posterior", budget=13, init=5)
    asked.resolve("planted", 100)[0].check(100)


@pytest.mark.slow  # ten layers; of `linear` the same is quick
def test_bananas_has_a_predictor_of_its_own():
    table = planted_table()
    problem = task.make(table, HONEST, neighbours=True)
    method = methods.make(method="bananas", init=5, per_round=4, budget=13)
    runs, _ = run_many(method, problem, 0, range(1))
    fitted = last_fit.fit(method, problem, runs)
    *_, end = replay.replay(method, problem, runs, 0)
    np.testing.assert_allclose(fitted.mean[0], end.scores[runs.queried[0]], atol=1e-3)


FLAGS = ["--label_noise=3", "--budget=14", "--init=5", "--stop=budget", "--answer=posterior"]


@pytest.mark.slow  # from Python the same is quick
def test_the_command_alone_in_parts_and_reread(tmp_path, table_file, capsys):
    table, out = f"--table={table_file}", {n: tmp_path / n for n in ("all", "alone", "parts")}
    assert call(search, table, *FLAGS, "--seeds=3", f"--out={out['all']}") == 0
    assert call(search, table, *FLAGS, "--first_run=2", "--seeds=1", f"--out={out['alone']}") == 0
    assert call(search, table, *FLAGS, "--seeds=1", f"--out={out['parts']}") == 0
    assert call(search, f"--out={out['parts']}", "--resume", "--seeds=3") == 0
    whole, alone, parts = (summary_of(folder) for folder in out.values())
    assert parts["answers"] == whole["answers"]
    assert parts["posterior"] == whole["posterior"]
    assert alone["answers"]["runs"] == whole["answers"]["runs"][2:]
    assert capsys.readouterr().out.count("chosen by") == 4

    (answer,) = alone["answers"]["runs"]
    best = json.loads((out["alone"] / "best.json").read_text())
    assert (best["by"], best["predicted"]) == ("posterior", answer["predicted"])
    assert best["row"] == answer["row"]

    (out["all"] / "summary.json").unlink()  # as one that was killed before it was written
    assert call(search, f"--out={out['all']}", "--resume") == 0
    assert summary_of(out["all"])["answers"] == whole["answers"]
    assert call(search, f"--out={out['all']}", "--resume", "--answer=label") == 2
    assert "--answer" in capsys.readouterr().err

    folder = str(out["all"])
    same, label, both = calls(
        "reread", [folder], [folder, "--answer=label"], [folder, "--repeat_top=3"]
    )
    assert "chosen by" in same.out
    assert "chosen by" not in label.out
    assert both.status == 2
    assert "--answer=posterior and --repeat_top=3 both choose the answer" in both.err


@pytest.mark.slow  # from Python the same is quick
def test_of_a_search_by_label_reread_gives_the_other_answer(tmp_path, table_file):
    table, (a, b) = f"--table={table_file}", (tmp_path / "a", tmp_path / "b")
    assert call(search, table, *FLAGS, "--seeds=2", f"--out={a}") == 0
    assert call(search, table, *FLAGS[:-1], "--seeds=2", f"--out={b}") == 0
    for one, other in zip(run_folder.load_trace(a), run_folder.load_trace(b), strict=True):
        assert one.tobytes() == other.tobytes()
    config = json.loads((b / "config.json").read_text())
    del config["flags"]["answer"]  # as one that was begun before there was such a flag
    (b / "config.json").write_text(json.dumps(config))
    chosen, later, plain = calls("reread", [str(a)], [str(b), "--answer=posterior"], [str(b)])
    rows = [
        [line for line in one.out.splitlines() if " time" not in line] for one in (chosen, later)
    ]
    assert rows[0] == rows[1]
    assert "chosen by" not in plain.out


def test_a_sweep_compares_both(tmp_path, table_file):
    line = [f"--table={table_file}", *FLAGS[:-1], "--seeds=4", "--answer=label,posterior"]
    assert call(sweep, *line, f"--out={tmp_path / 'out'}") == 0
    by = [summary_of(tmp_path / "out" / f"answer={name}") for name in ("label", "posterior")]
    assert by[0]["curve"] == by[1]["curve"]
    assert by[0]["timing_of_searches"] == 2  # one program
    assert by[1]["posterior"]["by_label"] == by[0]["final"]["each"]["best_valid_test"]


def test_the_command_refuses_a_method_without_a_predictor(tmp_path, table_file, capsys):
    line = [f"--table={table_file}", "--method=random", "--answer=posterior"]
    assert call(search, *line, f"--out={tmp_path / 'o'}") == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert "--answer=posterior needs a predictor, and --method=random has none" in said
    assert not (tmp_path / "o").exists()
