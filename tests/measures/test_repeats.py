"""The best by noisy label trained again: who is, what is said of the answer, what it is worth."""

import json
import math

import jax
import numpy as np
import pytest
from absl import flags
from conftest import build, planted_table
from helpers import call, calls, summary_of
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from weaknas_jax import HONEST, Table, run_many, save_table
from weaknas_jax.cli import search as nasbench
from weaknas_jax.cli import sweep
from weaknas_jax.core.keys import run_keys
from weaknas_jax.core.plan import Plan
from weaknas_jax.core.protocol import resolve
from weaknas_jax.measures import repeats
from weaknas_jax.report import run_folder
from weaknas_jax.report import text as report
from weaknas_jax.runs import task
from weaknas_jax.tables import targets

FLAGS = flags.FLAGS
SINGLE = resolve("honest", labels="single_run")
NOISY = resolve("honest", label_noise=2.0)
RANDOM = ["--method=random", "--init=5", "--per_round=3", "--budget=14"]


def search(table: Table, rule, runs=8, seed=3, budget=17):
    method = build("random", init=1, per_round=1, budget=budget)
    return run_many(method, task.make(table, rule), seed, range(runs), given=Plan(1))[0]


def reread(*lines):
    """What ``weaknas reread`` prints by each command line."""
    answers = calls("reread", *(line.split() for line in lines))
    assert [answer.status for answer in answers] == [0] * len(lines), answers
    printed = [answer.out.splitlines() for answer in answers]
    return [[li for li in text if li and not li.startswith("  time")] for text in printed]


@pytest.fixture
def table_file(tmp_path):
    save_table(tmp_path / "planted.npz", planted_table(noise=8.0, runs=3))
    return tmp_path / "planted.npz"


_label = st.one_of(st.just(math.nan), st.floats(0, 100, width=32))


@given(
    labels=st.lists(_label, min_size=1, max_size=40),
    trainings=st.integers(1, 30),
    most=st.integers(0, 4),
    seed=st.integers(0, 99),
)
@settings(max_examples=100, deadline=None)
def test_trainings_go_to_the_best_and_no_more_of_them_than_were_asked_for(
    labels, trainings, most, seed
):
    """``most``: how often a place can be trained again; 4 = for ever."""
    labels, rng = np.array(labels), np.random.default_rng(seed)
    seen = {}

    def train(places, nth):
        assert [len(seen.get(p, [])) for p in places.tolist()] == nth.tolist()
        new = np.where((nth < most) | (most == 4), rng.uniform(0, 100, len(places)), np.nan)
        for place, label in zip(places.tolist(), new, strict=True):
            seen.setdefault(place, []).extend([label] * bool(np.isfinite(label)))
        return new

    answer, again = repeats.halve(labels, train, trainings)
    known, spent = np.isfinite(labels), sum(map(len, again.values()))
    assert again == {place: new for place, new in seen.items() if new}
    assert spent <= trainings
    if not known.any():
        assert (answer, again) == (None, {})
        return
    if most == 4:
        assert spent == trainings
    first = max(-(-trainings // 2), min(trainings, 2))
    assert {*again, answer} <= set(np.argsort(-labels, kind="stable")[:first].tolist())
    counts = {place: len(again.get(place, ())) for place in seen}
    if most == 4:  # the answer came to the last round: nobody was trained more often
        assert counts[answer] == max(counts.values())


def test_what_is_drawn_again_is_each_other_run_once():
    table = planted_table(noise=0.5, runs=3)
    table.valid[::2, 1] = np.nan  # two runs of these
    table.valid[::5, 1:] = np.nan  # one
    problem, rows = task.make(table, SINGLE), np.arange(len(table))
    (key,) = run_keys(0, [4])
    drawn = [np.asarray(task.draw_labels(key, problem))]
    for place in range(4):
        nth = np.full(len(rows), place)
        drawn.append(np.asarray(task.draw_repeats(key, problem.scores, 0.0, rows, nth)))
    drawn = np.sort(np.array(drawn).T, axis=1)
    expected = np.sort(np.pad(table.valid, ((0, 0), (0, 2)), constant_values=np.nan), axis=1)
    np.testing.assert_allclose(drawn, expected, rtol=1e-6)


def test_a_repeat_does_not_depend_on_what_else_is_drawn_and_the_labels_stay():
    problem = task.make(planted_table(), NOISY)
    one, other = run_keys(0, [4, 5])
    rows = np.arange(20)
    draw = lambda key, rows, place: np.asarray(  # noqa: E731
        task.draw_repeats(key, problem.scores, 2.0, rows, np.full(len(rows), place))
    )
    np.testing.assert_array_equal(draw(one, rows, 1)[7:9], draw(one, rows[7:9], 1))
    assert not np.isin(draw(one, rows, 1), draw(one, rows, 0)).any()
    assert not np.isin(draw(one, rows, 1), draw(other, rows, 1)).any()
    assert not np.isin(draw(one, rows, 0), task.draw_labels(one, problem)).any()


@pytest.mark.parametrize("rule", [SINGLE, resolve("honest", labels="run1", label_noise=2.0)])
def test_repeats_of_an_architecture_are_unbiased_and_their_error_is_s_over_root_n(rule):
    """Over 1000 runs, of one architecture that was not chosen for its label."""
    table = planted_table(noise=1.5, runs=3)
    problem, row, n = task.make(table, rule), 17, 2
    rows, nth = np.full(n, row), np.arange(n)
    draw = jax.jit(jax.vmap(task.draw_repeats, (0, None, None, None, None)))
    drawn = draw(
        jax.random.split(jax.random.key(1), 1000), problem.scores, problem.noise, rows, nth
    )
    drawn = np.asarray(drawn, np.float64)
    truth = np.asarray(problem.scores)[row].mean()
    assert abs(drawn.mean() - truth) < 4 * drawn.mean(axis=1).std() / 1000**0.5
    if rule is not SINGLE:  # there the two are of three runs, without replacement
        one = drawn.std(ddof=1)
        assert abs(one / rule.label_noise - 1) < 4 / (2 * drawn.size) ** 0.5
        assert abs(drawn.mean(axis=1).std() / (one / n**0.5) - 1) < 4 / 2000**0.5
        pooled = [repeats.deviation(pair[:1], {0: pair[1:]}) ** 2 for pair in drawn]
        error = 4 * np.std(pooled) / 1000**0.5
        assert abs(np.mean(pooled) - rule.label_noise**2) < error


@pytest.mark.slow  # means and errors of repeats are here
def test_the_gain_of_repeats_is_that_of_the_normal_distribution():
    """Two architectures 2 apart, noise 2: the worse is chosen by chance, less often by two labels.

    By one label each with 1 - Phi(2 / (2 sqrt 2)), by the means of two with 1 - Phi(2 / 2).
    """
    table, runs = planted_table(sizes=(2,)), 400
    labels = np.array([[90.0], [92.0]])
    table = Table("planted", "pair", table.encoding, valid=labels, test=labels)
    found = repeats.ask_again(search(table, NOISY, runs, budget=2), table, NOISY, 3, 2)
    for rows, chance in (
        (found.before, norm.sf(2 / (2 * 2**0.5))),
        (found.answer, norm.sf(2 / 2)),
    ):
        regret = 92.0 - table.valid_mean[rows]
        assert abs(regret.mean() - 2 * chance) < 4 * 2 * (chance * (1 - chance) / runs) ** 0.5
    assert (found.trained == 2).all()
    assert (found.count == 1).all()
    curse = repeats.summary(found, table)["curse"]  # of the better label, and of its repeat
    assert abs(curse["label"] - 2 * 2**0.5 * norm.pdf(2 / (2 * 2**0.5))) < 4 * 2 / runs**0.5
    assert abs(curse["mean"] - 2 * norm.pdf(2 / 2)) < 4 * 2 / runs**0.5
    # Of one repeat the error is s itself, and s is of two pairs of labels.
    assert abs(np.sqrt((found.error**2).mean()) / 2.0 - 1) < 0.15


def test_what_is_said_is_of_the_repeats():
    """Drawn once more here, by hand."""
    table, top = planted_table(noise=3.0, runs=3), 10
    trace = search(table, SINGLE)
    found = repeats.ask_again(trace, table, SINGLE, 3, top)
    scores = np.asarray(targets.possible_scores(table, "single_run"), np.float64)
    for i in range(len(trace.run)):
        best = np.argsort(-trace.scores[i], kind="stable")[: top // 2]
        assert found.before[i] == trace.queried[i, best[0]]
        (place,) = np.flatnonzero(trace.queried[i] == found.answer[i])
        assert place in best
        others = scores[found.answer[i]]
        others = others[~np.isclose(others, trace.scores[i, place])]
        if found.count[i] == 2:
            assert found.mean[i] == pytest.approx(others.mean())
        else:
            assert np.isclose(others, found.mean[i]).any()
    assert (found.count > 0).all()
    assert (found.trained <= top).all()
    assert np.isfinite(found.error).all()


def test_failed_queries_and_fewer_architectures_than_trainings():
    table = planted_table()
    trace = search(table, NOISY, runs=3, budget=3)
    scores = trace.scores.copy()
    scores[0, 1] = np.nan  # one failed,
    scores[1] = np.nan  # all did,
    queried = trace.queried.copy()
    queried[2, 1:], scores[2, 1:] = -1, np.nan  # and one ended after its first
    trace = trace._replace(scores=scores, queried=queried)
    found = repeats.ask_again(trace, table, NOISY, 3, 8)
    assert found.answer.tolist()[1:] == [-1, trace.queried[2, 0]]
    assert found.answer[0] in trace.queried[0, [0, 2]]
    assert found.trained.tolist() == [8, 0, 8]
    assert found.queries.tolist() == [3, 3, 1]
    assert found.count.tolist()[1:] == [0, 8]
    summary = report.summarize(trace, table, NOISY, found)
    json.dumps(summary["repeats"], allow_nan=False)
    assert summary["repeats"]["per_seed"][1] is None
    assert summary["final"]["each"]["best_valid_test"]["runs"] == 2
    nothing = trace._replace(scores=np.full_like(scores, np.nan))
    summary = report.summarize(
        nothing, table, NOISY, repeats.ask_again(nothing, table, NOISY, 3, 8)
    )
    assert summary["repeats"]["mean"] is None


def test_what_has_no_other_run_keeps_what_it_has():
    table = planted_table(noise=3.0, runs=2)
    table.valid[1:, 1] = np.nan  # row 0 alone has two
    trace = search(table, SINGLE, runs=4)
    found = repeats.ask_again(trace, table, SINGLE, 3, 4)
    assert (found.answer == found.before).all()
    assert found.trained.tolist() == found.count.tolist() == [0] * 4
    assert np.isnan(found.mean).all()


@pytest.mark.parametrize(
    ("rule", "top", "said"),
    [
        (HONEST, 3, "repeat_top=3: has no effect"),
        (resolve("honest", labels="run0"), 3, "repeat_top=3: has no effect"),
        (NOISY, 0, "repeat_top=0: give 1 or more"),
        (NOISY, 1.5, "repeat_top=1.5: give a whole number"),
        (NOISY, True, "repeat_top=True: give a whole number"),
    ],
)
def test_what_has_no_effect_is_refused(rule, top, said):
    table = planted_table(noise=0.5, runs=3)
    with pytest.raises(ValueError, match=said):
        repeats.ask_again(search(table, rule, runs=1), table, rule, 3, top)


@pytest.mark.slow  # that the draws of a run depend on nothing else is quick, above
def test_the_search_is_the_same_and_its_repeats_too_alone_resumed_and_reread(tmp_path, table_file):
    ways = {"plain": [], "again": ["--repeat_top=6"], "alone": ["--repeat_top=6", "--first_run=2"]}
    base = [f"--table={table_file}", "--labels=single_run", "--label_noise=0.5", *RANDOM]
    for name, more in ways.items():
        seeds = 1 if name == "alone" else 3
        assert call(nasbench, *base, f"--seeds={seeds}", *more, f"--out={tmp_path / name}") == 0
    parted = [*base, "--repeat_top=6", f"--out={tmp_path / 'parted'}"]
    assert call(nasbench, *parted, "--seeds=1") == 0
    assert call(nasbench, f"--out={tmp_path / 'parted'}", "--resume", "--seeds=3") == 0

    traces = {name: run_folder.load_trace(tmp_path / name) for name in ("plain", "again", "parted")}
    for name in ("again", "parted"):
        for before, after in zip(traces["plain"], traces[name], strict=True):
            assert before.tobytes() == after.tobytes()
    plain, again, alone, parted = (summary_of(tmp_path / n) for n in (*ways, "parted"))
    assert "repeats" not in plain
    assert parted["repeats"] == again["repeats"]
    assert alone["repeats"]["per_seed"] == again["repeats"]["per_seed"][2:]
    assert again["repeats"]["before"] == plain["final"]["each"]["best_valid_test"]
    assert again["repeats"]["changed"] > 0
    assert again["final"]["test_mean"] != plain["final"]["test_mean"]
    assert again["curve"] == plain["curve"]
    free = {"command", "timing", "final", "repeats", "answers"}
    assert all(again[key] == plain[key] for key in plain if key not in free)

    a, b = tmp_path / "again", tmp_path / "plain"
    config = json.loads((b / "config.json").read_text())
    del config["flags"]["repeat_top"]  # as one that was begun before there was such a flag
    (b / "config.json").write_text(json.dumps(config))
    assert call(nasbench, f"--out={b}", "--resume", "--repeat_top=0") == 0
    assert call(nasbench, f"--out={b}", "--resume", "--repeat_top=6") == 2
    said, later, without, plain_said = reread(
        str(a), f"{b} --repeat_top=6", f"{a} --repeat_top=0", str(b)
    )
    assert said == later
    assert without == plain_said
    spent = again["repeats"]["repeats"]
    line = f"{spent:.1f} more trainings per run, {14 + spent:.1f} in all; another answer in"
    assert any(line in one for one in said)
    assert "honest, but labels=single_run, label_noise=0.5" in "".join(said)
    assert not any("trained again" in one for one in without)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--repeat_top=3"], "--repeat_top=3: has no effect"),
        (["--labels=run0", "--repeat_top=3"], "--repeat_top=3: has no effect"),
        (["--labels=single_run", "--repeat_top=15"], "--repeat_top=15 is more than --budget=14"),
    ],
)
def test_the_command_refuses_what_has_no_effect(arguments, said, tmp_path, table_file, capsys):
    assert call(nasbench, f"--table={table_file}", *RANDOM, *arguments, f"--out={tmp_path}/o") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not (tmp_path / "o").exists()


def test_a_table_of_one_run_without_test_accuracy(tmp_path, capsys):
    table = planted_table()
    save_table(tmp_path / "t.npz", Table("mine", "t", table.encoding, table.valid))
    line = [f"--table={tmp_path / 't.npz'}", *RANDOM, "--seeds=2", "--repeat_top=5"]
    assert call(nasbench, *line, f"--out={tmp_path / 'out'}") == 2
    assert "--repeat_top=5: has no effect" in capsys.readouterr().err
    assert call(nasbench, *line, "--label_noise=3", f"--out={tmp_path / 'out'}") == 0
    assert "trained again" in capsys.readouterr().out
    assert summary_of(tmp_path / "out")["repeats"]["trainings"] == 14 + 5


@pytest.mark.slow  # that queries do not depend on repeats is above
def test_a_sweep_over_repeats_makes_the_same_queries(tmp_path, table_file):
    line = [f"--table={table_file}", "--labels=single_run", *RANDOM, "--seeds=3"]
    assert call(sweep, *line, "--repeat_top=0,4,10", f"--out={tmp_path / 'out'}") == 0
    folders = [tmp_path / "out" / f"repeat_top={top}" for top in (0, 4, 10)]
    first, *others = [run_folder.load_trace(folder).queried.tolist() for folder in folders]
    assert all(other == first for other in others)
    assert [summary_of(f).get("repeats", {}).get("repeat_top") for f in folders] == [None, 4, 10]
