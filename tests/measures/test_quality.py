"""How well a predictor ranks: closed forms, nested draws, and what it is judged by."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import SMALL, planted_table, ridge

from weaknas_jax import HONEST, PREDICTORS, Prediction, Predictor, Scorer, refit, weaknas
from weaknas_jax.core.keys import run_keys
from weaknas_jax.measures import predictor_quality
from weaknas_jax.measures.predictor_quality import Cell, Quality, judge, precision
from weaknas_jax.predictors import make
from weaknas_jax.report import standings
from weaknas_jax.runs import task
from weaknas_jax.search import defaults
from weaknas_jax.search.methods import CHOICES

TABLE = planted_table(noise=0.1)
TRUTH = TABLE.valid_mean
SPACE = task.make(TABLE, HONEST, graphs=True).space
KEY = run_keys(0, [0])[0]
KS = (1, 5)
DISTINCT = np.random.default_rng(0).permutation(30).astype(float)


def test_the_truth_itself_is_perfect_whatever_its_scale():
    perfect = judge(np.exp(DISTINCT / 10), DISTINCT, KS)
    assert perfect.nan == 0
    assert perfect.metrics == pytest.approx(dict.fromkeys(predictor_quality.metric_names(KS), 1.0))


def test_reversed_is_the_worst():
    worst = judge(-DISTINCT, DISTINCT, KS).metrics
    assert list(worst.values()) == pytest.approx([-1, -1, 0, 0])


def test_constant_predictions_have_no_correlation_and_keep_the_order_given():
    metrics = judge(np.ones(30), DISTINCT, KS).metrics
    assert np.isnan([metrics["spearman"], metrics["kendall"]]).all()
    assert metrics["precision@5"] == np.mean(DISTINCT[:5] >= 25)


def test_one_nan_leaves_nothing_defined():
    prediction = DISTINCT.copy()
    prediction[[3, 7]] = np.nan
    found = judge(prediction, DISTINCT, KS)
    assert found.nan == 2
    assert np.isnan(list(found.metrics.values())).all()


def test_infinite_predictions_are_ranked():
    assert judge(np.array([np.inf, 1.0, -np.inf]), np.array([3.0, 2.0, 1.0]), [1]).metrics == (
        pytest.approx({"spearman": 1, "kendall": 1, "precision@1": 1})
    )


def test_tau_b_with_ties_by_hand():
    # pairs: 4 concordant, 1 discordant, 1 tied in the prediction: 3 / sqrt(5 * 6)
    assert predictor_quality.kendall(np.array([1, 2, 2, 4.0]), np.array([2, 1, 3, 4.0])) == (
        pytest.approx(3 / np.sqrt(30))
    )


@pytest.mark.parametrize(
    ("prediction", "truth", "k", "share"),
    [
        ([5, 4, 3, 2, 1], [1, 5, 4, 3, 2], 2, 1 / 2),
        ([5, 4, 3, 2, 1], [1, 5, 4, 3, 2], 3, 2 / 3),
        ([5, 5, 5, 1], [1, 9, 8, 7], 2, 1 / 2),  # a tie goes to the earlier place
        ([1, 5, 5, 5], [7, 1, 8, 9], 2, 1 / 2),
        ([5, 4, 3, 2], [8, 9, 8, 1], 2, 1),  # as good as the second best: counts
        ([3, 4, 5, 2], [8, 9, 8, 1], 2, 1),
    ],
)
def test_precision_by_hand(prediction, truth, k, share):
    assert precision(np.array(prediction, float), np.array(truth, float), k) == share


def test_a_draw_is_a_permutation_of_what_has_a_label_and_begins_as_a_search():
    truth = np.where(np.arange(len(TABLE)) % 5 == 0, np.nan, TRUTH)
    assert sorted(predictor_quality.draw(KEY, truth)) == np.flatnonzero(np.isfinite(truth)).tolist()
    assert (
        predictor_quality.draw(KEY, TRUTH) != predictor_quality.draw(run_keys(0, [1])[0], TRUTH)
    ).any()
    method = weaknas(refit(ridge()), init=9, budget=9)
    _, asked = method.ask(method.init(KEY, SPACE))
    assert predictor_quality.draw(KEY, TRUTH)[:9].tolist() == asked.tolist()


def spying(log):
    """A ranker that knows the truth of all it was not told, and nothing of the others."""

    def rank(key, space, sample, scores):
        log.append((np.asarray(sample), np.asarray(scores)))
        return jnp.asarray(TRUTH, jnp.float32).at[sample].set(1e6)

    return rank


def test_samples_are_nested_and_not_judged():
    log = []
    for n in (5, 12, 40):
        found = predictor_quality.measure(spying(log), KEY, SPACE, TRUTH, n, KS)
        assert found.metrics["precision@5"] == 1.0
        assert found.metrics["spearman"] == pytest.approx(1.0)
    samples = [sample.tolist() for sample, _ in log]
    assert [len(sample) for sample in samples] == [5, 12, 40]
    assert samples[0] == samples[1][:5]
    assert samples[1] == samples[2][:12]
    for sample, scores in log:
        np.testing.assert_allclose(scores, TRUTH[sample], rtol=1e-6)


def test_a_fit_is_that_of_a_search_of_one_round():
    def fit(key, x, y, mask):  # depends on its key, so that another key shows
        return jnp.sum(jnp.where(mask, y * jnp.sum(x, axis=1), 0.0)), jax.random.normal(key, (12,))

    def predict(params, x):
        return Prediction(params[0] + x @ params[1])

    scorer = refit(Predictor(fit, predict))
    transform = predictor_quality.TRANSFORMS["rank"]
    method = weaknas(scorer, init=9, budget=9, transform=transform)
    state, asked = method.ask(method.init(KEY, SPACE))
    told, _ = method.tell(state, asked, jnp.asarray(TRUTH, jnp.float32)[asked])
    rank = predictor_quality.ranker(scorer, transform)
    mean = rank(KEY, SPACE, asked, jnp.asarray(TRUTH, jnp.float32)[asked])
    np.testing.assert_allclose(mean, told.prediction.mean, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in PREDICTORS if name not in SMALL])
def test_registered_predictors_rank_a_planted_table(name):
    predictor = make(name, TABLE.encoding)
    scorer = predictor if isinstance(predictor, Scorer) else refit(predictor)
    transform = defaults.of("weaknas", name).label_transform
    cells = list(
        predictor_quality.cells(
            {name: (scorer, transform)}, [20], run_keys(0, range(2)), SPACE, TRUTH, KS
        )
    )
    assert [cell[:3] for cell in cells] == [(name, 20, 0), (name, 20, 1)]
    for cell in cells:
        assert cell.quality.metrics["spearman"] > 0.7


def test_known_cells_are_not_measured():
    scorers = {name: (refit(ridge()), "standardize") for name in "ab"}
    known = {("a", 9, 0), ("b", 9, 1), ("b", 12, 0)}
    found = predictor_quality.cells(
        scorers, [9, 12], run_keys(0, range(2)), SPACE, TRUTH, KS, known
    )
    found = {cell[:3] for cell in found}
    assert found | known == {(name, n, run) for name in "ab" for n in (9, 12) for run in (0, 1)}
    assert not found & known


def test_every_label_transform_has_its_name():
    assert set(predictor_quality.TRANSFORMS) == set(CHOICES["label_transform"])


def cell(name, n, run, value, nan=0):
    return Cell(name, n, run, Quality(nan, {"spearman": value}))


def test_what_is_undefined_is_counted_and_said_and_not_averaged():
    cells = [cell("a", 20, 0, 0.5), cell("a", 20, 1, 0.7), cell("a", 20, 2, np.nan, nan=4)]
    cells += [cell("b", 20, run, np.nan) for run in range(3)]
    a, b = standings.summarize(cells)
    assert a[:3] == ("a", 20, "spearman")
    assert a.mean == pytest.approx(0.6)
    assert a.standard_error == pytest.approx(0.1)
    assert (a.runs, a.undefined) == (2, 1)
    assert b[3:] == (None, None, 0, 3)
    text = standings.text(cells)
    assert "0.600 +- 0.100" in text
    assert "(2 of 3 runs)" in text
    assert "undefined (3 runs)" in text
    assert "NaN from a, n = 20, in run (how many): 2 (4)." in text


def test_the_table_puts_the_best_first_and_marks_it():
    cells = [cell("weak", 20, 0, 0.9), cell("weak", 50, 0, 0.1)]
    cells += [cell("strong", 20, 0, 0.8), cell("strong", 50, 0, 0.8)]
    lines = standings.text(cells).splitlines()
    rows = [line for line in lines if line.startswith(("| weak", "| strong"))]
    assert [row.split()[1] for row in rows] == ["strong", "weak"]
    assert ["0.800 *" in rows[0], "0.900 *" in rows[1], "0.100 *" in rows[1]] == [True, True, False]
    assert rows[0].count("*") == 1
