"""A replay thinks what the trace says it thought, and the paper's figures by command."""

import csv

import numpy as np
import pytest
from absl import flags
from conftest import planted_table, ridge
from helpers import call

import weaknas_jax as wn
from weaknas_jax import save_table
from weaknas_jax.cli.paper import figures as main
from weaknas_jax.report import figures, run_folder
from weaknas_jax.runs import task
from weaknas_jax.runs.replay import ReplayError, replay

FLAGS = flags.FLAGS
TABLE = planted_table(sizes=(5, 4, 4), noise=0.5)


@pytest.fixture(scope="module")
def searched():
    """A method, its task, and what two runs of it did, measured."""
    method = wn.weaknas(wn.refit(ridge()), init=6, per_round=4, top=20, budget=21)
    problem = task.make(TABLE, wn.HONEST)
    trace, _ = wn.run_many(method, problem, 3, [2, 5], wn.Settings(measure=True))
    return method, problem, trace


@pytest.mark.parametrize("run", [2, 5])
def test_a_replay_thinks_the_same(searched, run):
    method, problem, trace = searched
    place = trace.run.tolist().index(run)
    rounds = list(replay(method, problem, trace, run, seed=3))
    assert [each.told for each in rounds] == [6, 10, 14, 18, 21]
    for name in ("predicted_top", "kendall", "kendall_top50", "top50_probability"):
        there = getattr(trace, name)[place]
        here = [getattr(each.dynamics, name) for each in rounds]
        np.testing.assert_allclose(here, there, atol=1e-6, err_msg=name)
    for each, asked in zip(rounds, trace.round[[6, 10, 14, 18]], strict=False):
        assert each.scores.shape == (len(TABLE),)
        drawn = trace.queried[place, trace.round == asked]
        open_ = np.setdiff1d(np.argsort(-each.scores), trace.queried[place, : each.told])
        best = sorted(open_, key=lambda row: -each.scores[row])[: each.top]
        assert set(drawn) <= set(best)  # it was drawn in what this ranking has at its top


@pytest.mark.slow  # one of a method, of runs that went on, is above
def test_of_a_builder_and_of_runs_that_stopped():
    problem = task.make(TABLE, wn.HONEST)

    def build(chunk=None, **point):
        return wn.methods.make("knn", budget=12, init=3, per_round=3, chunk=chunk, **point)

    points, settings = [{"top": 9}], wn.Settings(stop_at_target=True)
    (trace,), _ = wn.run_grid(build, problem, 0, [0, 1, 2], points, settings)
    for run in range(3):
        rounds = list(replay(build, problem, trace, run, point=points[0]))
        assert len(rounds) == (trace.predicted_top[run] >= 0).sum()


@pytest.mark.parametrize(
    ("field", "at", "message"),
    [
        ("predicted_top", (0, 2), "run 2, round 2: the predicted best is row"),
        ("kendall", (0, 1), "run 2, round 1: kendall is"),
        ("scores", (0, 3), "run 2, round 0: "),
    ],
)
def test_a_doctored_trace_is_refused(searched, field, at, message):
    method, problem, trace = searched
    doctored = getattr(trace, field).copy()
    doctored[at] = (doctored[at] + 77) % len(TABLE) if field != "kendall" else -doctored[at]
    doctored = trace._replace(**{field: doctored})
    with pytest.raises(ReplayError, match=message):
        list(replay(method, problem, doctored, 2, seed=3))
    with pytest.warns(UserWarning, match=message) as warned:
        assert len(list(replay(method, problem, doctored, 2, seed=3, strict=False))) == 5
    assert len(warned) == 1


def test_what_does_not_fit_is_said(searched):
    method, problem, trace = searched
    other = wn.weaknas(wn.refit(ridge()), init=5, per_round=4, top=20, budget=21)
    chance = wn.random_search(init=6, per_round=4, budget=21)
    small = task.make(planted_table(sizes=(3, 3, 3)), wn.HONEST)
    for arguments, message in (
        ((method, problem, trace, 3), "run 3: the trace has the runs 2, 5"),
        ((other, problem, trace, 2), "asks in rounds of 5, 4.* the trace has 6, 4"),
        ((chance, problem, trace, 2), "no predictor"),
        ((method, small, trace, 2), "was queried, and the table has 27"),
    ):
        with pytest.raises(ReplayError, match=message):
            list(replay(*arguments, seed=3))


def read(path):
    with open(path, newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.mark.slow  # replays are above; the other command: test_tables_of_paper
def test_figures_3_and_4_of_a_small_search(tmp_path, capsys):
    save_table(tmp_path / "planted.npz", TABLE)
    out = tmp_path / "out"
    mine = (f"--table={tmp_path / 'planted.npz'}", "--space=table", "--predictor=linear")
    sizes = ("--init=8", "--per_round=6", "--budget=20", "--top=15")
    assert call(main, "--figure=3", "--runs=2", *mine, *sizes, f"--out={out}") == 0
    stem = "figure3-linear-table-20"
    rows = read(out / f"{stem}.csv")
    assert [(r["run"], r["queries"]) for r in rows] == [
        (s, q) for s in "01" for q in ("8", "14", "20")
    ]
    trace = run_folder.load_trace(out / stem)
    expected = TABLE.test_mean[trace.predicted_top].ravel()
    np.testing.assert_allclose([float(r["predicted_best"]) for r in rows], expected, atol=1e-4)
    assert "replayed" in (out / f"{stem}.md").read_text()

    assert call(main, "--figure=4", f"--trace={out / stem}", "--quick", f"--out={out}") == 0
    rows = read(out / f"figure4-{stem}.csv")
    drawn = {int(r["row"]): int(r["drawn in round"]) for r in rows if r["drawn in round"]}
    assert drawn == dict(zip(trace.queried[0].tolist(), trace.round.tolist(), strict=True))
    assert sum(int(r["in the top N of round 1"]) for r in rows) == 15
    for name in (stem, f"figure4-{stem}"):
        assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--figure=2"], "--figure=2: choose from 1, 3, 4, 5, 6"),
        (["--figure=1", "--trace=x"], "--trace: only for figures 3 and 4"),
        (["--figure=3", "--trace=nowhere"], "nowhere: has no trace.npz"),
        (["--figure=3", "--trace=nowhere", "--top=5"], "--top: the search of --trace sets this"),
        (["--figure=5", "--predictor=gp,nobody"], "--predictor=nobody: choose from"),
        (["--figure=3", "--predictor=gp,knn"], "--predictor: give one value"),
    ],
)
def test_what_cannot_be_is_said(tmp_path, capsys, arguments, message):
    assert call(main, *arguments, f"--out={tmp_path / 'out'}") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_missing_scikit_learn_names_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sklearn.manifold", None)
    with pytest.raises(ValueError, match="pip install scikit-learn"):
        figures.plane(TABLE.encoding, np.arange(30))
